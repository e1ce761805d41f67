import { EventEmitter } from 'node:events'
import { WebSocket } from 'ws'

// One unanswered request must not hold up the ones behind it for long; nothing is lost by asking again.
const requestTimeoutMs = 10_000
// A server that says nothing for one to two of these, not even to a ping, is gone.
const heartbeatMs = 4_000
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

  constructor(answer: Json) {
    super(String(answer.error_message ?? answer.error_exception ?? answer.error))
    this.name = 'RequestRefusedError'
    this.code = String(answer.error)
    this.answer = answer
  }
}

/** A request's answer that is waited for. */
interface Pending {
  resolve(result: unknown): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

/** One WebSocket connection to an XRP Ledger server, from its opening to its end. */
export class ServerSocket extends EventEmitter<{ message: [message: Json]; close: [] }> {
  readonly #socket: WebSocket
  readonly #pending = new Map<number, Pending>()
  #nextId = 0
  #isSilent = false
  #heartbeat: NodeJS.Timeout | undefined
  #failure: Error | undefined

  /** what the server speaks; 1 is what all have spoken so far */
  apiVersion: 1 | 2 = 1
  /** resolves when requests can be sent */
  readonly opened: Promise<void>

  constructor(url: string) {
    super()
    this.#socket = new WebSocket(url)
    this.#socket.on('message', data => this.#receive(String(data)))
    this.#socket.on('pong', () => {
      this.#isSilent = false
    })
    this.#socket.on('error', err => this.#end(err))
    this.#socket.on('close', () => this.#end(new Error('The connection was closed')))
    this.opened = new Promise((resolve, reject) => {
      this.#socket.on('open', () => {
        this.#heartbeat = setInterval(() => this.#checkPulse(), heartbeatMs)
        resolve()
      })
      this.once('close', () => reject(this.#failure))
    })
    // Whoever waits for it is told; nobody may be waiting any more.
    this.opened.catch(() => {})
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN && !this.#failure
  }

  /**
   * Asks the server.
   *
   * @returns the answer's `result`
   * @throws RequestRefusedError if the server answers with an error; another Error if it does not answer
   */
  request<Result>(request: Request): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) throw this.#failure ?? new Error('The connection is not open')
      const id = this.#nextId++
      const timer = setTimeout(() => {
        this.#pending.delete(id)
        reject(new Error(`The server did not answer "${request.command}" within ${requestTimeoutMs} ms`))
      }, requestTimeoutMs)
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject, timer })
      this.#socket.send(JSON.stringify({ api_version: this.apiVersion, ...request, id }), () => {})
    })
  }

  /** Ends the connection: with a farewell, if the server still listens. */
  async close(reason = new Error('The connection was closed')): Promise<void> {
    if (this.#socket.readyState !== WebSocket.CLOSED) {
      const closed = new Promise(resolve => this.#socket.once('close', resolve))
      const timer = setTimeout(() => this.#socket.terminate(), closeTimeoutMs)
      this.#socket.close()
      this.#end(reason)
      await closed
      clearTimeout(timer)
    }
  }

  #receive(text: string): void {
    this.#isSilent = false
    if (this.#failure) return
    const message = parse(text)
    if (message?.type !== 'response') {
      if (message) this.emit('message', message)
      return
    }
    const pending = this.#pending.get(message.id as number)
    if (!pending) return
    this.#pending.delete(message.id as number)
    clearTimeout(pending.timer)
    if (message.status === 'success') pending.resolve(message.result)
    else pending.reject(new RequestRefusedError(message))
  }

  #checkPulse(): void {
    if (this.#isSilent) {
      this.#end(new Error(`The server has been silent for ${heartbeatMs} ms`))
      this.#socket.terminate()
      return
    }
    this.#isSilent = true
    this.#socket.ping()
  }

  #end(reason: Error): void {
    if (this.#failure) return
    this.#failure = reason
    clearInterval(this.#heartbeat)
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer)
      reject(reason)
    }
    this.#pending.clear()
    this.emit('close')
  }
}

function parse(text: string): Json | undefined {
  try {
    const message = JSON.parse(text)
    return typeof message === 'object' && message !== null ? message : undefined
  } catch {
    return undefined
  }
}
