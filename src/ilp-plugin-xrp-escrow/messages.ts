import { randomUUID } from 'node:crypto'
import {
  InvalidFieldsError,
  MaximumCustomDataSizeExceededError,
  MaximumIlpDataSizeExceededError,
  NoSubscriptionsError
} from './errors.ts'
import type { Order } from './job.ts'
import { check, copyOf, toObject } from './json.ts'
import type { WireMessage } from './ledger-transaction.ts'
import { fitsMemos, type Memos, memoTypes, toMemos } from './memos.ts'
import { toClassicAddress } from './transfer.ts'
import type { Message, PluginEvents, RequestHandler } from './types.ts'

const defaultTimeoutMs = 20_000
const maxTimerMs = 2 ** 31 - 1
const remembered = 1_000

/** What the messages need of their plugin. */
interface MessageHost {
  prefix: string
  /** classic address of the account */
  address: string
  /** what the host answers requests with, if it does */
  requestHandler(): RequestHandler | undefined
  /** sends a transaction and waits until it is validated */
  submit(order: Order): Promise<unknown>
  tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void
}

/**
 * Requests and answers between two accounts, each carried by a payment of one drop with a memo, as the 2017
 * plugin sent them: the ledger is slow and dear as a messenger, but everyone on it can be reached.
 */
export class Messages {
  readonly #host: MessageHost
  readonly #asked = new Map<
    string,
    { of: string; answer(message: Message): void; giveUp(reason: Error): void }
  >()
  // With whom under which id there is nothing more to say: asked from this account, be it by another program, or
  // answered. What comes then is an answer, or somebody's answer to an answer.
  readonly #settled = new Set<string>()
  // What this account has answered on the ledger: an earlier run of the program may have, which a server that is behind
  // tells only after the request.
  readonly #answered = new Set<string>()

  constructor(host: MessageHost) {
    this.#host = host
  }

  /** Waits for no answer any more. */
  giveUp(reason: Error): void {
    for (const { giveUp } of this.#asked.values()) giveUp(reason)
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @throws NoSubscriptionsError if none comes in time: the ledger does not know who listens
   */
  async request(message: Message): Promise<Message> {
    const { id = randomUUID(), to, ilp, custom, ledger, timeout = defaultTimeoutMs } = toObject(message) ?? {}
    const { prefix } = this.#host
    const of = toClassicAddress(to, prefix)
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
    check(!this.#asked.has(id), `Another request under the id "${id}" is waiting for its answer`)
    const Memos = toMessageMemos({ id, ilp, custom, isResponse: false } as WireMessage)
    const timeoutMs = timeout || defaultTimeoutMs
    let timer: NodeJS.Timeout | undefined
    const answered = new Promise<Message>((resolve, reject) => {
      this.#asked.set(id, { of, answer: resolve, giveUp: reject })
      if (timeoutMs > maxTimerMs) return
      const why = `"${to}" did not answer request "${id}" within ${timeoutMs} ms`
      timer = setTimeout(() => reject(new NoSubscriptionsError(why)), timeoutMs)
    })
    try {
      const from = prefix + this.#host.address
      this.#host.tell('outgoing_request', { ...message, id, from, ledger: prefix })
      await Promise.race([this.#send(of, Memos, `Request "${id}" to "${to}"`), answered])
      return await answered
    } finally {
      clearTimeout(timer)
      answered.catch(() => {})
      this.#asked.delete(id)
    }
  }

  /**
   * Takes a validated payment from or to this account, which carries a message.
   *
   * @param account - classic address of its sender
   */
  async onPayment(account: string, payee: string, message: WireMessage): Promise<void> {
    const address = this.#host.address
    const { id, isResponse, ...content } = message
    if (account === address) remember(isResponse ? this.#answered : this.#settled, nameOf(payee, id))
    if (payee !== address) return
    const { prefix } = this.#host
    const incoming: Message = { id, from: prefix + account, to: prefix + payee, ledger: prefix, ...content }
    const asked = this.#asked.get(id)
    if (asked?.of === account) {
      this.#host.tell('incoming_response', incoming)
      asked.answer(copyOf(incoming))
      return
    }
    const name = nameOf(account, id)
    if (isResponse || this.#settled.has(name)) return
    this.#host.tell('incoming_request', incoming)
    const handler = this.#host.requestHandler()
    if (!handler) return
    remember(this.#settled, name)
    const isAnswered = () => this.#answered.has(name)
    try {
      const { ilp, custom } = (await handler(copyOf(incoming))) ?? {}
      const Memos = toMessageMemos({ id, ilp, custom, isResponse: true } as WireMessage)
      await this.#send(account, Memos, `The answer to request "${id}"`, isAnswered)
      const outgoing = { id, from: prefix + payee, to: prefix + account, ledger: prefix }
      this.#host.tell('outgoing_response', {
        ...outgoing,
        ...(ilp && { ilp }),
        ...(custom !== undefined && { custom })
      })
    } catch (err) {
      if (!isAnswered()) this.#host.tell('error', err as Error)
    }
  }

  async #send(destination: string, Memos: Memos, what: string, isDone?: () => boolean): Promise<void> {
    const tx = { TransactionType: 'Payment', Destination: destination, Amount: '1', Memos }
    await this.#host.submit({ tx, what, ...(isDone && { isDone }) })
  }
}

function nameOf(peer: string, id: string): string {
  return `${peer}:${id}`
}

function remember(names: Set<string>, name: string): void {
  names.add(name)
  const [oldest] = names
  if (oldest !== undefined && names.size > remembered) names.delete(oldest)
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
    throw new MaximumIlpDataSizeExceededError(
      `The packet of message "${id}" has no room in a memo of the ledger`
    )
  const memos = write({ id, ilp, custom, ...mark })
  if (fitsMemos(memos)) return memos
  throw new MaximumCustomDataSizeExceededError(
    `The custom data of message "${id}" has no room in a memo of the ledger`
  )
}
