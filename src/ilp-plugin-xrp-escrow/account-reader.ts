import { UnreachableError } from './errors.ts'
import { isUInt32, type Json } from './json.ts'
import type { ClosedLedger, KnownLedgers } from './known-ledgers.ts'
import { parseTransaction, type ValidatedTransaction } from './ledger-transaction.ts'
import { type Ask, errorCode, type ServerSocket } from './server-socket.ts'

// While a ledger's transactions are not to be had yet.
const firstPauseMs = 100
const maxPauseMs = 2_000
const transactionsPerPage = 400

/** A part of the account's history. */
export interface Page {
  /** the ledgers that the server has searched */
  first: number
  last: number
  transactions: ValidatedTransaction[]
  /** where the rest of them begins */
  marker?: unknown
}

/** Who is told what stands in the ledgers. */
export interface Reading {
  /** gets ready for transactions that are about to be told */
  expect(transactions: ValidatedTransaction[]): Promise<void>
  /** each once, in the order in which they stand in the ledgers */
  onTransaction(transaction: ValidatedTransaction): void
  /** every transaction up to and including this ledger has been told */
  onRead(ledger: ClosedLedger): void
  /** the server does not have these ledgers any more, in which something may have happened */
  onMissed(firstLedger: number, lastLedger: number): void
}

/** Reads the history of an account on, ledger by ledger, and tells each of its transactions once and in order. */
export class AccountReader {
  readonly #address: string
  readonly #prefix: string
  readonly #ledgers: KnownLedgers
  readonly #listener: Reading
  // The last place in the ledgers up to which everything was told.
  #cursor = { ledger: 0, index: 0 }
  // Where it is being read just now.
  #socket: ServerSocket | undefined

  constructor(address: string, prefix: string, ledgers: KnownLedgers, listener: Reading) {
    this.#address = address
    this.#prefix = prefix
    this.#ledgers = ledgers
    this.#listener = listener
  }

  get isStarted(): boolean {
    return this.#cursor.ledger > 0
  }

  /** the newest ledger up to and including which everything was told */
  get lastRead(): ClosedLedger {
    return this.#ledgers.upTo(this.#firstUnread - 1)
  }

  startAfter(ledgerIndex: number): void {
    this.#cursor = { ledger: ledgerIndex, index: Number.POSITIVE_INFINITY }
  }

  reset(): void {
    this.#cursor = { ledger: 0, index: 0 }
  }

  /** The first of what has not been told; undefined if all has been. */
  async firstPage(socket: ServerSocket): Promise<Page | undefined> {
    return this.isStarted && this.#hasUnread ? this.#next(socket) : undefined
  }

  /**
   * Reads and tells until nothing is left, or the connection ends.
   *
   * @param page - what has been read already
   */
  async readOn(socket: ServerSocket, page?: Page): Promise<void> {
    if (this.#socket === socket) return
    this.#socket = socket
    let pauseMs = firstPauseMs
    while (socket.isOpen && (page || this.#hasUnread)) {
      const before = this.#cursor
      try {
        page ??= await this.#next(socket)
        await this.#tell(socket, page)
        // Also past what was told of a ledger already: the rest of it stands on a later page.
        page = page.marker === undefined ? undefined : await this.#next(socket, page.marker)
      } catch {
        // What was told is told: the rest is asked for again.
        page = undefined
      }
      const isNew = this.#cursor !== before
      if (isNew) pauseMs = firstPauseMs
      if (isNew && (page || this.#isAtBoundary)) continue
      await socket.pause(pauseMs)
      pauseMs = Math.min(2 * pauseMs, maxPauseMs)
    }
    if (this.#socket === socket) this.#socket = undefined
  }

  /**
   * Asks for a page of the account's history, the oldest first.
   *
   * @param first - ledger; -1: the first that the server has, and likewise the last
   * @param rest - further parameters of `account_tx`
   */
  async page(ask: Ask, first: number, last: number, rest: Json): Promise<Page> {
    const range = {
      ledger_index_min: first,
      ledger_index_max: last,
      forward: true,
      limit: transactionsPerPage
    }
    const answer = await ask({ command: 'account_tx', account: this.#address, ...range, ...rest })
    const { ledger_index_min, ledger_index_max, transactions, marker } = answer
    if (!isUInt32(ledger_index_min) || !isUInt32(ledger_index_max) || !Array.isArray(transactions))
      throw new UnreachableError('The history that the server answered with cannot be read')
    const parsed = transactions.map(entry => parseTransaction(entry, this.#prefix))
    const read = parsed.filter(transaction => transaction !== undefined)
    return { first: ledger_index_min, last: ledger_index_max, transactions: read, marker }
  }

  /** A transaction as it was validated; undefined if the server does not know of that. */
  async lookUp(ask: Ask, hash: string): Promise<ValidatedTransaction | undefined> {
    const answer = await ask({ command: 'tx', transaction: hash }).catch(err => {
      if (errorCode(err) === undefined) throw err
    })
    const found = parseTransaction(answer, this.#prefix)
    return found?.hash === hash ? found : undefined
  }

  get #isAtBoundary(): boolean {
    return this.#cursor.index === Number.POSITIVE_INFINITY
  }

  get #firstUnread(): number {
    return this.#isAtBoundary ? this.#cursor.ledger + 1 : this.#cursor.ledger
  }

  get #hasUnread(): boolean {
    return this.#firstUnread <= this.#ledgers.newest.index
  }

  #isNew({ ledgerIndex, index }: ValidatedTransaction): boolean {
    const { ledger, index: last } = this.#cursor
    return ledgerIndex > ledger || (ledgerIndex === ledger && index > last)
  }

  /** The next page of what has not been told. */
  async #next(socket: ServerSocket, marker?: unknown): Promise<Page> {
    const ask: Ask = request => socket.patiently(request)
    const first = this.#firstUnread
    try {
      // Up to whatever the server has published by now: it may be less than it has told of, and its answer says.
      return await this.page(ask, first, -1, { marker })
    } catch (err) {
      const code = errorCode(err) ?? ''
      // There is nothing from there on yet.
      if (code === 'lgrIdxsInvalid' || code === 'invalidLgrRange') return { first, last: 0, transactions: [] }
      if (code !== 'lgrIdxMalformed') throw err
    }
    // Version 2 of the API refuses what is before all that the server has, or after it: which of them is it?
    const all = await this.page(ask, -1, -1, { limit: 1 })
    const last = all.first > first ? all.first - 1 : 0
    return { first: Math.max(first, all.first), last, transactions: [] }
  }

  /** Tells what is new on a page, be it only that a ledger is empty. */
  async #tell(socket: ServerSocket, { first, last, transactions, marker }: Page): Promise<void> {
    const firstUnread = this.#firstUnread
    if (socket.isOpen && first > firstUnread && first <= last + 1) {
      this.startAfter(first - 1)
      this.#listener.onMissed(firstUnread, first - 1)
    }
    await this.#listener.expect(transactions.filter(transaction => this.#isNew(transaction)))
    for (const transaction of transactions) {
      if (!socket.isOpen) return
      if (!this.#isNew(transaction)) continue
      this.#cursor = { ledger: transaction.ledgerIndex, index: transaction.index }
      this.#listener.onTransaction(transaction)
    }
    if (socket.isOpen && marker === undefined && last >= this.#firstUnread) {
      this.startAfter(last)
      this.#listener.onRead(this.#ledgers.upTo(last))
    }
  }
}
