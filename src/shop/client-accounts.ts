import { randomBytes } from 'node:crypto'
import base64url from 'base64url'

const maxUnpaid = 10_000

/** What a shop knows of one client. */
export interface ClientAccount {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** drops */
  balance: number
  /** settles with the payment that is being fulfilled just now, if there is one */
  fulfilling: Promise<void>
  /** of its payments that it has not had a letter for yet, base64url */
  fulfillments: Set<string>
}

/**
 * Decides who has how much to their credit. Whoever has paid is remembered as long as the shop runs; of those
 * who only asked, the first to come are the first to be forgotten.
 */
export class ClientAccounts {
  readonly byClientId = new Map<string, ClientAccount>()
  readonly #bySecret = new Map<string, ClientAccount>()
  readonly #byFulfillment = new Map<string, ClientAccount>()
  readonly #unpaid = new Set<ClientAccount>()

  /** The client who shares a secret with the shop: also one who chose it and was never seen before. */
  ofSecret(sharedSecret: Buffer): ClientAccount {
    const known = this.#bySecret.get(base64url(sharedSecret))
    if (known) return known
    const client: ClientAccount = {
      clientId: base64url(randomBytes(8)),
      sharedSecret,
      balance: 0,
      fulfilling: Promise.resolve(),
      fulfillments: new Set()
    }
    this.byClientId.set(client.clientId, client)
    this.#bySecret.set(base64url(sharedSecret), client)
    this.#unpaid.add(client)
    if (this.#unpaid.size > maxUnpaid) this.#forgetFirst()
    return client
  }

  /** The client who made a payment that there has been no letter for yet. */
  ofFulfillment(fulfillment: string): ClientAccount | undefined {
    return this.#byFulfillment.get(fulfillment)
  }

  /** From now on the client is remembered: its payment is about to be taken. */
  keep(client: ClientAccount): void {
    this.#unpaid.delete(client)
  }

  /** Adds a payment that was taken. */
  credit(client: ClientAccount, drops: number, fulfillment: string): void {
    client.balance += drops
    client.fulfillments.add(fulfillment)
    this.#byFulfillment.set(fulfillment, client)
  }

  /** Takes the price of a letter off, and with it the fulfillment that could have bought it. */
  debit(client: ClientAccount, drops: number, fulfillment = client.fulfillments.values().next().value): void {
    client.balance -= drops
    if (fulfillment === undefined) return
    client.fulfillments.delete(fulfillment)
    this.#byFulfillment.delete(fulfillment)
  }

  #forgetFirst(): void {
    const [first] = this.#unpaid
    if (!first) return
    this.#unpaid.delete(first)
    this.byClientId.delete(first.clientId)
    this.#bySecret.delete(base64url(first.sharedSecret))
  }
}
