import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { type ClientOptions, WebSocket } from 'ws'
import { type Json, parseObject } from './json.ts'

// One unanswered request must not hold up the ones behind it for long; nothing is lost by asking again.
const requestTimeoutMs = 5_000
// A server that has said nothing for so long is asked whether it is still there.
const silenceMs = 5_000
const watchEveryMs = 500
const closeTimeoutMs = 1_000
// Before a server that is too busy is asked again.
const firstPauseMs = 100
const maxPauseMs = 2_000

const webSocketOptions: ClientOptions & { closeTimeout: number } = {
  perMessageDeflate: false,
  closeTimeout: closeTimeoutMs
}

/** A command of the XRP Ledger's public API. */
export interface Request {
  command: string
  [parameter: string]: unknown
}

/**
 * Asks a server.
 *
 * @returns the answer's `result`
 * @throws RequestRefusedError if the server answers with an error; another error if it does not answer
 */
export type Ask = (request: Request) => Promise<Json>

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

interface Pending {
  resolve(result: Json): void
  reject(reason: Error): void
  deadline: number
}

/**
 * One connection to an XRP Ledger server, from its opening to its end. What a server sends that makes no sense is
 * passed over: a request of ours that it should have answered runs into its timeout.
 */
export class ServerSocket extends EventEmitter<{ ledgerClosed: [message: Json]; close: [] }> {
  readonly #socket: WebSocket
  // What the messages go over.
  #wire: Socket | undefined
  // The oldest first.
  readonly #pending = new Map<number, Pending>()
  readonly #watch: NodeJS.Timeout
  #lastId = 0
  #heardAt = performance.now()
  #isAsking = false
  #failure: Error | undefined

  /** version of the API to speak: 1 is what all servers have spoken so far */
  apiVersion: 1 | 2 = 1
  /** resolves when requests can be sent */
  readonly opened: Promise<void>

  constructor(url: string) {
    super()
    this.setMaxListeners(0)
    this.#socket = new WebSocket(url, webSocketOptions)
    this.#socket.on('message', (data, isBinary) => {
      if (!isBinary) this.#onMessage(String(data))
    })
    this.#socket.on('upgrade', ({ socket }) => {
      this.#wire = socket
    })
    this.#socket.on('error', err => this.#end(err))
    this.#socket.on('close', () => this.#end(new Error('The connection was closed')))
    this.#watch = setInterval(() => this.#onWatch(), watchEveryMs)
    this.opened = new Promise((resolve, reject) => {
      this.#socket.on('open', resolve)
      this.on('close', () => reject(this.#failure))
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
  request(request: Request): Promise<Json> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) throw this.#failure ?? new Error('The connection is not open')
      const id = ++this.#lastId
      this.#pending.set(id, { resolve, reject, deadline: performance.now() + requestTimeoutMs })
      this.#cork()
      const text = JSON.stringify({ id, api_version: this.apiVersion, ...request })
      // Bytes are sent as one piece, where text would be two.
      this.#socket.send(Buffer.from(text), { binary: false })
    })
  }

  /** Asks again and again as long as the server is too busy, or does not answer. */
  async patiently(request: Request): Promise<Json> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      try {
        return await this.request(request)
      } catch (err) {
        const code = errorCode(err)
        if (!this.isOpen || (code !== undefined && !passing.has(code))) throw err
        await this.pause(pauseMs)
      }
    }
  }

  /** Waits for a while, or until the connection ends. */
  pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.off('close', done)
        resolve()
      }
      const timer = setTimeout(done, this.#failure ? 0 : ms)
      this.on('close', done)
    })
  }

  /** Ends the connection: with a farewell, if the server still listens. */
  async close(reason = new Error('The connection was closed')): Promise<void> {
    this.#end(reason)
    if (this.#socket.readyState === WebSocket.CLOSED) return
    await new Promise(resolve => this.#socket.once('close', resolve))
  }

  /** What is asked in one go is written in one go: each time costs about as much as all the rest of it. */
  #cork(): void {
    const wire = this.#wire
    if (!wire || wire.writableCorked > 0) return
    wire.cork()
    process.nextTick(() => wire.uncork())
  }

  #onMessage(text: string): void {
    this.#heardAt = performance.now()
    const message = parseObject(text)
    if (message?.type === 'ledgerClosed') this.emit('ledgerClosed', message)
    if (message?.type !== 'response') return
    const { id, status, result } = message
    const pending = this.#pending.get(id as number)
    if (!pending) return
    this.#pending.delete(id as number)
    if (status === 'success' && typeof result === 'object' && result !== null) pending.resolve(result as Json)
    else if (typeof message.error === 'string') pending.reject(new RequestRefusedError(message))
    else pending.reject(new Error('the server gave an answer that is none'))
  }

  #onWatch(): void {
    const now = performance.now()
    for (const [id, { deadline, reject }] of this.#pending) {
      if (deadline > now) break
      this.#pending.delete(id)
      reject(new Error(`no answer in ${requestTimeoutMs} ms`))
    }
    if (this.#isAsking || now - this.#heardAt < silenceMs || !this.isOpen) return
    this.#isAsking = true
    this.request({ command: 'ping' })
      .catch(err => {
        if (!(err instanceof RequestRefusedError)) this.close(new Error('The server has fallen silent'))
      })
      .finally(() => {
        this.#isAsking = false
      })
  }

  #end(reason: Error): void {
    if (this.#failure) return
    this.#failure = reason
    clearInterval(this.#watch)
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.terminate()
    else this.#socket.close()
    for (const { reject } of this.#pending.values()) reject(reason)
    this.#pending.clear()
    this.emit('close')
  }
}

// A server that cannot answer just now; what Clio says when the rippled behind it cannot is among it.
const passing = new Set([
  ...['tooBusy', 'slowDown', 'noNetwork', 'noCurrent', 'noClosed', 'notReady', 'notSynced'],
  ...['internal', 'timeout', 'requestError', 'invalidResponse']
])

/** The short name of the error that a server answered with, e.g. `actNotFound`. */
export function errorCode(err: unknown): string | undefined {
  return err instanceof RequestRefusedError ? err.code : undefined
}
