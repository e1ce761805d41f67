import { EventEmitter } from 'node:events'
import { errorCodeOf, LedgerPluginError, RequestFailedError, UnreachableError } from './errors.ts'
import { isText, isUInt32, type Json, toObject } from './json.ts'
import type { Settings } from './options.ts'
import { type Page, ServerConnection } from './server-connection.ts'
import { toUnixMs } from './transactions.ts'
import type { ValidatedTransaction } from './validated-transaction.ts'

const reconnectTimeoutMs = 10_000
const firstBackoffMs = 250
const maxBackoffMs = 5_000
const maxTimerMs = 2 ** 31 - 1
// How many of the newest ledgers to remember.
const maxKnownLedgers = 64

/** A closed ledger. */
export interface ClosedLedger {
  index: number
  /** ledger time, seconds since 2000-01-01T00:00Z */
  closeTime: number
}

/** Why nobody can know what happened to some transfers. */
export interface Gap {
  code: 'HISTORY_GAP' | 'LEDGER_RESET'
  /** what happened, a sentence */
  message: string
  /** the newest ledger that was not read */
  lastLedger: number
}

interface FollowerEvents {
  connect: []
  disconnect: []
  /** the server is back, but does not accept the account */
  refused: [error: Error]
  /** each once, in ledger order */
  transaction: [transaction: ValidatedTransaction]
  /** every transaction up to and including this ledger was emitted */
  read: [ledger: ClosedLedger]
  /** transactions before the next ones cannot be read */
  gap: [gap: Gap]
}

/**
 * Follows an account on an XRP Ledger server, and reconnects by itself. From the stream it takes only that a ledger has
 * closed. Then it reads the account's history from the first unread ledger up to the last that the server has published:
 * so each validated transaction is emitted once, in ledger order, however late.
 */
export class AccountFollower extends EventEmitter<FollowerEvents> {
  readonly #settings: Settings
  // The connection in use or being made: what belongs to another is outdated.
  #connection: ServerConnection | undefined
  #isClosed = true
  #isConnected = false
  #backoffMs = firstBackoffMs
  #retryTimer: NodeJS.Timeout | undefined
  // The newest ledgers, the oldest first, and the oldest that the server had at first.
  readonly #ledgers = new Map<number, { hash: string; closeTime: number }>()
  #oldest: { index: number; hash: string } | undefined
  #validated: ClosedLedger = { index: 0, closeTime: 0 }
  #validatedAt = 0
  #feeFactor: Promise<number> | undefined
  // The first place in the ledgers that was not read; ledger 0 before the first connection.
  #unread = { ledger: 0, index: 0 }
  #reading: ServerConnection | undefined

  /** drops that the reference transaction costs */
  baseFee = 10
  /** the network's ID where transactions have to name it: above 1024 (xrpl.org: Network ID) */
  networkId: number | undefined

