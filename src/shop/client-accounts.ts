import type { ServerResponse } from 'node:http'
import base64url from 'base64url'
import { clientIdOf, clientIdOfChosen, newClientId, sharedSecretOf } from './offers.ts'

// How long a request waits for payments that are on their way: less than the client's own patience.
const maxWaitMs = 8_000
// And how long for one that the shop has not even heard of: the ledger may have told the client first.
const graceMs = 500
// How many requests wait at a time; of those that wait for nothing yet, how many for one client.
const maxWaiting = 2_000
const maxHopeful = 10
// How many of the secrets that clients chose themselves are remembered before they have paid.
const maxChosen = 100_000
// And how many clients who get their letters for their Pay-Token.
const maxTokenHolders = 100_000

/** What a shop knows of one client. */
export interface ClientAccount {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** drops */
  balance: number
  /** drops in payments that are being fulfilled */
  expected: number
  /** payments that were taken and have bought no letter yet */
  payments: Set<Payment>
  /** requests that wait for a payment, in the order in which they came */
  requests: Set<LetterRequest>
}

/** A payment, from the moment when the shop accepts it. */
export interface Payment {
  client: ClientAccount
  drops: number
  /** base64url */
  fulfillment: string
  isTaken: boolean
}

/** What a request comes to: a letter, a price, the advice to ask again, or nobody is there any more. */
type Answer = 'paid' | 'unpaid' | 'undecided' | 'gone'

interface LetterRequest {
  /** the payment that it is for, if it is for one */
  payment: Payment | undefined
  /** whether its payment may be one that the shop has not even heard of */
  isNew: boolean
  answer(answer: Answer): void
}

/**
 * Decides who has how much to their credit, and whose request a payment is for. Whoever has credit is remembered as
 * long as the shop runs; whoever has none need not be, see `offers.ts`.
 */
export class ClientAccounts {
  readonly #cost: number
  readonly #accounts = new Map<string, ClientAccount>()
  readonly #payments = new Map<string, Payment>()
  readonly #chosen = new Map<string, Buffer>()
  // Clients who get their letters for their Pay-Token, and so not for a fulfillment, which others can see as well.
  readonly #tokenHolders = new Set<string>()
  #waiting = 0

  /** @param cost - of a letter, drops */
  constructor(cost: number) {
    this.#cost = cost
  }

  /** A client who shares a secret with the shop. */
  get(clientId: string): ClientAccount | undefined {
    const sharedSecret = sharedSecretOf(clientId) ?? this.#chosen.get(clientId)
    const known = this.#accounts.get(clientId)
    if (known || !sharedSecret) return known
    return { clientId, sharedSecret, balance: 0, expected: 0, payments: new Set(), requests: new Set() }
  }

  /** A client whom the shop has not seen before. */
  newClient(): ClientAccount {
    return this.get(newClientId()) as ClientAccount
  }

