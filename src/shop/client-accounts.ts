import { randomBytes } from 'node:crypto'
import base64url from 'base64url'
import { hmac } from '../crypto.ts'
import { trim } from './trim.ts'

// How many clients without credit keep their address and secret, and how many fulfillments a letter is still sold for.
const maxIdleAccounts = 100_000
const maxFulfillments = 100_000
// How many payments that were taken back may still turn out to have been made.
const maxRevoked = 1_000

/** What a shop knows of one client. */
export interface ClientAccount {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** drops */
  balance: bigint
  /** whether it buys with its Pay-Token, and so with nothing that others can see */
  usesToken: boolean
}

/** What a payment has added to a client's balance. */
interface Credit {
  client: ClientAccount
  transferId: string
  drops: bigint
  fulfillment: string
}

/**
 * What the clients of a shop have to their credit. A client that has not paid takes no memory: its shared secret is
 * derived from its clientId, under a key that only this run of the shop has.
 */
export class ClientAccounts {
  readonly #cost: bigint
  readonly #key = randomBytes(32)
  // Those that have paid, by their Pay-Token: the shared secret in base64url.
  readonly #accounts = new Map<string, ClientAccount>()
  // The tokens of those without credit, the longest without first.
  readonly #idle = new Set<string>()
  readonly #byFulfillment = new Map<string, ClientAccount>()
  readonly #revoked = new Map<string, Credit>()

  /** @param cost - of a letter, drops */
  constructor(cost: number) {
    this.#cost = BigInt(cost)
  }

  /** A client that has not been here before. */
  newClient(): ClientAccount {
    const nonce = randomBytes(8)
    return this.get(base64url(Buffer.concat([nonce, this.#mac(nonce)]))) as ClientAccount
  }

  /** The client of an address that this shop has given out. */
  get(clientId: string): ClientAccount | undefined {
    const id = Buffer.from(clientId, 'base64url')
    if (base64url(id) !== clientId || !this.#mac(id.subarray(0, 8)).equals(id.subarray(8))) return undefined
    const sharedSecret = hmac(this.#key, clientId)
    const known = this.#accounts.get(base64url(sharedSecret))
    return known ?? { clientId, sharedSecret, balance: 0n, usesToken: false }
  }

  /** The client that shows a Pay-Token, if it has ever paid. */
  ofToken(payToken: string): ClientAccount | undefined {
    return this.#accounts.get(payToken)
  }

  /** Credits a payment that is accepted. */
  credit(clientId: string, transferId: string, drops: bigint, fulfillment: string): Credit {
    const client = this.get(clientId) as ClientAccount
    const credit = { client, transferId, drops, fulfillment }
    this.#add(client, drops)
    if (!client.usesToken) {
      this.#byFulfillment.set(fulfillment, client)
      trim(this.#byFulfillment, maxFulfillments)
    }
    return credit
  }

  /** Takes a credit back whose payment cannot come any more, as far as it is unspent. */
  revoke({ client, transferId, drops, fulfillment }: Credit): void {
    const unspent = drops < client.balance ? drops : client.balance
    this.#byFulfillment.delete(fulfillment)
    this.#revoked.set(transferId, { client, transferId, drops: unspent, fulfillment })
    trim(this.#revoked, maxRevoked)
    this.#add(client, -unspent)
  }

  /** Credits again what was taken back, since its payment has come after all. */
  restore(transferId: string): void {
    const credit = this.#revoked.get(transferId)
    if (credit && this.#revoked.delete(transferId)) this.#add(credit.client, credit.drops)
  }

  /** Takes the price of a letter off a client's balance. Returns whether there was enough. */
  buy(client: ClientAccount): boolean {
    if (client.balance < this.#cost) return false
    client.usesToken = true
    this.#add(client, -this.#cost)
    return true
  }

  /**
   * Takes the price of a letter off the balance of the client that has made a payment, once for each payment. Anybody
   * can see a fulfillment on the ledger: it sells nothing once its client has used its Pay-Token.
   */
  buyWithFulfillment(fulfillment: string): boolean {
    const client = this.#byFulfillment.get(fulfillment)
    this.#byFulfillment.delete(fulfillment)
    if (!client || client.usesToken || client.balance < this.#cost) return false
    this.#add(client, -this.#cost)
    return true
  }

  #add(client: ClientAccount, drops: bigint): void {
    const payToken = base64url(client.sharedSecret)
    client.balance += drops
    this.#accounts.set(payToken, client)
    this.#idle.delete(payToken)
    if (client.balance > 0n) return
    this.#idle.add(payToken)
    for (const forgotten of trim(this.#idle, maxIdleAccounts)) this.#accounts.delete(forgotten)
  }

  #mac(nonce: Buffer): Buffer {
    return hmac(this.#key, nonce).subarray(0, 4)
  }
}
