import { EventEmitter } from 'node:events'
import { AccountReader, type Page } from './account-reader.ts'
import { UnreachableError } from './errors.ts'
import { isUInt32, type Json, toObject } from './json.ts'
import { type ClosedLedger, KnownLedgers } from './known-ledgers.ts'
import { parseTransaction, type ValidatedTransaction } from './ledger-transaction.ts'
import {
  type Ask,
  errorCode,
  isPassing,
  type Request,
  RequestRefusedError,
  ServerSocket
} from './server-socket.ts'

const reconnectTimeoutMs = 10_000
const firstBackoffMs = 250
const maxBackoffMs = 5_000
// After a refusal, or when a ledger's transactions are not to be had yet.
const firstPauseMs = 100
const maxPauseMs = 2_000
const maxTimerMs = 2 ** 31 - 1

interface ConnectionEvents {
  up: []
  down: []
  /** the server's ledger is not the one seen before: a test ledger that was restarted */
  reset: []
  /** the server does not have these ledgers any more, in which something may have happened */
  missed: [firstLedger: number, lastLedger: number]
  /** the server is there again, and does not take us back; it is asked again */
  refused: [reason: Error]
  /** this ledger was validated; its transactions are about to be read */
  ledger: [ledger: ClosedLedger]
  /** each once, in the order in which they stand in the ledgers */
  transaction: [transaction: ValidatedTransaction]
  /** every transaction up to and including this ledger has been told */
  read: [ledger: ClosedLedger]
}

/** Who follows an account. */
interface Follower {
  /** looks at the account as of the first ledger; what it throws, `open` throws */
  admit(ask: Ask, ledgerIndex: number): Promise<void>
  /** gets ready for transactions that are about to be told */
  expect(transactions: ValidatedTransaction[]): Promise<void>
}

/**
 * The connection to an XRP Ledger server, as seen from one account. It comes back by itself after it was lost. It
 * listens for ledgers only, and for each it reads what the account's history holds from the first unread ledger on,
 * up to where the server says that it has read: so each validated transaction is told exactly once, in ledger order,
 * however late, and whatever was missed meanwhile.
 */
export class LedgerConnection extends EventEmitter<ConnectionEvents> {
  readonly #server: string
  readonly #serverName: string
  readonly #prefix: string
  readonly #follower: Follower
  // The connection in use or being made: what belongs to another is out of date.
  #socket: ServerSocket | undefined
  #closed = true
  #up = false
  #backoffMs = firstBackoffMs
  #retryTimer: NodeJS.Timeout | undefined

  readonly #known = new KnownLedgers()
  readonly #reader: AccountReader
  #line: Parameters<AccountReader['readOn']>[0] | undefined

  /** the newest validated ledger */
  validated: ClosedLedger = { index: 0, closeTime: 0 }
  /** drops that the simplest transaction costs */
  baseFee = 10
  /** the network's ID, where transactions have to name it: above 1024 (xrpl.org: Network ID) */
  networkId: number | undefined

  /**
   * @param server - WebSocket URL
   * @param serverName - what to call it in errors: without what may be secret in the URL
   * @param address - classic address of the account to follow
   * @param prefix - the ledger's ILP prefix
   */
  constructor(server: string, serverName: string, address: string, prefix: string, follower: Follower) {
    super()
    this.#server = server
    this.#serverName = serverName
    this.#prefix = prefix
    this.#follower = follower
    this.#reader = new AccountReader(address, prefix, {
      newestLedger: () => this.validated.index,
      expect: transactions => follower.expect(transactions),
      onMissed: (first, last) => this.emit('missed', first, last),
      onTransaction: transaction => this.emit('transaction', transaction),
      onRead: index => this.emit('read', { index, closeTime: this.#known.closeTimeAt(index) })
    })
  }

  get isUp(): boolean {
    return this.#up
  }

