import { randomBytes } from 'node:crypto'
import base64url from 'base64url'
import { hmac } from '../crypto.ts'
import type { Payment } from './incoming-transfer.ts'

// How many clients without credit keep their address and secret, and how many fulfillments a letter is still sold for.
const maxIdleAccounts = 100_000
const maxFulfillments = 100_000
// How many payments whose credit was revoked may still turn out to be paid.
const maxRevoked = 1_000
// How many letters can be repeated, and for how long.
const maxPurchases = 1_000
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
  /** fulfillments of its payments that have not bought a letter, the oldest first */
  unspent: Set<string>
}

/** A letter that was sold. */
export interface Purchase {
  client: ClientAccount
  /** when it was sold, in ms of `performance.now()` */
  soldAt: number
  /** empty before it is handed over */
  letter: string
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
  readonly #byFulfillment = new Map<string, ClientAccount>()
  // By the fulfillment of the payment that bought the letter, the oldest first.
  readonly #purchases = new Map<string, Purchase>()
  // By transfer id.
  readonly #revoked = new Map<string, Payment<ClientAccount>>()

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
    client.unspent.add(fulfillment)
    this.#byFulfillment.set(fulfillment, client)
    for (const [oldest, { unspent }] of this.#byFulfillment) {
      if (this.#byFulfillment.size <= maxFulfillments) break
      this.#byFulfillment.delete(oldest)
      unspent.delete(oldest)
    }
  }

  /** Takes the credit of a payment back that cannot come any more, as far as it is unspent. */
  revoke(payment: Payment<ClientAccount>): void {
    const { client, drops, fulfillment, transfer } = payment
    const isPartlySpent = drops > client.balance
    const unspent = isPartlySpent ? client.balance : drops
    this.#add(client, -unspent)
    this.#spend(client, fulfillment)
    this.#revoked.set(transfer.id, { ...payment, drops: unspent })
    trim(this.#revoked, maxRevoked)
  }

  /** Gives back what was revoked, since the payment has come after all. */
  restore(transferId: string): void {
    const payment = this.#revoked.get(transferId)
    this.#revoked.delete(transferId)
    if (payment) this.credit(payment)
  }

  /** Takes the price of a letter off a client's balance; undefined if there is not enough. */
  buy(client: ClientAccount): Purchase | undefined {
    if (client.balance < this.#cost) return undefined
    client.usesToken = true
    const [oldest] = client.unspent
    return this.#buy(client, oldest)
  }

  /**
   * Takes the price of a letter off the balance of the client that made a payment, once for each payment. Anybody can
   * see a fulfillment on the ledger: it buys nothing by itself once its client has used its Pay-Token.
   *
   * @param client - the client that shows its Pay-Token, if one does: only to the payer is the letter that the payment
   *   has bought a moment ago given again, since that answer may have been lost on its way
   */
  buyWithFulfillment(fulfillment: string, client?: ClientAccount): Purchase | undefined {
    const purchase = this.#purchases.get(fulfillment)
    if (purchase && purchase.client === client && performance.now() - purchase.soldAt < repeatableMs)
      return purchase
    const payer = this.#byFulfillment.get(fulfillment)
    if (!payer || payer.balance < this.#cost) return undefined
    if (payer.usesToken && client !== payer) return undefined
    return this.#buy(payer, fulfillment)
  }

  #buy(client: ClientAccount, fulfillment = ''): Purchase {
    this.#add(client, -this.#cost)
    this.#spend(client, fulfillment)
    const purchase = { client, soldAt: performance.now(), letter: '' }
    if (fulfillment) this.#purchases.set(fulfillment, purchase)
    trim(this.#purchases, maxPurchases)
    return purchase
  }

  #spend(client: ClientAccount, fulfillment: string): void {
    client.unspent.delete(fulfillment)
    this.#byFulfillment.delete(fulfillment)
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
    for (const forgotten of trim(this.#idle, maxIdleAccounts)) this.#accounts.delete(forgotten)
    return client
  }

  #mac(nonce: Buffer): Buffer {
    return hmac(this.#key, nonce).subarray(0, 4)
  }
}

/** Removes the oldest entries of a collection until it is no larger than it may be. Returns their keys. */
function trim(entries: Map<string, unknown> | Set<string>, max: number): string[] {
  const removed: string[] = []
  for (const oldest of entries.keys()) {
    if (entries.size <= max) break
    entries.delete(oldest)
    removed.push(oldest)
  }
  return removed
}
