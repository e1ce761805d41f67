import { createHash } from 'node:crypto'
import { EventEmitter, setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type ClientOptions, WebSocket } from 'ws'
import {
  AccountNotFoundError,
  errorCodeOf,
  NotAcceptedError,
  RequestFailedError,
  requestFailed
} from './errors.ts'
import { isText, isUInt32, type Json, parseObject, toObject } from './json.ts'
import type { Settings } from './options.ts'
import {
  parseEscrowEntry,
  parseTransaction,
  type TransferEffect,
  type ValidatedTransaction
} from './validated-transaction.ts'

// One unanswered request must not hold up the ones behind it for long; asking again does no harm.
const requestTimeoutMs = 5_000
// After so long without a message a server is sent pings, and after twice as long the connection is given up.
const maxSilenceMs = 5_000
const heartbeatMs = 500
const closeTimeoutMs = 1_000
// Before a busy server is asked again, or for what it has not published yet.
const firstPauseMs = 100
const maxPauseMs = 2_000
// A page of an account's history takes some hundred kilobytes, nested some ten levels deep.
const maxMessageBytes = 8 * 2 ** 20
const maxDepth = 64
// Smaller messages cannot be nested so deep that it matters.
const minCheckedBytes = 2 ** 16
const transactionsPerPage = 200
const entriesPerPage = 400
const maxOwnEscrows = 100_000
// Strangers' escrows come on the same pages: so many lock 8 million XRP.
const maxEscrowPages = 100_000
const lsfDisableMaster = 0x00100000

const webSocketOptions: ClientOptions & { closeTimeout: number } = {
  perMessageDeflate: false,
  maxPayload: maxMessageBytes,
  closeTimeout: closeTimeoutMs
}

// Errors of a server that may be able to answer a moment later. Clio answers some of them when the rippled behind it
// cannot.
const temporaryErrors = new Set([
  ...['tooBusy', 'slowDown', 'noNetwork', 'noCurrent', 'noClosed', 'notReady', 'notSynced'],
  ...['internal', 'timeout', 'requestError', 'invalidResponse']
])

/** A command of the XRP Ledger's public API. */
export interface Request {
  command: string
  [parameter: string]: unknown
}

/** Part of the account's history. */
export interface Page {
  /** the ledgers that the server has searched */
  first: number
  last: number
  transactions: ValidatedTransaction[]
  /** where the next page begins */
  marker?: unknown
}

/** An escrow's ledger entry, as far as it is of use. */
export interface EscrowEntry {
  index: string
  isOwn: boolean
  /** the hash of the transaction that changed it last: its `EscrowCreate`, unless it was sponsored later (XLS-68) */
  previousTxnId: string
  /** the transfer that it holds, without its id and packet, if the entry says its sequence */
  effect?: TransferEffect
}

interface Pending {
  resolve(result: Json): void
  reject(reason: Error): void
  deadline: number
}

/** One connection to an XRP Ledger server, and what can be asked on it. Malformed messages are ignored. */
export class ServerConnection extends EventEmitter<{ ledgerClosed: [message: Json]; close: [] }> {
  readonly #settings: Settings
  readonly #webSocket: WebSocket
  #socket: Socket | undefined
  // The oldest first.
  readonly #pending = new Map<number, Pending>()
  readonly #heartbeat: NodeJS.Timeout
  #lastId = 0
  #receivedAt = performance.now()
  // Aborted when the connection ends, for a reason that is an Error.
  readonly #ended = new AbortController()

  /** resolves when requests can be sent */
  readonly opened: Promise<void>

