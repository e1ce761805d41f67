import { randomUUID } from 'node:crypto'
import {
  check,
  InvalidFieldsError,
  MaximumCustomDataSizeExceededError,
  MaximumIlpDataSizeExceededError,
  NoSubscriptionsError
} from './errors.ts'
import { copyOf, toObject } from './json.ts'
import type { Settings } from './options.ts'
import type { Submitter } from './submitter.ts'
import { fitsMemos, type Memos, memoTypes, toClassicAddress, toMemos } from './transactions.ts'
import type { Emit, Message, RequestHandler } from './types.ts'
import type { ValidatedTransaction, WireMessage } from './validated-transaction.ts'

const defaultTimeoutMs = 20_000
const maxTimerMs = 2 ** 31 - 1
const maxFinished = 1_000

interface Waiting {
  /** classic address of the account that was asked */
  receiver: string
  resolve(response: Message): void
  reject(reason: Error): void
}

/**
 * Requests and responses between two accounts, each carried by a payment of one drop with a memo, as the plugin of 2017
 * sent them.
 */
export class Messages {
  readonly #submitter: Submitter
  readonly #settings: Settings
  readonly #emit: Emit
  readonly #waiting = new Map<string, Waiting>()
  // Requests, by account and id, that this account has sent or handled: no message to them is a request.
  readonly #finished = new Set<string>()
  // Requests that have a response on the ledger, perhaps from an earlier run, of which a server that is behind tells
  // only after the request.
  readonly #answered = new Set<string>()

  readonly #requestHandler: () => RequestHandler | undefined

  /** @param requestHandler - what the host answers requests with now, if it does */
  constructor(
    submitter: Submitter,
    settings: Settings,
    emit: Emit,
    requestHandler: () => RequestHandler | undefined
  ) {
    this.#submitter = submitter
    this.#settings = settings
    this.#emit = emit
    this.#requestHandler = requestHandler
  }

  /** Rejects all requests that wait for a response. */
  stop(reason: Error): void {
    for (const { reject } of this.#waiting.values()) reject(reason)
  }

  /**
   * Sends a request and waits for its response.
   *
   * @throws NoSubscriptionsError if none comes in time
   */
  async request(message: Message): Promise<Message> {
    const { id = randomUUID(), to, ilp, custom, ledger, timeout = defaultTimeoutMs } = toObject(message) ?? {}
    const { prefix, wallet } = this.#settings
    const receiver = toClassicAddress(to, prefix)
    check(typeof id === 'string', `The request's id "${id}" is not a string`)
    check(
      typeof timeout === 'number' && !(timeout < 0),
      `The timeout "${timeout}" is not a number of milliseconds`
    )
    check(ilp === undefined || typeof ilp === 'string', `The packet of request "${id}" is not text`)
    check(
      ledger === undefined || ledger === prefix,
      `The request is for the ledger "${ledger}", this one is "${prefix}"`
    )
    check(!this.#waiting.has(id), `Another request under the id "${id}" is waiting for its response`)
    const Memos = toMessageMemos({ id, ilp, custom, isResponse: false } as WireMessage)
    const timeoutMs = timeout || defaultTimeoutMs
    let timer: NodeJS.Timeout | undefined
    const answered = new Promise<Message>((resolve, reject) => {
      this.#waiting.set(id, { receiver, resolve, reject })
      if (timeoutMs > maxTimerMs) return
      const why = `"${to}" did not answer request "${id}" within ${timeoutMs} ms`
      timer = setTimeout(() => reject(new NoSubscriptionsError(why)), timeoutMs)
    })
    try {
      const from = prefix + wallet.address
      this.#emit('outgoing_request', { ...message, id, from, ledger: prefix })
      await Promise.race([this.#send(receiver, Memos, `Request "${id}" to "${to}"`), answered])
      return await answered
    } finally {
      clearTimeout(timer)
      answered.catch(() => {})
      this.#waiting.delete(id)
    }
  }

  /** A transaction was validated: a message from or to this account, perhaps. */
  async onTransaction({ account, effect }: ValidatedTransaction): Promise<void> {
    if (effect?.kind !== 'message' || !effect.message) return
    const { payee, message } = effect
    const { prefix, wallet } = this.#settings
    const { address } = wallet
    const { id, isResponse, ...content } = message
    if (account === address) remember(isResponse ? this.#answered : this.#finished, nameOf(payee, id))
    if (payee !== address) return
    const incoming: Message = { id, from: prefix + account, to: prefix + payee, ledger: prefix, ...content }
    const waiting = this.#waiting.get(id)
    if (waiting?.receiver === account) {
      this.#emit('incoming_response', incoming)
      waiting.resolve(copyOf(incoming))
      return
    }
    const name = nameOf(account, id)
    if (isResponse || this.#finished.has(name)) return
    this.#emit('incoming_request', incoming)
    const handler = this.#requestHandler()
    if (!handler) return
    remember(this.#finished, name)
    const isAnswered = () => this.#answered.has(name)
    try {
      const { ilp, custom } = (await handler(copyOf(incoming))) ?? {}
      const Memos = toMessageMemos({ id, ilp, custom, isResponse: true } as WireMessage)
      await this.#send(account, Memos, `The response to request "${id}"`, isAnswered)
      const outgoing = { id, from: prefix + payee, to: prefix + account, ledger: prefix }
      this.#emit('outgoing_response', {
        ...outgoing,
        ...(ilp && { ilp }),
        ...(custom !== undefined && { custom })
      })
    } catch (err) {
      if (!isAnswered()) this.#emit('error', err as Error)
    }
  }

  async #send(destination: string, Memos: Memos, what: string, isDone?: () => boolean): Promise<void> {
    const tx = { TransactionType: 'Payment', Destination: destination, Amount: '1', Memos }
    await this.#submitter.submit({ tx, what, ...(isDone && { isDone }) })
  }
}

function nameOf(peer: string, id: string): string {
  return `${peer}:${id}`
}

function remember(names: Set<string>, name: string): void {
  names.add(name)
  const [oldest] = names
  if (oldest !== undefined && names.size > maxFinished) names.delete(oldest)
}

/** @throws InvalidFieldsError, MaximumIlpDataSizeExceededError, MaximumCustomDataSizeExceededError */
function toMessageMemos({ id, ilp, custom, isResponse }: WireMessage): Memos {
  const write = (content: unknown) => {
    try {
      return toMemos([
        [memoTypes.message, JSON.stringify(content)],
        [memoTypes.messageId, id]
      ])
    } catch (cause) {
      throw new InvalidFieldsError(`The custom data of message "${id}" cannot be written as JSON`, { cause })
    }
  }
  const mark = isResponse ? { isResponse } : {}
  if (!fitsMemos(write({ id, ilp, ...mark })))
    throw new MaximumIlpDataSizeExceededError(`The packet of message "${id}" is too large for the ledger`)
  const memos = write({ id, ilp, custom, ...mark })
  if (fitsMemos(memos)) return memos
  throw new MaximumCustomDataSizeExceededError(
    `The custom data of message "${id}" is too large for the ledger`
  )
}
