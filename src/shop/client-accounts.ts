import { randomBytes } from 'node:crypto'
import base64url from 'base64url'
import { hmac } from '../crypto.ts'
import { trim } from './trim.ts'

// How many clients without credit keep their address and secret, and how many fulfillments a letter is still sold for.
const maxIdleAccounts = 100_000
const maxFulfillments = 100_000
// How many payments whose credit was revoked may still turn out to be paid.
const maxRevoked = 1_000

/** What a shop knows of one client. */
export interface ClientAccount {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** drops */
  balance: bigint
  /** whether it has bought with its Pay-Token, and so buys with nothing that others can see */
  usesToken: boolean
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
  readonly #revoked = new Map<string, { client: ClientAccount; drops: bigint }>()

  /** @param cost - of a letter, drops */
  constructor(cost: number) {
    this.#cost = BigInt(cost)
  }

  /** A client that has not been here before. */
  newClient(): ClientAccount {
    const nonce = randomBytes(8)
    const clientId = base64url(Buffer.concat([nonce, this.#mac(nonce)]))
    return { clientId, sharedSecret: hmac(this.#key, clientId), balance: 0n, usesToken: false }
  }

  /** The client that makes a payment; undefined if its clientId is not from this run of the shop. */
  get(clientId: string): ClientAccount | undefined {
    const id = Buffer.from(clientId, 'base64url')
    if (base64url(id) !== clientId || !this.#mac(id.subarray(0, 8)).equals(id.subarray(8))) return undefined
    const sharedSecret = hmac(this.#key, clientId)
    const client = { clientId, sharedSecret, balance: 0n, usesToken: false }
    return this.ofToken(base64url(sharedSecret)) ?? this.#add(client, 0n)
  }

  /** The client that shows a Pay-Token, if it has made a payment. */
  ofToken(payToken: string): ClientAccount | undefined {
    return this.#accounts.get(payToken)
  }

  /** Credits a payment that is accepted. */
  credit(client: ClientAccount, drops: bigint, fulfillment: string): void {
    this.#add(client, drops)
    if (client.usesToken) return
    this.#byFulfillment.set(fulfillment, client)
    trim(this.#byFulfillment, maxFulfillments)
  }

  /** Takes the credit of a payment back that cannot come any more, as far as it is unspent. */
  revoke(client: ClientAccount, drops: bigint, transferId: string): void {
    const unspent = drops < client.balance ? drops : client.balance
    this.#add(client, -unspent)
    this.#revoked.set(transferId, { client, drops: unspent })
    trim(this.#revoked, maxRevoked)
  }

  /** Gives back what was revoked, since the payment has come after all. */
  restore(transferId: string): void {
    const { client, drops = 0n } = this.#revoked.get(transferId) ?? {}
    this.#revoked.delete(transferId)
    if (client) this.#add(client, drops)
  }

  /** Takes the price of a letter off a client's balance. Returns whether there was enough. */
  buy(client: ClientAccount): boolean {
    if (client.balance < this.#cost) return false
    client.usesToken = true
    this.#add(client, -this.#cost)
    return true
  }

  /**
   * Takes the price of a letter off the balance of the client that made a payment, once for each payment. Anybody can
   * see a fulfillment on the ledger: it buys nothing once its client has used its Pay-Token.
   */
  buyWithFulfillment(fulfillment: string): boolean {
    const client = this.#byFulfillment.get(fulfillment)
    this.#byFulfillment.delete(fulfillment)
    if (!client || client.usesToken || client.balance < this.#cost) return false
    this.#add(client, -this.#cost)
    return true
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