  constructor(settings: Settings) {
    super()
    setMaxListeners(0, this.#ended.signal)
    this.#settings = settings
    this.#webSocket = new WebSocket(settings.server, webSocketOptions)
    this.#webSocket.on('message', (data, isBinary) => {
      if (!isBinary) this.#onMessage(String(data))
    })
    this.#webSocket.on('upgrade', ({ socket }) => {
      this.#socket = socket
    })
    this.#webSocket.on('error', err => this.#end(err))
    this.#webSocket.on('close', () => this.#end(new Error('The connection was closed')))
    this.#heartbeat = setInterval(() => this.#onHeartbeat(), heartbeatMs)
    this.opened = new Promise((resolve, reject) => {
      this.#webSocket.on('open', resolve)
      this.on('close', () => reject(this.#ended.signal.reason))
    })
    // Nobody may be waiting for it any more.
    this.opened.catch(() => {})
  }

  get isOpen(): boolean {
    return this.#webSocket.readyState === WebSocket.OPEN && !this.#ended.signal.aborted
  }

  /**
   * Sends a request.
   *
   * @returns the response's `result`
   * @throws RequestFailedError if the server responds with an error; another Error if it does not respond
   */
  request(request: Request): Promise<Json> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) throw this.#ended.signal.reason ?? new Error('The connection is not open')
      const id = ++this.#lastId
      this.#pending.set(id, { resolve, reject, deadline: performance.now() + requestTimeoutMs })
      this.#cork()
      const text = JSON.stringify({ id, api_version: 1, ...request })
      // Bytes are sent as one piece, where text would be two.
      this.#webSocket.send(Buffer.from(text), { binary: false })
    })
  }

  /** The same, but repeats the request while the server is too busy or does not respond. */
  async requestWithRetry(request: Request): Promise<Json> {
    for (let failures = 0; ; failures++) {
      try {
        return await this.request(request)
      } catch (err) {
        const code = errorCodeOf(err)
        if (!this.isOpen || (code !== undefined && !temporaryErrors.has(code))) throw err
        await this.pause(failures)
      }
    }
  }

  /** What the server says of itself. */
  async serverInfo(): Promise<Json> {
    return toObject((await this.requestWithRetry({ command: 'server_info' })).info) ?? {}
  }

  /** @throws AccountNotFoundError, NotAcceptedError */
  async verifyAccount(ledger_index: number): Promise<void> {
    const { wallet, serverName } = this.#settings
    const name = `The account "${wallet.address}"`
    try {
      const request = { command: 'account_info', account: wallet.address, ledger_index }
      const flags = toObject((await this.requestWithRetry(request)).account_data)?.Flags
      if (Number(flags) & lsfDisableMaster)
        throw new NotAcceptedError(`${name} has disabled its master key, so the secret cannot sign for it`)
    } catch (cause) {
      if (errorCodeOf(cause) !== 'actNotFound') throw requestFailed(`${name} was not accepted`, cause)
      throw new AccountNotFoundError(`${name} does not exist on "${serverName}": fund it first`, { cause })
    }
  }

  /**
   * The account's history, the oldest transaction first.
   *
   * @param first - ledger; -1 for the first that the server has, and likewise the last
   * @param parameters - further ones of `account_tx`
   */
  async history(first: number, last: number, parameters: Json): Promise<Page> {
    const { ledger_index_min, ledger_index_max, transactions, marker } = await this.requestWithRetry({
      command: 'account_tx',
      account: this.#settings.wallet.address,
      ledger_index_min: first,
      ledger_index_max: last,
      forward: true,
      limit: transactionsPerPage,
      ...parameters
    })
    if (!isUInt32(ledger_index_min) || !isUInt32(ledger_index_max) || !Array.isArray(transactions))
      throw new Error(malformed)
    const parsed = transactions.map(entry => parseTransaction(entry, this.#settings.prefix))
    const read = parsed.filter(transaction => transaction !== undefined)
    return { first: ledger_index_min, last: ledger_index_max, transactions: read, marker }
  }

  /** A validated transaction; undefined if the server does not know it as one. */
  async transaction(hash: string): Promise<ValidatedTransaction | undefined> {
    const response = await this.requestWithRetry({ command: 'tx', transaction: hash }).catch(err => {
      if (errorCodeOf(err) === undefined) throw err
    })
    const found = parseTransaction(response, this.#settings.prefix)
    return found?.hash === hash ? found : undefined
  }

  /** The account's sequence as of a validated ledger, or of the server's open one. */
  async accountSequence(ledger: number | 'current'): Promise<number> {
    const request = { command: 'account_info', account: this.#settings.wallet.address, ledger_index: ledger }
    const { account_data, ledger_index, validated } = await this.request(request)
    const sequence = toObject(account_data)?.Sequence
    if (ledger !== 'current' && !(ledger_index === ledger && validated === true)) throw new Error(wrongLedger)
    if (!isUInt32(sequence)) throw new Error(malformed)
    return sequence
  }

  /** Whether an entry is in the newest validated ledger. */
  async hasEntry(index: string): Promise<boolean> {
    try {
      await this.requestWithRetry({ command: 'ledger_entry', index, ledger_index: 'validated' })
      return true
    } catch (err) {
      if (errorCodeOf(err) !== 'entryNotFound') throw err
      return false
    }
  }

  /**
   * The escrows that are open as of a validated ledger. Strangers can make any number of escrows to an account: only its
   * own are kept, and those that the caller asks for.
   *
   * @param isWanted - whether to keep somebody else's escrow, by its index
   * @returns the escrows' entries, by their index
   */
  async openEscrows(
    ledger_index: number,
    isWanted: (index: string) => boolean
  ): Promise<Map<string, EscrowEntry>> {
    const account = this.#settings.wallet.address
    const request = { command: 'account_objects', account, type: 'escrow', ledger_index }
    const entries = new Map<string, EscrowEntry>()
    let marker: unknown
    const seen = new Set<string>()
    for (;;) {
      const page = await this.requestWithRetry({ ...request, limit: entriesPerPage, marker })
      // A server that is behind takes the number for that of its open ledger, where nothing is final.
      if (page.ledger_index !== ledger_index || page.validated !== true) throw new Error(wrongLedger)
      if (!Array.isArray(page.account_objects)) throw new Error(malformed)
      for (const object of page.account_objects) {
        const entry = toObject(object) ?? {}
        const { index, PreviousTxnID: previousTxnId } = entry
        const isOwn = entry.Account === account
        if (!isHash(index) || !isHash(previousTxnId) || !(isOwn || isWanted(index))) continue
        const effect = parseEscrowEntry(entry, index, this.#settings.prefix)
        entries.set(index, { index, isOwn, previousTxnId, ...(effect && { effect }) })
      }
      marker = page.marker
      if (marker === undefined) return entries
      // A digest, since a marker can be as long as a message.
      const digest = createHash('sha256').update(JSON.stringify(marker)).digest('hex')
      if (seen.has(digest) || seen.size >= maxEscrowPages || entries.size > maxOwnEscrows)
        throw new Error('The list of escrows has no end')
      seen.add(digest)
    }
  }

  /** The hash of a ledger, if the server has it. */
  async hashOfLedger(ledger_index: number): Promise<string | undefined> {
    const request = { command: 'ledger', ledger_index }
    const { ledger_hash } = await this.requestWithRetry(request).catch((): Json => ({}))
    return isText(ledger_hash) ? ledger_hash : undefined
  }

  /** Waits before a retry, longer after each failure, or until the connection ends. */
  async pause(failures: number): Promise<void> {
    const ms = Math.min(firstPauseMs * 2 ** failures, maxPauseMs)
    await delay(ms, undefined, { signal: this.#ended.signal }).catch(() => {})
  }

  /** Ends the connection, and waits until it is closed. */
  async close(reason = new Error('The connection was closed')): Promise<void> {
    this.#end(reason)
    if (this.#webSocket.readyState === WebSocket.CLOSED) return
    await new Promise(resolve => this.#webSocket.once('close', resolve))
  }

  /** Writes the requests of one turn of the event loop at once: each write costs as much as the rest of a request. */
  #cork(): void {
    const socket = this.#socket
    if (!socket || socket.writableCorked > 0) return
    socket.cork()
    process.nextTick(() => socket.uncork())
  }

  #onMessage(text: string): void {
    this.#receivedAt = performance.now()
    const message = isTooDeep(text) ? undefined : parseObject(text)
    if (message?.type === 'ledgerClosed') this.emit('ledgerClosed', message)
    if (message?.type !== 'response') return
    const pending = this.#pending.get(message.id as number)
    if (!pending) return
    this.#pending.delete(message.id as number)
    const result = toObject(message.result)
    if (message.status === 'success' && result) pending.resolve(result)
    else if (typeof message.error === 'string') pending.reject(new RequestFailedError(message))
    else pending.reject(new Error(malformed))
  }

  #onHeartbeat(): void {
    const now = performance.now()
    for (const [id, { deadline, reject }] of this.#pending) {
      if (deadline > now) break
      this.#pending.delete(id)
      reject(new Error(`no response in ${requestTimeoutMs} ms`))
    }
    const silentMs = now - this.#receivedAt
    if (silentMs > 2 * maxSilenceMs) this.#end(new Error('The server does not respond'))
    else if (silentMs > maxSilenceMs) this.request({ command: 'ping' }).catch(() => {})
  }

  #end(reason: Error): void {
    if (this.#ended.signal.aborted) return
    this.#ended.abort(reason)
    clearInterval(this.#heartbeat)
    if (this.#webSocket.readyState === WebSocket.CONNECTING) this.#webSocket.terminate()
    else this.#webSocket.close()
    for (const { reject } of this.#pending.values()) reject(reason)
    this.#pending.clear()
    this.emit('close')
  }
}

const malformed = 'The response of the server is malformed'
const wrongLedger = 'The server answered for another ledger than the one that was asked for'

function isHash(value: unknown): value is string {
  return isText(value) && /^[0-9A-F]{64}$/.test(value)
}

/** Whether JSON is nested so deep that parsing it would take many times its size in memory. */
function isTooDeep(text: string): boolean {
  if (text.length < minCheckedBytes) return false
  let depth = 0
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1
    if (depth > maxDepth) return true
  }
  return false
}
