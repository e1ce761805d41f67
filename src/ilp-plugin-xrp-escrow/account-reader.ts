import { UnreachableError } from './errors.ts'
import { isUInt32, type Json } from './json.ts'
import { parseTransaction, type ValidatedTransaction } from './ledger-transaction.ts'
import { type Ask, errorCode } from './server-socket.ts'

// After a refusal, or while a ledger's transactions are not to be had yet.
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

interface Listener {
  newestLedger(): number
  /** gets ready for transactions that are about to be told */
  expect(transactions: ValidatedTransaction[]): Promise<void>
  onMissed(firstLedger: number, lastLedger: number): void
  onTransaction(transaction: ValidatedTransaction): void
  /** everything up to and including this ledger has been told */
  onRead(ledgerIndex: number): void
}

/** A connection, as long as it is the one in use. */
interface Line {
  ask: Ask
  pause(ms: number): Promise<void>
  isUsed(): boolean
}

/** Reads the history of an account on, ledger by ledger, and tells each of its transactions once and in order. */
export class AccountReader {
  readonly #address: string
  readonly #prefix: string
  readonly #listener: Listener
  // The last place in the ledgers up to which everything was told.
  #cursor = { ledger: 0, index: 0 }
  // Where it is being read just now.
  #line: Line | undefined

  constructor(address: string, prefix: string, listener: Listener) {
    this.#address = address
    this.#prefix = prefix
    this.#listener = listener
  }

  get isStarted(): boolean {
    return this.#cursor.ledger > 0
  }

  /** the newest ledger up to and including which everything was told */
  get lastRead(): number {
    return this.#firstUnread - 1
  }

  startAfter(ledgerIndex: number): void {
    this.#cursor = { ledger: ledgerIndex, index: Number.POSITIVE_INFINITY }
  }

  reset(): void {
    this.#cursor = { ledger: 0, index: 0 }
  }

  /**
   * Reads and tells until nothing is left.
   *
   * @param page - what has been read already
   */
  async readOn(line: Line, page?: Page): Promise<void> {
    if (this.#line === line) return
    this.#line = line
    let pauseMs = firstPauseMs
    while (line.isUsed() && (page || this.#firstUnread <= this.#listener.newestLedger())) {
      let isNew = false
      try {
        page ??= await this.#page(line.ask)
        if (!line.isUsed()) break
        isNew = await this.#tell(line, page)
        // Also past what was told of a ledger already: the rest of it stands on a later page.
        page = page.marker === undefined ? undefined : await this.#page(line.ask, page.marker)
      } catch {
        // What was told is told: the rest is asked for again.
        page = undefined
      }
      if (isNew) pauseMs = firstPauseMs
      if (isNew && page) continue
      if (isNew && this.#isAtBoundary) continue
      await line.pause(pauseMs)
      pauseMs = Math.min(2 * pauseMs, maxPauseMs)
    }
    if (this.#line === line) this.#line = undefined
  }

  /** The first of what was missed while there was no connection; undefined if nothing was. */
  async firstPage(ask: Ask): Promise<Page | undefined> {
    return this.isStarted && this.#firstUnread <= this.#listener.newestLedger() ? this.#page(ask) : undefined
  }

  /** All validated transactions of the account that the server still has, the oldest first. */
  async *history(ask: Ask): AsyncGenerator<ValidatedTransaction> {
    let marker: unknown
    do {
      const page = await this.search(ask, {
        ledger_index_min: -1,
        ledger_index_max: -1,
        forward: true,
        marker
      })
      yield* page.transactions
      marker = page.marker
    } while (marker !== undefined)
  }

  /**
   * Asks for a part of the account's history.
   *
   * @param range - parameters of `account_tx` beside the account
   */
  async search(ask: Ask, range: Json): Promise<Page> {
    const request = { command: 'account_tx', account: this.#address, limit: transactionsPerPage, ...range }
    const { ledger_index_min: first, ledger_index_max: last, transactions, marker } = await ask(request)
    if (!isUInt32(first) || !isUInt32(last) || !Array.isArray(transactions))
      throw new UnreachableError('The history that the server answered with cannot be read')
    const parsed = transactions.map(entry => parseTransaction(entry, this.#prefix))
    return { first, last, marker, transactions: parsed.filter(transaction => transaction !== undefined) }
  }

  get #isAtBoundary(): boolean {
    return this.#cursor.index === Number.POSITIVE_INFINITY
  }

  get #firstUnread(): number {
    return this.#isAtBoundary ? this.#cursor.ledger + 1 : this.#cursor.ledger
  }

  #isNew({ ledgerIndex, index }: ValidatedTransaction): boolean {
    return (
      ledgerIndex > this.#cursor.ledger || (ledgerIndex === this.#cursor.ledger && index > this.#cursor.index)
    )
  }

  async #page(ask: Ask, marker?: unknown): Promise<Page> {
    const first = this.#firstUnread
    try {
      // Up to whatever the server has published by now: it may be less than it has told of, and its answer says.
      return await this.search(ask, { ledger_index_min: first, ledger_index_max: -1, forward: true, marker })
    } catch (err) {
      const code = errorCode(err) ?? ''
      // There is nothing from there on yet.
      if (code === 'lgrIdxsInvalid' || code === 'invalidLgrRange') return { first, last: 0, transactions: [] }
      if (code !== 'lgrIdxMalformed') throw err
    }
    // Version 2 of the API refuses what is before all that the server has, or after it: which of them is it?
    const all = await this.search(ask, {
      ledger_index_min: -1,
      ledger_index_max: -1,
      forward: true,
      limit: 1
    })
    return all.first > first
      ? { first: all.first, last: all.first - 1, transactions: [] }
      : { first, last: 0, transactions: [] }
  }

  /** Tells what is new on a page. Returns whether anything was, be it only that a ledger is empty. */
  async #tell(line: Line, { first, last, transactions, marker }: Page): Promise<boolean> {
    const before = this.#cursor
    const firstUnread = this.#firstUnread
    if (first > firstUnread && first <= last + 1) {
      this.#cursor = { ledger: first - 1, index: Number.POSITIVE_INFINITY }
      this.#listener.onMissed(firstUnread, first - 1)
    }
    await this.#listener.expect(transactions.filter(transaction => this.#isNew(transaction)))
    for (const transaction of transactions) {
      if (!line.isUsed()) return false
      if (!this.#isNew(transaction)) continue
      this.#cursor = { ledger: transaction.ledgerIndex, index: transaction.index }
      this.#listener.onTransaction(transaction)
    }
    if (marker === undefined && last >= this.#firstUnread) {
      this.startAfter(last)
      this.#listener.onRead(last)
    }
    return this.#cursor !== before
  }
}
