import { AccountReader, type Page, type Reading } from './account-reader.ts'
import { LedgerPluginError, UnreachableError } from './errors.ts'
import { isUInt32, type Json, toObject } from './json.ts'
import { type ClosedLedger, KnownLedgers } from './known-ledgers.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { type Ask, errorCode, type Request, RequestRefusedError, ServerSocket } from './server-socket.ts'

const reconnectTimeoutMs = 10_000
const firstBackoffMs = 250
const maxBackoffMs = 5_000
const maxTimerMs = 2 ** 31 - 1

/** Who follows an account on the ledger. */
export interface Follower extends Reading {
  /** looks at the account as of the first ledger; what it throws, `open` throws */
  admit(ask: Ask, ledgerIndex: number): Promise<void>
  onUp(): void
  onDown(): void
  /** the server is there again, and does not take us back; it is asked again */
  onRefused(reason: Error): void
  /** the server's ledger is not the one seen before: a test ledger that was restarted */
  onReset(): void
  /** this ledger was validated; its transactions are about to be read */
  onLedger(ledger: ClosedLedger): void
}

/**
 * The connection to an XRP Ledger server, as seen from one account. It comes back by itself after it was lost. It
 * listens for ledgers only, and for each it reads what the account's history holds from the first unread ledger on,
 * up to where the server says that it has read: so each validated transaction is told exactly once, in ledger order,
 * however late, and whatever was missed meanwhile.
 */
