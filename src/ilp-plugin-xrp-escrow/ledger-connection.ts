import { EventEmitter } from 'node:events'
import { NotAcceptedError, UnreachableError } from './errors.ts'
import { type Json, type Request, RequestRefusedError, ServerSocket } from './server-socket.ts'

const reconnectTimeoutMs = 10_000
const firstBackoffMs = 250
const maxBackoffMs = 5_000
// How many ledger hashes to remember, to recognise the ledger again after the connection was down.
const rememberedLedgers = 64

/** A transaction in a validated ledger that touches the plugin's account. */
export interface ValidatedTransaction {
  hash: string
  tx: Json
  meta: { TransactionResult: string; TransactionIndex: number }
  ledgerIndex: number
}

/** A closed ledger. */
export interface ClosedLedger {
  index: number
  /** ledger time, seconds since 2000-01-01T00:00Z */
  closeTime: number
}

interface ConnectionEvents {
  up: []
  down: []
  /** the server's ledger is not the one seen before: a test ledger that was restarted empty */
  reset: []
  /** the server does not have these ledgers any more, in which something may have happened */
  missed: [firstLedger: number, lastLedger: number]
  /** the server is there again, and does not take us back; it is asked again */
  refused: [reason: Error]
  /** each once, in the order in which they stand in the ledgers */
  transaction: [transaction: ValidatedTransaction]
  /** this ledger was validated; its transactions may still be on their way */
  ledger: [ledger: ClosedLedger]
  /** every transaction up to and including this ledger has been emitted */
  complete: [ledger: ClosedLedger]
}

/** Asks a server, see `LedgerConnection.request`. */
export type Ask = <Result>(request: Request) => Promise<Result>

/**
 * The connection to an XRP Ledger server, as seen from one account: it comes back by itself after it was
 * lost, and tells of every validated transaction of the account exactly once, in ledger order, also of those
 * that were validated while it was down.
 */
export class LedgerConnection extends EventEmitter<ConnectionEvents> {
  readonly #server: string
  readonly #address: string
  readonly #takeStock: (ask: Ask, ledgerIndex: number) => Promise<void>
  // The connection in use or being made: what belongs to another is out of date.
  #socket: ServerSocket | undefined
  #closed = true
  #up = false
  #backoffMs = firstBackoffMs
  #retryTimer: NodeJS.Timeout | undefined

  // The last place in the ledgers up to which everything was emitted.
  #cursor = { ledger: 0, index: -1 }
  #complete = 0
  // Transactions that came while older ones are still being fetched; undefined when nothing is.
  #waiting: ValidatedTransaction[] | undefined
  #hasGap = false
  #hashes = new Map<number, string>()

  /** the newest validated ledger */
  validated: ClosedLedger = { index: 0, closeTime: 0 }
  /** drops that the simplest transaction costs */
  baseFee = 10
  /** the network's ID, where transactions have to name it: above 1024 (xrpl.org: Network ID) */
  networkId: number | undefined

  /**
   * @param server - WebSocket URL
   * @param address - classic address of the account to follow
   * @param takeStock - called once, before anything is told: finds out how things stand as of a ledger, after
   *   which the connection tells of what changes; what it throws, `open` throws
   */
  constructor(
    server: string,
    address: string,
    takeStock: (ask: Ask, ledgerIndex: number) => Promise<void> = async () => {}
  ) {
    super()
    this.#server = server
    this.#address = address
    this.#takeStock = takeStock
  }

  get isUp(): boolean {
    return this.#up
  }

