import { randomBytes } from 'node:crypto'
import base64url from 'base64url'
import { hmac } from '../crypto.ts'
import type { Payment } from './incoming-payments.ts'

// How many clients without credit keep their address and secret, and how many payments are found by fulfillment.
const maxIdleAccounts = 100_000
const maxFulfillments = 100_000
// How long a letter can be repeated.
const repeatableMs = 60_000

/** What a shop knows of one client. */
export interface ClientAccount {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** drops */
  balance: bigint
  /** whether it has bought with its Pay-Token, and so buys with nothing that others can see */
  usesToken: boolean
  /** its payments that have not bought a letter, the oldest first */
  unspent: Set<Purchase>
}

/** A payment, and the letter that it buys. */
export interface Purchase {
  client: ClientAccount
  /** empty before it is handed over */
  letter: string
  /** when it was sold, in ms of `performance.now()` */
  soldAt?: number
}

/**
 * What the clients of a shop have to their credit. A client that only asks takes no memory: its shared secret is
 * derived from its clientId, under a key that only this run of the shop has.
 */
export class ClientAccounts {
  readonly #cost: bigint
  readonly #key = randomBytes(32)
  // Those that have made a payment, by their Pay-Token: the shared secret in base64url.
  readonly #accounts = new Map<string, ClientAccount>()
  // The tokens of those without credit, the longest without first.
  readonly #idle = new Set<string>()
  // By fulfillment, the oldest first.
  readonly #purchases = new Map<string, Purchase>()

  /** @param cost - of a letter, drops */
  constructor(cost: number) {
    this.#cost = BigInt(cost)
  }

  /** A client that has not been here before. */
  newClient(): ClientAccount {
    const nonce = randomBytes(8)
    const clientId = base64url(Buffer.concat([nonce, this.#mac(nonce)]))
    return this.#toAccount(clientId)
  }

  /** The client that makes a payment; undefined if its clientId is not from this run of the shop. */
  get(clientId: string): ClientAccount | undefined {
    const id = Buffer.from(clientId, 'base64url')
    if (base64url(id) !== clientId || !this.#mac(id.subarray(0, 8)).equals(id.subarray(8))) return undefined
    const client = this.#toAccount(clientId)
    return this.ofToken(base64url(client.sharedSecret)) ?? this.#add(client, 0n)
  }

  /** The client that shows a Pay-Token, if it has made a payment. */
  ofToken(payToken: string): ClientAccount | undefined {
    return this.#accounts.get(payToken)
  }

  /** How many letters are paid for and not fetched. */
  lettersOwed(): number {
    let letters = 0n
    for (const { balance } of this.#accounts.values()) letters += balance / this.#cost
    return Number(letters)
  }

  /** Credits a payment that is accepted. */
  credit({ client, drops, fulfillment }: Payment<ClientAccount>): void {
    this.#add(client, drops)
    // The rest of one that was revoked
    if (drops < this.#cost) return
    const purchase = { client, letter: '' }
    client.unspent.add(purchase)
    this.#purchases.set(fulfillment, purchase)
    for (const [oldest, purchase] of this.#purchases) {
      const isOver = purchase.soldAt !== undefined && performance.now() - purchase.soldAt >= repeatableMs
      if (!isOver && this.#purchases.size <= maxFulfillments) return
      this.#purchases.delete(oldest)
      purchase.client.unspent.delete(purchase)
    }
  }

  /**
   * Takes the credit of a payment back that cannot come any more, as far as it is unspent.
   *
   * @returns what to credit should it come after all
   */
  revoke(payment: Payment<ClientAccount>): Payment<ClientAccount> {
    const { client, fulfillment } = payment
    const isSpent = payment.drops > client.balance
    const drops = isSpent ? client.balance : payment.drops
    this.#add(client, -drops)
    const purchase = this.#purchases.get(fulfillment)
    if (purchase && client.unspent.delete(purchase)) this.#purchases.delete(fulfillment)
    return { ...payment, drops }
  }

  /**
   * Takes the price of a letter off a client's balance: for its oldest payment that has bought none, or for the one with
   * a fulfillment. Anybody can see a fulfillment on the ledger: it buys nothing by itself once its client has used its
   * Pay-Token.
   *
   * @param client - the client that asks: only to the payer is the letter that a payment has bought a moment ago given
   *   again, since that answer may have been lost on its way
   * @returns undefined if there is not enough
   */
  buy(client: ClientAccount, fulfillment?: string): Purchase | undefined {
    const [oldest = { client, letter: '' }] = client.unspent
    const purchase = fulfillment === undefined ? oldest : this.#purchases.get(fulfillment)
    if (!purchase) return undefined
    const { client: payer, soldAt } = purchase
    if (soldAt !== undefined)
      return client === payer && performance.now() - soldAt < repeatableMs ? purchase : undefined
    if (payer.balance < this.#cost || (payer.usesToken && client !== payer)) return undefined
    if (fulfillment === undefined) payer.usesToken = true
    this.#add(payer, -this.#cost)
    payer.unspent.delete(purchase)
    purchase.soldAt = performance.now()
    return purchase
  }

  #toAccount(clientId: string): ClientAccount {
    const sharedSecret = hmac(this.#key, clientId)
    return { clientId, sharedSecret, balance: 0n, usesToken: false, unspent: new Set() }
  }

  #add(client: ClientAccount, drops: bigint): ClientAccount {
    const payToken = base64url(client.sharedSecret)
    client.balance += drops
    this.#accounts.set(payToken, client)
    this.#idle.delete(payToken)
    if (client.balance === 0n) this.#idle.add(payToken)
    const [oldest] = this.#idle
    if (oldest !== undefined && this.#idle.size > maxIdleAccounts) {
      this.#idle.delete(oldest)
      this.#accounts.delete(oldest)
    }
    return client
  }

  #mac(nonce: Buffer): Buffer {
    return hmac(this.#key, nonce).subarray(0, 4)
  }
}