  /**
   * The client who shows a Pay-Token: also one who chose it and was never seen before.
   *
   * @returns undefined if it is no shared secret, base64url of 32 bytes
   */
  ofToken(payToken: string): ClientAccount | undefined {
    const sharedSecret = Buffer.from(payToken, 'base64url')
    if (sharedSecret.length !== 32 || base64url(sharedSecret) !== payToken) return undefined
    return this.get(clientIdOf(sharedSecret) ?? this.#choose(sharedSecret))
  }

  /** A payment that there has been no letter for yet. */
  ofFulfillment(fulfillment: string): Payment | undefined {
    return this.#payments.get(fulfillment)
  }

  /** Takes note of a payment that is about to be taken. */
  accept(client: ClientAccount, drops: number, fulfillment: string): Payment {
    const payment: Payment = { client, drops, fulfillment, isTaken: false }
    client.expected += drops
    this.#accounts.set(client.clientId, client)
    if (!this.#tokenHolders.has(client.clientId) && !this.#payments.has(fulfillment))
      this.#payments.set(fulfillment, payment)
    return payment
  }

  /** The payment was taken: whoever has shown the Pay-Token and waited longest has a letter, or else whoever asks for it. */
  credit(payment: Payment): void {
    const { client, drops } = payment
    client.expected -= drops
    client.balance += drops
    client.payments.add(payment)
    payment.isTaken = true
    for (const request of client.requests) {
      if (client.balance < this.#cost) break
      if (!request.payment) request.answer('paid')
    }
    for (const request of client.requests)
      if (request.payment === payment) request.answer(client.payments.has(payment) ? 'paid' : 'unpaid')
  }

  /** The payment could not be taken: whoever has waited for it has waited in vain, unless another may be on its way. */
  fail(payment: Payment): void {
    const { client } = payment
    client.expected -= payment.drops
    this.#forget(payment)
    let before = 0
    for (const request of client.requests) {
      if (request.payment !== payment && this.#covers(client, before)) before++
      else if (request.payment || !request.isNew) request.answer('unpaid')
    }
    this.#forgetIfIdle(client)
  }

  /**
   * Asks for a letter: for one payment, or for any of the client's. While payments are being fulfilled the answer waits
   * for as many of them as there are requests before it. With the answer "paid" the price is taken off.
   *
   * @param res - where the letter would go: whoever hangs up asks no more
   */
  async ask(client: ClientAccount, res: ServerResponse, payment?: Payment): Promise<Answer> {
    if (payment ? payment.isTaken : client.balance >= this.#cost) {
      this.#debit(client, payment)
      return 'paid'
    }
    const { requests } = client
    const isCovered = this.#covers(client, requests.size)
    if (!isCovered && !this.#covers(client, requests.size - maxHopeful)) return 'unpaid'
    // Whoever has paid comes before whoever has not.
    if (this.#waiting >= (isCovered ? maxWaiting : maxWaiting / 2)) return 'undecided'
    this.#accounts.set(client.clientId, client)
    this.#waiting++
    const answer = await this.#wait(client, res, payment)
    this.#waiting--
    return answer
  }

  #wait(client: ClientAccount, res: ServerResponse, payment?: Payment) {
    const { requests } = client
    const deadline = Date.now() + maxWaitMs
    return new Promise<Answer>(resolve => {
      const request: LetterRequest = {
        payment,
        isNew: true,
        answer: answer => {
          if (!requests.delete(request)) return
          clearTimeout(timer)
          if (answer === 'paid') this.#debit(client, payment)
          else this.#forgetIfIdle(client)
          resolve(answer)
        }
      }
      const onTimeout = () => {
        request.isNew = false
        const hasHope = this.#covers(client, [...requests].indexOf(request))
        const leftMs = deadline - Date.now()
        if (hasHope && leftMs > 0) timer = setTimeout(onTimeout, leftMs)
        else request.answer(hasHope ? 'undecided' : 'unpaid')
      }
      let timer = setTimeout(onTimeout, graceMs)
      requests.add(request)
      res.once('close', () => request.answer('gone'))
    })
  }

  /** Whether the client's payments are enough for a letter after so many others. */
  #covers({ balance, expected }: ClientAccount, before: number): boolean {
    return balance + expected >= (before + 1) * this.#cost
  }

  /** Takes the price of a letter off, and with it the payment that could have bought it: the one asked for, or any. */
  #debit(client: ClientAccount, asked?: Payment): void {
    const payment = asked ?? client.payments.values().next().value
    client.balance -= this.#cost
    if (!asked) {
      this.#tokenHolders.add(client.clientId)
      forgetOldest(this.#tokenHolders, maxTokenHolders)
    }
    if (payment) this.#forget(payment)
    this.#forgetIfIdle(client)
  }

  #forget(payment: Payment): void {
    payment.client.payments.delete(payment)
    if (this.#payments.get(payment.fulfillment) === payment) this.#payments.delete(payment.fulfillment)
  }

  #forgetIfIdle({ clientId, balance, expected, requests }: ClientAccount): void {
    if (balance === 0 && expected === 0 && requests.size === 0) this.#accounts.delete(clientId)
  }

  /** Remembers a secret that the client chose: of those who only ask, the first to come are the first forgotten. */
  #choose(sharedSecret: Buffer): string {
    const clientId = clientIdOfChosen(sharedSecret)
    this.#chosen.delete(clientId)
    this.#chosen.set(clientId, sharedSecret)
    forgetOldest(this.#chosen, maxChosen)
    return clientId
  }
}

function forgetOldest(remembered: Map<string, unknown> | Set<string>, max: number): void {
  for (const oldest of remembered.keys()) {
    if (remembered.size <= max) break
    remembered.delete(oldest)
  }
}