  constructor(settings: Settings) {
    super()
    // Each call that waits for a ledger is one.
    this.setMaxListeners(0)
    this.#settings = settings
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  /** the newest validated ledger */
  get validated(): ClosedLedger {
    return this.#validated
  }

  /** the newest ledger up to and including which everything was emitted */
  get lastRead(): ClosedLedger {
    return this.#ledgerUpTo(this.#unread.ledger - 1)
  }

  /** the ledger's time now: that of the newest ledger, and the time since it arrived */
  get time(): Date {
    return new Date(toUnixMs(this.#validated.closeTime) + performance.now() - this.#validatedAt)
  }

  /** ledger time between two ledgers, seconds: the mean of the newest ledgers */
  get ledgerSeconds(): number {
    const [first] = this.#ledgers
    if (!first || first[0] >= this.#validated.index) return 4
    return (this.#validated.closeTime - first[1].closeTime) / (this.#validated.index - first[0])
  }

  /**
   * How many times the fee at rest the network asks for now. The server is asked once for each ledger.
   *
   * @throws see `ask`
   */
  feeFactor(): Promise<number> {
    this.#feeFactor ??= this.ask(async server => {
      const { drops } = await server.request({ command: 'fee' })
      const { open_ledger_fee, base_fee } = toObject(drops) ?? {}
      return Math.max(1, Number(open_ledger_fee) / Number(base_fee)) || 1
    })
    return this.#feeFactor
  }

  /**
   * Connects and follows the account: from the newest validated ledger on, or from where it was before `close`.
   *
   * @param timeoutMs - how long to wait for the server
   * @throws UnreachableError, AccountNotFoundError, NotAcceptedError
   */
  async open(timeoutMs: number): Promise<void> {
    this.#isClosed = false
    clearTimeout(this.#retryTimer)
    try {
      await this.#connect(timeoutMs)
    } catch (err) {
      // Unless another call has taken over meanwhile.
      if (!this.#connection) this.#isClosed = true
      throw err
    }
  }

  /** Disconnects and does not reconnect. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#retryTimer)
    const connection = this.#connection
    this.#connection = undefined
    this.#setDisconnected()
    await connection?.close()
  }

  /**
   * Asks the server.
   *
   * @param question - a request of the connection that there is
   * @throws RequestFailedError if the server responds with an error
   * @throws UnreachableError if there is no connection, or no response
   */
  async ask<Answer>(question: (server: ServerConnection) => Promise<Answer>): Promise<Answer> {
    try {
      if (!this.#connection) throw new Error('The connection was closed')
      return await question(this.#connection)
    } catch (err) {
      throw err instanceof RequestFailedError ? err : this.#unreachable(err)
    }
  }

  /** The account's whole history, the oldest transaction first. */
  async *history(): AsyncGenerator<ValidatedTransaction> {
    let marker: unknown
    do {
      const page = await this.ask(server => server.history(-1, -1, { marker }))
      yield* page.transactions
      marker = page.marker
    } while (marker !== undefined)
  }

  async #connect(timeoutMs: number): Promise<void> {
    this.#connection?.close()
    this.#setDisconnected()
    const connection = new ServerConnection(this.#settings)
    this.#connection = connection
    let early: Json[] | undefined = []
    connection.on('ledgerClosed', message => {
      if (early) early.push(message)
      else if (connection === this.#connection) this.#onLedgerClosed(connection, message)
    })
    connection.on('close', () => {
      if (connection !== this.#connection || !this.#isConnected) return
      this.#connection = undefined
      this.#setDisconnected()
      this.#reconnectLater()
    })
    const stop = () => connection.close(new Error(`no answer in ${timeoutMs} ms`))
    const timer = timeoutMs > maxTimerMs ? undefined : setTimeout(stop, timeoutMs)
    let unread: Page | undefined
    try {
      await connection.opened
      await this.#subscribe(connection)
      // A connection counts once what was missed can be read on it.
      if (this.#hasUnread) unread = await this.#nextPage(connection)
      if (!connection.isOpen) throw this.#unreachable()
    } catch (err) {
      if (connection === this.#connection) this.#connection = undefined
      connection.close()
      throw err instanceof LedgerPluginError ? err : this.#unreachable(err)
    } finally {
      clearTimeout(timer)
    }
    this.#backoffMs = firstBackoffMs
    this.#feeFactor = undefined
    this.#isConnected = true
    this.emit('connect')
    this.emit('read', this.lastRead)
    // Only once connected: a listener may act on a transfer at once.
    this.#readOn(connection, unread)
    for (const message of early) this.#onLedgerClosed(connection, message)
    early = undefined
  }

  /** Subscribes to ledgers, and checks that the server has the same ledgers as the one before. */
  async #subscribe(connection: ServerConnection): Promise<void> {
    const info = await connection.serverInfo()
    this.networkId = isUInt32(info.network_id) && info.network_id > 1024 ? info.network_id : undefined
    const message = await connection.requestWithRetry({ command: 'subscribe', streams: ['ledger'] })
    const ledger = toLedger(message)
    if (!ledger) throw new Error('it is not in step with its network yet')
    if (await this.#hasOtherLedgers(connection, ledger.index)) this.#onReset()
    const { index } = this.#validated
    if (ledger.index < index - 1) {
      const where = `it has come to ledger ${ledger.index}, the network was at ${index} before`
      throw new Error(`it is not in step with its network: ${where}`)
    }
    if (ledger.index >= index) this.#setValidated(message, ledger)
    if (this.#unread.ledger > 0) return
    await connection.verifyAccount(ledger.index)
    const [first] = /^\d+/.exec(String(info.complete_ledgers)) ?? []
    const hash = first && (await connection.hashOfLedger(Number(first)))
    this.#oldest = hash ? { index: Number(first), hash } : undefined
    this.#setReadUpTo(ledger.index)
  }

  /**
   * Whether the server has other ledgers than before: a test ledger that was reset. Only another hash proves that. The
   * oldest ledger counts as well, since a reset ledger soon has its number again.
   */
  async #hasOtherLedgers(connection: ServerConnection, newest: number): Promise<boolean> {
    const seen = [...this.#ledgers].map(([index, { hash }]) => ({ index, hash }))
    const all = this.#oldest ? [this.#oldest, ...seen] : seen
    const known = all.findLast(({ index }) => index <= newest)
    const hash = known && (await connection.hashOfLedger(known.index))
    return hash !== undefined && hash !== known?.hash
  }

  #onReset(): void {
    this.#ledgers.clear()
    this.#oldest = undefined
    this.#validated = { index: 0, closeTime: 0 }
    this.#unread = { ledger: 0, index: 0 }
    const message = `The ledger at "${this.#settings.serverName}" was reset: it has other ledgers than before`
    this.emit('gap', { code: 'LEDGER_RESET', message, lastLedger: 0 })
  }

  #setDisconnected(): void {
    if (!this.#isConnected) return
    this.#isConnected = false
    this.emit('disconnect')
  }

  #reconnectLater(): void {
    if (this.#isClosed) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(async () => {
      try {
        await this.#connect(reconnectTimeoutMs)
      } catch (err) {
        if (this.#connection || this.#isClosed) return
        if (!(err instanceof UnreachableError)) this.emit('refused', err as Error)
        this.#reconnectLater()
      }
    }, this.#backoffMs)
    this.#backoffMs = Math.min(this.#backoffMs * 2, maxBackoffMs)
  }

  #onLedgerClosed(connection: ServerConnection, message: Json): void {
    const ledger = toLedger(message)
    if (!ledger) return
    const known = this.#ledgers.get(ledger.index)
    if (known && known.hash !== message.ledger_hash) {
      // Restarted with part of its past, perhaps: reconnecting finds out.
      connection.close()
      return
    }
    if (ledger.index <= this.#validated.index) return
    this.#setValidated(message, ledger)
    if (!this.#isConnected) return
    this.#readOn(connection)
  }

  #setValidated(message: Json, ledger: ClosedLedger): void {
    this.#validated = ledger
    this.#validatedAt = performance.now()
    this.#feeFactor = undefined
    this.#ledgers.set(ledger.index, { hash: String(message.ledger_hash), closeTime: ledger.closeTime })
    const [oldest] = this.#ledgers.keys()
    if (this.#ledgers.size > maxKnownLedgers) this.#ledgers.delete(oldest as number)
    if (isUInt32(message.fee_base)) this.baseFee = message.fee_base
  }

  /** A ledger, with the newest close time that is known of it and those before. */
  #ledgerUpTo(index: number): ClosedLedger {
    const known = [...this.#ledgers].findLast(([other]) => other <= index)
    return { index, closeTime: known?.[1].closeTime ?? 0 }
  }

  get #hasUnread(): boolean {
    return this.#unread.ledger <= this.#validated.index
  }

  #setReadUpTo(ledger: number): void {
    this.#unread = { ledger: ledger + 1, index: 0 }
  }

  /**
   * Reads and emits until nothing is left, or the connection ends.
   *
   * @param page - what has been read already
   */
  async #readOn(connection: ServerConnection, page?: Page): Promise<void> {
    if (this.#reading === connection) return
    this.#reading = connection
    let failures = 0
    while (connection.isOpen && (page || this.#hasUnread)) {
      const before = this.#unread
      try {
        page ??= await this.#nextPage(connection)
        this.#emitPage(connection, page)
        // Also if all of this page was emitted before: the rest of its ledger is on the next one.
        page = page.marker === undefined ? undefined : await this.#nextPage(connection, page.marker)
      } catch {
        // What was emitted is not emitted again.
        page = undefined
      }
      const isProgress = this.#unread !== before
      if (isProgress) failures = 0
      // In the middle of a ledger, without a next page, the rest of it is not published yet.
      if (!isProgress || (!page && this.#unread.index > 0)) await connection.pause(failures++)
    }
    if (this.#reading === connection) this.#reading = undefined
  }

  /** Emits what is new on a page, even if that is only that some ledgers are empty. */
  #emitPage(connection: ServerConnection, { first, last, transactions, marker }: Page): void {
    const { ledger: firstUnread } = this.#unread
    if (connection.isOpen && first > firstUnread && first <= last + 1) {
      const lastLedger = first - 1
      const message = `The server "${this.#settings.serverName}" does not have the ledgers ${firstUnread} to ${lastLedger}`
      this.#setReadUpTo(lastLedger)
      this.emit('gap', { code: 'HISTORY_GAP', message, lastLedger })
    }
    for (const transaction of transactions) {
      // A listener may have disconnected.
      if (!connection.isOpen) return
      const { ledgerIndex, index } = transaction
      const unread = this.#unread
      if (ledgerIndex < unread.ledger || (ledgerIndex === unread.ledger && index < unread.index)) continue
      this.#unread = { ledger: ledgerIndex, index: index + 1 }
      this.emit('transaction', transaction)
    }
    if (connection.isOpen && marker === undefined && last >= this.#unread.ledger) {
      this.#setReadUpTo(last)
      this.emit('read', this.#ledgerUpTo(last))
    }
  }

  /** The next page of what was not emitted. */
  async #nextPage(connection: ServerConnection, marker?: unknown): Promise<Page> {
    const first = this.#unread.ledger
    try {
      // Up to what the server has published: that may be less than it has announced, and its response says so.
      return await connection.history(first, -1, { marker })
    } catch (err) {
      // Nothing from there on is published yet.
      const code = errorCodeOf(err) ?? ''
      if (code === 'lgrIdxsInvalid' || code === 'invalidLgrRange') return { first, last: 0, transactions: [] }
      throw err
    }
  }

  #unreachable(cause?: unknown): UnreachableError {
    // A name that has several addresses fails with an error for each.
    const causes: unknown[] = cause instanceof AggregateError ? cause.errors : [cause]
    const messages = causes.map(err => (err instanceof Error ? err.message : '')).join(', ')
    const reason = messages ? ` (${messages})` : ''
    return new UnreachableError(`The ledger at "${this.#settings.serverName}" cannot be reached${reason}`, {
      cause
    })
  }
}

/** A message of the ledger stream; `subscribe` answers the same, or nothing before the server has a ledger. */
function toLedger({
  ledger_index: index,
  ledger_time: closeTime,
  ledger_hash
}: Json): ClosedLedger | undefined {
  return isUInt32(index) && isUInt32(closeTime) && isText(ledger_hash) ? { index, closeTime } : undefined
}