  /** the newest ledger up to and including which everything was told */
  get lastRead(): ClosedLedger {
    const index = this.#reader.lastRead
    return { index, closeTime: this.#known.closeTimeAt(index) }
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
  request(request: Request): Promise<Json> {
    return this.#ask(this.#socket, request)
  }

  /**
   * Asks again and again as long as the server is too busy.
   *
   * @throws RequestRefusedError for any other error
   * @throws UnreachableError if the connection ends
   */
  patiently(request: Request): Promise<Json> {
    return this.#askPatiently(this.#socket, request)
  }

  async #ask(socket: ServerSocket | undefined, request: Request): Promise<Json> {
    try {
      if (!socket) throw new Error('The connection was closed')
      return await socket.request(request)
    } catch (cause) {
      throw cause instanceof RequestRefusedError ? cause : this.#unreachable(cause)
    }
  }

  async #askPatiently(socket: ServerSocket | undefined, request: Request): Promise<Json> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      try {
        return await this.#ask(socket, request)
      } catch (err) {
        if (!socket?.isOpen || (err instanceof RequestRefusedError && !isPassing(err))) throw err
        await socket.pause(pauseMs)
      }
    }
  }

  async #connect(timeoutMs: number): Promise<void> {
    this.#socket?.close()
    this.#goDown()
    const socket = new ServerSocket(this.#server)
    this.#socket = socket
    let early: Json[] | undefined = []
    socket.on('ledgerClosed', message => {
      if (early) early.push(message)
      else if (socket === this.#socket) this.#onLedgerClosed(message)
    })
    socket.on('close', () => {
      if (socket === this.#socket && this.#up) this.#onLost()
    })
    const giveUp = () => socket.close(new Error(`no answer in ${timeoutMs} ms`))
    const timer = timeoutMs > maxTimerMs ? undefined : setTimeout(giveUp, timeoutMs)
    let missed: Page | undefined
    try {
      await socket.opened.catch(cause => {
        throw this.#unreachable(cause)
      })
      await this.#follow(socket)
      // Only a connection on which one can catch up works.
      missed = await this.#reader.firstPage(request => this.#askPatiently(socket, request))
      if (!socket.isOpen) throw this.#unreachable()
    } catch (err) {
      if (socket === this.#socket) this.#socket = undefined
      socket.close()
      throw err instanceof RequestRefusedError ? this.#unreachable(err) : err
    } finally {
      clearTimeout(timer)
    }
    this.#backoffMs = firstBackoffMs
    this.#up = true
    this.emit('up')
    // Only now, for whoever is told of a transfer wants to do something about it.
    this.#line = {
      ask: request => this.#ask(socket, request),
      pause: ms => socket.pause(ms),
      isUsed: () => socket === this.#socket
    }
    this.#reader.readOn(this.#line, missed)
    // What came before it was known whose ledgers these are.
    for (const message of early) this.#onLedgerClosed(message)
    early = undefined
  }

  /** Subscribes, and finds out how things stand. */
  async #follow(socket: ServerSocket): Promise<void> {
    const ask: Ask = request => this.#askPatiently(socket, request)
    const info = toObject((await this.#greet(socket)).info) ?? {}
    this.networkId = isUInt32(info.network_id) && info.network_id > 1024 ? info.network_id : undefined
    const message = await ask({ command: 'subscribe', streams: ['ledger'] })
    const ledger = toLedger(message)
    if (!ledger) throw this.#unreachable(new Error('it is not in step with its network yet'))
    const verdict = await this.#known.judge(ask, ledger.index)
    if (verdict === 'another') {
      this.#reader.reset()
      this.validated = { index: 0, closeTime: 0 }
      this.#known.clear()
      this.emit('reset')
    } else if (ledger.index < this.validated.index - 1) {
      const where = `it has come to ledger ${ledger.index}, the network was at ${this.validated.index} before`
      throw this.#unreachable(new Error(`it is not in step with its network: ${where}`))
    }
    if (ledger.index >= this.validated.index) this.#setValidated(message, ledger)
    if (this.#reader.isStarted) return
    await this.#follower.admit(ask, ledger.index)
    await this.#known.anchor(ask, info.complete_ledgers)
    this.#reader.startAfter(ledger.index)
  }

  /** Finds out which API version the server speaks: one that does not know version 1 says so. */
  async #greet(socket: ServerSocket): Promise<Json> {
    try {
      return await this.#askPatiently(socket, { command: 'server_info' })
    } catch (err) {
      if (errorCode(err) !== 'invalid_API_version') throw err
      socket.apiVersion = 2
      return this.#askPatiently(socket, { command: 'server_info' })
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

  #onLedgerClosed(message: Json): void {
    const ledger = toLedger(message)
    if (!ledger) return
    if (this.#known.contradicts(ledger.index, message.ledger_hash)) {
      // It was restarted with a part of its past. Coming back to it finds that out.
      this.#socket?.close()
      return
    }
    if (ledger.index <= this.validated.index) return
    this.#setValidated(message, ledger)
    if (!this.#up) return
    this.emit('ledger', this.validated)
    if (this.#line) this.#reader.readOn(this.#line)
  }

  #setValidated(message: Json, ledger: ClosedLedger): void {
    this.validated = ledger
    if (isUInt32(message.fee_base)) this.baseFee = message.fee_base
    this.#known.add(ledger, String(message.ledger_hash))
  }

  /** A transaction as it was validated; undefined if the server does not know of that. */
  async lookUp(hash: string): Promise<ValidatedTransaction | undefined> {
    const answer = await this.patiently({ command: 'tx', transaction: hash }).catch(err => {
      if (errorCode(err) === undefined) throw err
    })
    const found = parseTransaction(answer, this.#prefix)
    return found?.hash === hash ? found : undefined
  }

  /** All validated transactions of the account that the server still has, the oldest first. */
  history(): AsyncGenerator<ValidatedTransaction> {
    return this.#reader.history(request => this.patiently(request))
  }

  /** A part of the account's history; `range` has the parameters of `account_tx` beside the account. */
  search(range: Json): Promise<Page> {
    return this.#reader.search(request => this.patiently(request), range)
  }

  #unreachable(cause?: unknown): UnreachableError {
    const reason = cause instanceof Error && cause.message ? ` (${cause.message})` : ''
    return new UnreachableError(`The ledger at "${this.#serverName}" cannot be reached${reason}`, { cause })
  }
}

/** A message of the ledger stream; `subscribe` answers the same, or nothing before the server has a ledger. */
function toLedger({
  ledger_index: index,
  ledger_time: closeTime,
  ledger_hash
}: Json): ClosedLedger | undefined {
  if (!isUInt32(index) || !isUInt32(closeTime) || typeof ledger_hash !== 'string') return undefined
  return { index, closeTime }
}