export class LedgerConnection {
  readonly #server: string
  readonly #serverName: string
  readonly #follower: Follower
  readonly #ledgers = new KnownLedgers()
  readonly #reader: AccountReader
  // The connection in use or being made: what belongs to another is out of date.
  #socket: ServerSocket | undefined
  #isClosed = true
  #isUp = false
  #backoffMs = firstBackoffMs
  #retryTimer: NodeJS.Timeout | undefined

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
    this.#server = server
    this.#serverName = serverName
    this.#follower = follower
    this.#reader = new AccountReader(address, prefix, this.#ledgers, follower)
  }

  #validatedAt = 0

  get isUp(): boolean {
    return this.#isUp
  }

  /** the newest validated ledger */
  get validated(): ClosedLedger {
    return this.#ledgers.newest
  }

  /** the ledger's time now */
  now(): Date {
    return new Date((this.validated.closeTime + 946_684_800) * 1000 + Date.now() - this.#validatedAt)
  }

  /** the newest ledger up to and including which everything was told */
  get lastRead(): ClosedLedger {
    return this.#reader.lastRead
  }

  /**
   * Connects and follows the account: from the newest validated ledger on, or from where it was left at `close`.
   *
   * @param timeoutMs - how long to wait for the server
   * @throws UnreachableError
   */
  async open(timeoutMs: number): Promise<void> {
    this.#isClosed = false
    clearTimeout(this.#retryTimer)
    try {
      await this.#connect(timeoutMs)
    } catch (err) {
      // Unless another call has taken over meanwhile.
      if (!this.#socket) {
        this.#isClosed = true
        clearTimeout(this.#retryTimer)
      }
      throw err
    }
  }

  /** Disconnects and stays so. */
  async close(): Promise<void> {
    this.#isClosed = true
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
    return this.#reach(socket => socket.request(request))
  }

  /**
   * Asks again and again as long as the server is too busy.
   *
   * @throws RequestRefusedError for any other error
   * @throws UnreachableError if the connection ends
   */
  patiently(request: Request): Promise<Json> {
    return this.#reach(socket => socket.patiently(request))
  }

  /**
   * The account's history, the oldest first.
   *
   * @param first - ledger; without it, and likewise without the last, all that the server still has
   */
  async *history(first = -1, last = -1): AsyncGenerator<Page> {
    let marker: unknown
    do {
      const page = await this.#reader.page(request => this.patiently(request), first, last, { marker })
      yield page
      marker = page.marker
    } while (marker !== undefined)
  }

  /** A transaction as it was validated; undefined if the server does not know of that. */
  lookUp(hash: string): Promise<ValidatedTransaction | undefined> {
    return this.#reader.lookUp(request => this.patiently(request), hash)
  }

  async #reach(ask: (socket: ServerSocket) => Promise<Json>): Promise<Json> {
    try {
      if (!this.#socket) throw new Error('The connection was closed')
      return await ask(this.#socket)
    } catch (err) {
      throw err instanceof RequestRefusedError ? err : this.#unreachable(err)
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
      else if (socket === this.#socket) this.#onLedgerClosed(socket, message)
    })
    socket.on('close', () => {
      if (socket === this.#socket && this.#isUp) this.#onLost()
    })
    const giveUp = () => socket.close(new Error(`no answer in ${timeoutMs} ms`))
    const timer = timeoutMs > maxTimerMs ? undefined : setTimeout(giveUp, timeoutMs)
    let missed: Page | undefined
    try {
      await socket.opened
      await this.#follow(socket)
      // Only a connection on which one can catch up works.
      missed = await this.#reader.firstPage(socket)
      if (!socket.isOpen) throw this.#unreachable()
    } catch (err) {
      if (socket === this.#socket) this.#socket = undefined
      socket.close()
      throw err instanceof LedgerPluginError ? err : this.#unreachable(err)
    } finally {
      clearTimeout(timer)
    }
    this.#backoffMs = firstBackoffMs
    this.#isUp = true
    this.#follower.onUp()
    // Only now, for whoever is told of a transfer wants to do something about it.
    this.#reader.readOn(socket, missed)
    // What came before it was known whose ledgers these are.
    for (const message of early) this.#onLedgerClosed(socket, message)
    early = undefined
  }

  /** Subscribes, and finds out how things stand. */
  async #follow(socket: ServerSocket): Promise<void> {
    const ask: Ask = request => socket.patiently(request)
    const info = toObject((await this.#greet(socket)).info) ?? {}
    this.networkId = isUInt32(info.network_id) && info.network_id > 1024 ? info.network_id : undefined
    const message = await ask({ command: 'subscribe', streams: ['ledger'] })
    const ledger = toLedger(message)
    if (!ledger) throw new Error('it is not in step with its network yet')
    if (await this.#ledgers.areOthers(ask, ledger.index)) {
      this.#reader.reset()
      this.#ledgers.clear()
      this.#follower.onReset()
    }
    const { index } = this.validated
    if (ledger.index < index - 1) {
      const where = `it has come to ledger ${ledger.index}, the network was at ${index} before`
      throw new Error(`it is not in step with its network: ${where}`)
    }
    if (ledger.index >= index) this.#setValidated(message, ledger)
    if (this.#reader.isStarted) return
    await this.#follower.admit(ask, ledger.index)
    await this.#ledgers.addOldest(ask, info.complete_ledgers)
    this.#reader.startAfter(ledger.index)
  }

  /** Finds out which API version the server speaks: one that does not know version 1 says so. */
  async #greet(socket: ServerSocket): Promise<Json> {
    try {
      return await socket.patiently({ command: 'server_info' })
    } catch (err) {
      if (errorCode(err) !== 'invalid_API_version') throw err
      socket.apiVersion = 2
      return socket.patiently({ command: 'server_info' })
    }
  }

  #goDown(): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#follower.onDown()
  }

  #onLost(): void {
    this.#socket = undefined
    this.#goDown()
    this.#retryLater()
  }

  #retryLater(): void {
    if (this.#isClosed) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(async () => {
      try {
        await this.#connect(reconnectTimeoutMs)
      } catch (err) {
        if (this.#socket || this.#isClosed) return
        if (!(err instanceof UnreachableError)) this.#follower.onRefused(err as Error)
        this.#retryLater()
      }
    }, this.#backoffMs)
    this.#backoffMs = Math.min(this.#backoffMs * 2, maxBackoffMs)
  }

  #onLedgerClosed(socket: ServerSocket, message: Json): void {
    const ledger = toLedger(message)
    if (!ledger) return
    if (this.#ledgers.contradicts(ledger.index, message.ledger_hash)) {
      // It was restarted with a part of its past. Coming back to it finds that out.
      socket.close()
      return
    }
    if (ledger.index <= this.validated.index) return
    this.#setValidated(message, ledger)
    if (!this.#isUp) return
    this.#follower.onLedger(ledger)
    this.#reader.readOn(socket)
  }

  #setValidated(message: Json, ledger: ClosedLedger): void {
    this.#ledgers.add(ledger, String(message.ledger_hash))
    this.#validatedAt = Date.now()
    if (isUInt32(message.fee_base)) this.baseFee = message.fee_base
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
