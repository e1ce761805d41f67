import { EventEmitter } from 'node:events'
import { Client, RIPPLED_API_V1, type RIPPLED_API_V2, RippledError } from 'xrpl'

// One unanswered request must not hold up the ones behind it for long; nothing is lost by asking again. A ping goes
// out as often, so that a server that has fallen silent is given up after one to two of these.
const requestTimeoutMs = 5_000
const closeTimeoutMs = 1_000

export type Json = Record<string, unknown>

/** A command of the XRP Ledger's public API. */
export interface Request {
  command: string
  [parameter: string]: unknown
}

/** The server answered a request with an error. */
export class RequestRefusedError extends Error {
  /** the error's short name, e.g. `actNotFound` */
  readonly code: string
  /** the whole answer */
  readonly answer: Json

  constructor(answer: Json, cause: Error) {
    super(String(answer.error_message ?? answer.error_exception ?? answer.error), { cause })
    this.name = 'RequestRefusedError'
    this.code = String(answer.error)
    this.answer = answer
  }
}

/** xrpl.js's client, that leaves it to others to greet the server and prints nothing when that goes wrong. */
class QuietClient extends Client {
  override apiVersion: typeof RIPPLED_API_V1 | typeof RIPPLED_API_V2 = RIPPLED_API_V1

  override async getServerInfo(): Promise<void> {}
}

/**
 * One connection to an XRP Ledger server, from its opening to its end. The client of xrpl.js would open another one
 * after it, but only tries once, and without the subscriptions: this one does not.
 */
export class ServerSocket extends EventEmitter<{ message: [message: Json]; close: [] }> {
  readonly #client: QuietClient
  #failure: Error | undefined

  /** resolves when requests can be sent */
  readonly opened: Promise<void>

  /** @param timeoutMs - how long whoever opens it means to wait for the server */
  constructor(url: string, timeoutMs: number) {
    super()
    this.#client = new QuietClient(url, {
      timeout: requestTimeoutMs,
      connectionTimeout: timeoutMs + closeTimeoutMs
    })
    // What makes no sense is passed over: a request of ours that it answers runs into its timeout.
    this.#client.on('error', () => {})
    this.#client.on('ledgerClosed', message => this.emit('message', message as unknown as Json))
    this.#client.on('transaction', message => this.emit('message', message as unknown as Json))
    this.#client.on('disconnected', () => this.#end(new Error('The connection was closed')))
    this.#client.connection.reconnect = () => this.close(new Error('The server has fallen silent'))
    this.opened = this.#client.connect().catch(err => {
      this.#end(err)
      throw this.#failure
    })
    // Whoever waits for it is told; nobody may be waiting any more.
    this.opened.catch(() => {})
  }

  get isOpen(): boolean {
    return this.#client.isConnected() && !this.#failure
  }

  /** Speaks another version of the API than 1, which is what all servers have spoken so far. */
  set apiVersion(version: typeof RIPPLED_API_V1 | typeof RIPPLED_API_V2) {
    this.#client.apiVersion = version
  }

  /**
   * Asks the server.
   *
   * @returns the answer's `result`
   * @throws RequestRefusedError if the server answers with an error; another Error if it does not answer
   */
  async request<Result>(request: Request): Promise<Result> {
    if (!this.isOpen) throw this.#failure ?? new Error('The connection is not open')
    try {
      const answer = await this.#client.request(request as unknown as Parameters<Client['request']>[0])
      return answer.result as Result
    } catch (err) {
      throw err instanceof RippledError ? new RequestRefusedError(err.data as Json, err) : err
    }
  }

  /** Ends the connection: with a farewell, if the server still listens. */
  async close(reason = new Error('The connection was closed')): Promise<void> {
    this.#end(reason)
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>(resolve => {
      timer = setTimeout(resolve, closeTimeoutMs)
    })
    await Promise.race([this.#client.disconnect(), patience])
    clearTimeout(timer)
  }

  #end(reason: Error): void {
    if (this.#failure) return
    this.#failure = reason
    this.emit('close')
  }
}