  /**
   * Connects and follows the account: from the newest validated ledger on, or from where it was left at `close`.
   *
   * @param timeoutMs - how long to wait for the server
   * @throws UnreachableError
   */
  async open(timeoutMs: number): Promise<void> {
    this.#closed = false
    clearTimeout(this.#retryTimer)
    try {
      await this.#connect(timeoutMs)
    } catch (err) {
      // Unless another call has taken over meanwhile.
      if (!this.#socket) {
        this.#closed = true
        clearTimeout(this.#retryTimer)
      }
      throw err
    }
  }

  /** Disconnects and stays so. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retryTimer)
    const socket = this.#socket
    this.#socket = undefined
    this.#goDown()
    await socket?.close()
  }

  /**
   * Asks the server.
   *
   * @param request - a command of the XRP Ledger's public API
   * @returns the `result` of the answer
   * @throws RequestRefusedError if the server answers with an error
   * @throws UnreachableError if there is no connection, or no answer
   */
  request<Result>(request: Request): Promise<Result> {
    return this.#ask(this.#socket, request)
  }

  async #ask<Result>(socket: ServerSocket | undefined, request: Request): Promise<Result> {
    if (!socket) throw unreachable(this.#server)
    try {
      return await socket.request<Result>(request)
    } catch (cause) {
      throw cause instanceof RequestRefusedError ? cause : unreachable(this.#server, cause)
    }
  }

  async #connect(timeoutMs: number): Promise<void> {
    this.#socket?.close()
    this.#goDown()
    const socket = new ServerSocket(this.#server, timeoutMs)
    this.#socket = socket
    this.#waiting = []
    this.#hasGap = false
    socket.on('message', message => {
      if (socket === this.#socket) this.#onMessage(message)
    })
    socket.on('close', () => {
      if (socket === this.#socket && this.#up) this.#onLost()
    })
    const timer = setTimeout(() => socket.close(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs)
    try {
      await socket.opened.catch(cause => {
        throw unreachable(this.#server, cause)
      })
      await this.#follow(socket, timer)
      if (!socket.isOpen) throw unreachable(this.#server)
    } catch (err) {
      if (socket === this.#socket) this.#socket = undefined
      socket.close()
      throw err
    } finally {
      clearTimeout(timer)
    }
    this.#backoffMs = firstBackoffMs
    this.#up = true
    this.emit('up')
    // Only now, for whoever is told of a transfer wants to do something about it.
    try {
      await this.#catchUp(request => this.#ask(socket, request))
    } catch (err) {
      socket.close()
      throw err
    }
  }

  /** Subscribes, and finds out how things stand. */
  async #follow(socket: ServerSocket, timer: NodeJS.Timeout): Promise<void> {
    const ask: Ask = request => this.#ask(socket, request)
    const { info } = await this.#greet(socket)
    this.networkId = info.network_id !== undefined && info.network_id > 1024 ? info.network_id : undefined
    const { ledger_index, ledger_time, ledger_hash, fee_base } = await ask<LedgerMessage>({
      command: 'subscribe',
      streams: ['ledger'],
      accounts: [this.#address]
    })
    if (ledger_index === undefined)
      throw unreachable(this.#server, new Error('it is not in step with its network yet'))
    // The server is there; how long it takes to read up depends on how much there is to read.
    clearTimeout(timer)
    if (this.#cursor.ledger && !(await this.#isSameLedger(ask, ledger_index))) {
      this.#cursor = { ledger: 0, index: -1 }
      this.#complete = 0
      this.#hashes.clear()
      this.emit('reset')
    }
    // This may be behind what another server said: its ledgers come again, what was emitted does not.
    this.validated = { index: ledger_index, closeTime: ledger_time }
    this.#remember(ledger_index, ledger_hash)
    this.baseFee = fee_base
    if (!this.#cursor.ledger) {
      await this.#takeStock(ask, ledger_index)
      this.#cursor = { ledger: ledger_index, index: Number.POSITIVE_INFINITY }
    }
  }

  /** Finds out which API version the server speaks: one that does not know version 1 says so. */
  async #greet(socket: ServerSocket): Promise<{ info: { network_id?: number } }> {
    try {
      return await this.#ask(socket, { command: 'server_info' })
    } catch (err) {
      if (errorCode(err) !== 'invalid_API_version') throw err
      socket.apiVersion = 2
      return this.#ask(socket, { command: 'server_info' })
    }
  }

  #goDown(): void {
    if (!this.#up) return
    this.#up = false
    this.emit('down')
  }

  #onLost(): void {
    this.#socket = undefined
    this.#goDown()
    this.#retryLater()
  }

  #retryLater(): void {
    if (this.#closed) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(async () => {
      try {
        await this.#connect(reconnectTimeoutMs)
      } catch (err) {
        if (this.#socket || this.#closed) return
        if (!(err instanceof UnreachableError)) this.emit('refused', err as Error)
        this.#retryLater()
      }
    }, this.#backoffMs)
    this.#backoffMs = Math.min(this.#backoffMs * 2, maxBackoffMs)
  }

  #onMessage(message: Json): void {
    if (message.type === 'ledgerClosed') this.#onLedgerClosed(message as unknown as LedgerMessage)
    if (message.type !== 'transaction') return
    const transaction = normalize(message)
    if (!transaction) return
    if (this.#waiting) this.#waiting.push(transaction)
    else this.#deliver(transaction)
  }

  #onLedgerClosed({ ledger_index, ledger_time, ledger_hash, fee_base }: LedgerMessage): void {
    if (ledger_index <= this.validated.index) return
    const known = this.#hashes.get(ledger_index)
    if (known && known !== ledger_hash) {
      // It was restarted with a part of its past. Coming back to it finds that out.
      this.#socket?.close()
      return
    }
    const previous = this.validated
    this.validated = { index: ledger_index, closeTime: ledger_time }
    this.baseFee = fee_base
    this.#remember(ledger_index, ledger_hash)
    if (ledger_index !== previous.index + 1) this.#hasGap = true
    this.emit('ledger', this.validated)
    if (this.#waiting) return
    if (this.#hasGap) {
      // The server skipped ledgers in its stream: ask for what was in them.
      const socket = this.#socket
      this.#waiting = []
      this.#catchUp(request => this.#ask(socket, request)).catch(() => socket?.close())
    } else {
      // A ledger's transactions follow its closing message, so the one before it is complete now.
      this.#setComplete(previous)
    }
  }

  #remember(ledgerIndex: number, hash: string): void {
    this.#hashes.set(ledgerIndex, hash)
    const [oldest] = this.#hashes.keys()
    if (this.#hashes.size > rememberedLedgers) this.#hashes.delete(oldest as number)
  }

  #deliver(transaction: ValidatedTransaction): void {
    const { ledgerIndex: ledger, meta } = transaction
    const index = meta.TransactionIndex
    if (ledger < this.#cursor.ledger || (ledger === this.#cursor.ledger && index <= this.#cursor.index))
      return
    this.#cursor = { ledger, index }
    this.emit('transaction', transaction)
  }

  #setComplete(ledger: ClosedLedger): void {
    if (ledger.index <= this.#complete) return
    this.#complete = ledger.index
    if (ledger.index >= this.#cursor.ledger)
      this.#cursor = { ledger: ledger.index, index: Number.POSITIVE_INFINITY }
    this.emit('complete', ledger)
  }

  /** Fetches and delivers what lies between the cursor and the newest ledger, then what arrived meanwhile. */
  async #catchUp(ask: Ask): Promise<void> {
    let upTo: ClosedLedger
    do {
      this.#hasGap = false
      upTo = this.validated
      await this.#fetch(ask, upTo.index)
    } while (this.#hasGap)
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    this.#setComplete(upTo)
    for (const transaction of waiting) this.#deliver(transaction)
  }

  async #fetch(ask: Ask, lastLedger: number): Promise<void> {
    const { ledger, index } = this.#cursor
    const firstLedger = index === Number.POSITIVE_INFINITY ? ledger + 1 : ledger
    if (firstLedger > lastLedger) return
    let isFirst = true
    for await (const page of this.#pages(ask, firstLedger, lastLedger)) {
      if (isFirst && page.ledger_index_min > firstLedger)
        this.emit('missed', firstLedger, page.ledger_index_min - 1)
      isFirst = false
      for (const entry of page.transactions) {
        const transaction = normalize(entry)
        if (transaction) this.#deliver(transaction)
      }
    }
  }

  /** All validated transactions of the account that the server still has, the oldest first. */
  async *history(): AsyncGenerator<ValidatedTransaction> {
    for await (const page of this.#pages(request => this.request(request), -1, -1)) {
      for (const entry of page.transactions) {
        const transaction = normalize(entry)
        if (transaction) yield transaction
      }
    }
  }

  async *#pages(ask: Ask, firstLedger: number, lastLedger: number): AsyncGenerator<AccountTransactions> {
    let marker: unknown
    do {
      const page = await ask<AccountTransactions>({
        command: 'account_tx',
        account: this.#address,
        ledger_index_min: firstLedger,
        ledger_index_max: lastLedger,
        forward: true,
        marker
      })
      yield page
      marker = page.marker
    } while (marker !== undefined)
  }

  /** Whether the server's ledger is the one that was seen before. */
  async #isSameLedger(ask: Ask, newest: number): Promise<boolean> {
    const known = [...this.#hashes].filter(([index]) => index <= newest).at(-1)
    // Servers of one network lag behind each other by a few ledgers, never by all that are remembered.
    if (!known) return false
    const [ledger_index, hash] = known
    try {
      const answer = await ask<{ ledger_hash: string }>({ command: 'ledger', ledger_index })
      return answer.ledger_hash === hash
    } catch (err) {
      if (errorCode(err) !== 'lgrNotFound') throw err
      // Further on, without a past: a server that keeps little history. One that was restarted has all of it.
      return ledger_index < newest
    }
  }
}

/** A message of the ledger stream; `subscribe` answers the same, or nothing before the server has a ledger. */
interface LedgerMessage {
  ledger_index: number
  ledger_time: number
  ledger_hash: string
  fee_base: number
}

/** An answer of `account_tx`. */
interface AccountTransactions {
  /** the oldest ledger that was really searched */
  ledger_index_min: number
  transactions: Json[]
  marker?: unknown
}

/** The short name of the error that a server answered with, e.g. `actNotFound`. */
export function errorCode(err: unknown): string | undefined {
  return err instanceof RequestRefusedError ? err.code : undefined
}

/** An error of the Ledger Plugin Interface for a request that a server refused. */
export function refused(what: string, cause: unknown): Error {
  if (!(cause instanceof RequestRefusedError)) return cause as Error
  return new NotAcceptedError(`${what}: the server answered "${cause.message}"`, { cause })
}

function unreachable(server: string, cause?: unknown): UnreachableError {
  const reason = cause instanceof Error && cause.message ? ` (${cause.message})` : ''
  return new UnreachableError(`The ledger at "${server}" cannot be reached${reason}`, { cause })
}

/** One shape for what streams and `account_tx` answer in API versions 1 and 2. */
function normalize(entry: Json): ValidatedTransaction | undefined {
  const tx = (entry.tx_json ?? entry.transaction ?? entry.tx) as Json | undefined
  const meta = entry.meta as ValidatedTransaction['meta'] | undefined
  const hash = entry.hash ?? tx?.hash
  const ledgerIndex = entry.ledger_index ?? tx?.ledger_index
  if (!entry.validated || !tx || typeof meta !== 'object') return undefined
  if (typeof hash !== 'string' || typeof ledgerIndex !== 'number') return undefined
  return { hash, tx, meta, ledgerIndex }
}
