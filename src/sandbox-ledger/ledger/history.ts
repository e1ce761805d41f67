import type { Metadata } from './metadata.ts'
import { serialize } from './serialize.ts'
import type { LedgerEntry, State } from './state.ts'
import type { Transaction, TransactionFields } from './transaction.ts'

export interface LedgerHeader {
  ledgerIndex: number
  /** Hashes are 64 upper-case hex digits, times are seconds since 2000. */
  hash: string
  parentHash: string
  transactionHash: string
  accountHash: string
  closeTime: number
  parentCloseTime: number
  totalDrops: bigint
}

/** A validated transaction. The JSON is kept as text, which takes a fraction of the memory. */
export interface ValidatedTransaction {
  hash: string
  ledgerIndex: number
  /** Its position in the ledger, in the order of application. */
  position: number
  closeTime: number
  ledgerHash: string
  /** The accounts it affected. */
  accounts: string[]
  fieldsJson: string
  metaJson: string
}

export interface ClosedLedger {
  header: LedgerHeader
  transactions: ValidatedTransaction[]
  /** What each index that this ledger changed held before it. */
  undo: Map<string, LedgerEntry | undefined>
}

/** All that is needed to close a ledger once more as it was closed before. */
export interface LedgerContents {
  closeTime: number
  transactions: Transaction[]
}

/** A transaction and what it did in the ledger that applied it. */
export interface Applied {
  transaction: Transaction
  meta: Metadata
}

export const fieldsOf = (transaction: ValidatedTransaction): TransactionFields =>
  JSON.parse(transaction.fieldsJson)
export const metaOf = (transaction: ValidatedTransaction): Metadata => JSON.parse(transaction.metaJson)
export const blobOf = (transaction: ValidatedTransaction) => serialize(fieldsOf(transaction))
export const metaBlobOf = (transaction: ValidatedTransaction) => serialize(metaOf(transaction))

/** A list that grows at its end and is cut off at its beginning, both at constant cost. */
class Queue<T> {
  #items: T[] = []
  #first = 0

  get length() {
    return this.#items.length - this.#first
  }

  at(position: number): T | undefined {
    return this.#items[this.#first + position]
  }

  push(item: T) {
    this.#items.push(item)
  }

  shift() {
    this.#first++
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
  }

  /** The first position for which `isLater` holds, if all after it do as well. */
  findFirst(isLater: (item: T) => boolean): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (isLater(this.at(middle) as T)) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** A place in the order of all validated transactions. */
export interface Position {
  ledgerIndex: number
  position: number
}

/** The closed ledgers, oldest first, with their transactions; the oldest are forgotten when there are too many. */
export class History {
  readonly #ledgers = new Queue<ClosedLedger>()
  readonly #ledgersByHash = new Map<string, ClosedLedger>()
  readonly #transactions = new Map<string, ValidatedTransaction>()
  readonly #byAccount = new Map<string, Queue<ValidatedTransaction>>()
  readonly #limit: number

  /** `limit`: how many transactions, and how many ledgers, to keep. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get first(): ClosedLedger {
    return this.#ledgers.at(0) as ClosedLedger
  }

  get last(): ClosedLedger {
    return this.#ledgers.at(this.#ledgers.length - 1) as ClosedLedger
  }

  /** As in `complete_ledgers`. */
  get range(): string {
    return `${this.first.header.ledgerIndex}-${this.last.header.ledgerIndex}`
  }

  add(ledger: ClosedLedger) {
    this.#ledgers.push(ledger)
    this.#ledgersByHash.set(ledger.header.hash, ledger)
    for (const transaction of ledger.transactions) {
      this.#transactions.set(transaction.hash, transaction)
      for (const account of transaction.accounts) {
        const list = this.#byAccount.get(account)
        if (list) list.push(transaction)
        else {
          const created = new Queue<ValidatedTransaction>()
          created.push(transaction)
          this.#byAccount.set(account, created)
        }
      }
    }
    while (this.#ledgers.length > 1 && this.#isTooLong()) this.#forgetFirst()
  }

  #isTooLong() {
    return this.#transactions.size > this.#limit || this.#ledgers.length > this.#limit
  }

  #forgetFirst() {
    const { header, transactions } = this.first
    this.#ledgers.shift()
    this.#ledgersByHash.delete(header.hash)
    for (const transaction of transactions) {
      this.#transactions.delete(transaction.hash)
      for (const account of transaction.accounts) {
        const list = this.#byAccount.get(account)
        list?.shift()
        if (list?.length === 0) this.#byAccount.delete(account)
      }
    }
  }

  ledger(index: number): ClosedLedger | undefined {
    return this.#ledgers.at(index - this.first.header.ledgerIndex)
  }

  ledgerByHash(hash: string): ClosedLedger | undefined {
    return this.#ledgersByHash.get(hash)
  }

  transaction(hash: string): ValidatedTransaction | undefined {
    return this.#transactions.get(hash)
  }

  /** The state as it was after an older ledger: what the ledgers since then have changed is taken back. */
  stateAfter({ header }: ClosedLedger, latest: State): State {
    return {
      read: index => {
        for (let newer = header.ledgerIndex + 1; newer <= this.last.header.ledgerIndex; newer++) {
          const undo = this.ledger(newer)?.undo
          if (undo?.has(index)) return undo.get(index)
        }
        return latest.read(index)
      }
    }
  }

  /** Where the ledgers after an older one have changed something. */
  *changedSince({ header }: ClosedLedger): Generator<string> {
    for (let newer = header.ledgerIndex + 1; newer <= this.last.header.ledgerIndex; newer++)
      yield* this.ledger(newer)?.undo.keys() ?? []
  }

  /**
   * An account's transactions in ledgers `min` to `max`, newest first unless `forward`, beginning at the one at
   * `from`; up to `limit` of them, and where the next one stands, if there is one.
   */
  accountTransactions(
    account: string,
    {
      min,
      max,
      forward,
      limit,
      from
    }: {
      min: number
      max: number
      forward: boolean
      limit: number
      from?: Position | undefined
    }
  ): { transactions: ValidatedTransaction[]; next: ValidatedTransaction | undefined } {
    const list = this.#byAccount.get(account) ?? new Queue<ValidatedTransaction>()
    const low = list.findFirst(({ ledgerIndex }) => ledgerIndex >= min)
    const high = list.findFirst(({ ledgerIndex }) => ledgerIndex > max)
    const step = forward ? 1 : -1
    let at = forward ? low : high - 1
    if (from) {
      at = list.findFirst(
        ({ ledgerIndex, position }) =>
          ledgerIndex > from.ledgerIndex || (ledgerIndex === from.ledgerIndex && position >= from.position)
      )
      const first = list.at(at)
      if (first?.ledgerIndex !== from.ledgerIndex || first.position !== from.position)
        return { transactions: [], next: undefined }
    }
    const transactions: ValidatedTransaction[] = []
    const isWithin = () => (forward ? at < high : at >= low)
    for (; isWithin() && transactions.length < limit; at += step)
      transactions.push(list.at(at) as ValidatedTransaction)
    return { transactions, next: isWithin() ? list.at(at) : undefined }
  }
}
