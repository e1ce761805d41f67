import { randomUUID } from 'node:crypto'
import { InvalidFieldsError, NoSubscriptionsError, RequestHandlerAlreadyRegisteredError } from './errors.ts'
import { fromJsonMemo, fromMemos, memoTypes, toMemos } from './memos.ts'
import { toClassicAddress } from './transfer.ts'
import type { Message, PluginEvents, RequestHandler } from './types.ts'

const defaultTimeoutMs = 20_000

/** What the messages need of their plugin. */
interface MessageHost {
  prefix: string
  /** sends a transaction and waits until it is validated; `what` names it in an error */
  send(tx: Record<string, unknown>, what: string): Promise<unknown>
  tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void
}

/**
 * Requests and answers between two accounts, each carried by a payment of one drop with a memo, as the 2017
 * plugin sent them: the ledger is slow and dear as a messenger, but everyone on it can be reached.
 */
export class Messages {
  readonly #host: MessageHost
  readonly #asked = new Map<string, { of: string; answer(message: Message): void }>()
  #handler: RequestHandler | undefined

  constructor(host: MessageHost) {
    this.#host = host
  }

  register(handler: RequestHandler): void {
    if (this.#handler)
      throw new RequestHandlerAlreadyRegisteredError('A request handler is registered already')
    if (typeof handler !== 'function') throw new TypeError('The request handler is not a function')
    this.#handler = handler
  }

  deregister(): void {
    this.#handler = undefined
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @throws NoSubscriptionsError if none comes in time: the ledger does not know who listens
   */
  async request(message: Message): Promise<Message> {
    const request = { ...message, id: message.id ?? randomUUID() }
    const of = toClassicAddress(request.to, this.#host.prefix)
    const timeoutMs = message.timeout ?? defaultTimeoutMs
    if (!(timeoutMs > 0))
      throw new InvalidFieldsError(`The timeout "${timeoutMs}" is not a number of milliseconds`)
    if (message.ledger !== undefined && message.ledger !== this.#host.prefix) {
      throw new InvalidFieldsError(
        `The request is for the ledger "${message.ledger}", this one is "${this.#host.prefix}"`
      )
    }
    if (this.#asked.has(request.id))
      throw new InvalidFieldsError(`Another request under the id "${request.id}" is waiting for its answer`)
    let timer: NodeJS.Timeout | undefined
    const answered = new Promise<Message>((resolve, reject) => {
      this.#asked.set(request.id, { of, answer: resolve })
      timer = setTimeout(() => {
        reject(
          new NoSubscriptionsError(
            `"${request.to}" did not answer request "${request.id}" within ${timeoutMs} ms`
          )
        )
      }, timeoutMs)
    })
    try {
      this.#host.tell('outgoing_request', request)
      await Promise.race([this.#send(request, of), answered])
      return await answered
    } finally {
      clearTimeout(timer)
      answered.catch(() => {})
      this.#asked.delete(request.id)
    }
  }

  /** Takes a validated payment to this account, which may carry a message, or anything else. */
  async onPayment(tx: Record<string, unknown>): Promise<void> {
    const { prefix } = this.#host
    const content = parse(tx.Memos)
    if (!content) return
    const message: Message = {
      ...content,
      from: `${prefix}${tx.Account}`,
      to: `${prefix}${tx.Destination}`,
      ledger: prefix
    }
    const asked = this.#asked.get(content.id)
    if (asked && asked.of === tx.Account) {
      this.#host.tell('incoming_response', message)
      asked.answer(message)
      return
    }
    this.#host.tell('incoming_request', message)
    if (!this.#handler) return
    try {
      const response = { ...(await this.#handler(message)), id: content.id, to: message.from as string }
      await this.#send(response, String(tx.Account))
      this.#host.tell('outgoing_response', response)
    } catch (err) {
      this.#host.tell('error', err as Error)
    }
  }

  async #send({ id, ilp, custom, to }: Message, destination: string): Promise<void> {
    const Memos = toMemos([
      [memoTypes.message, JSON.stringify({ id, ilp, custom })],
      [memoTypes.messageId, String(id)]
    ])
    const tx = { TransactionType: 'Payment', Destination: destination, Amount: '1', Memos }
    await this.#host.send(tx, `Message "${id}" to "${to}"`)
  }
}

function parse(memos: unknown): { id: string; ilp?: string; custom?: unknown } | undefined {
  const { ilp, custom, ...content } = fromJsonMemo(memos, memoTypes.message) ?? {}
  const id = content.id ?? fromMemos(memos, memoTypes.messageId)
  if (typeof id !== 'string') return undefined
  return { id, ...(typeof ilp === 'string' && { ilp }), ...(custom !== undefined && { custom }) }
}
