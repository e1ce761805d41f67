import { deserialize } from './codec.ts'
import type { Metadata } from './metadata.ts'
import type { LedgerEntry, State } from './state.ts'
import { parseTransaction, type Transaction, type TransactionFields } from './transaction.ts'

/** How many ledgers questions about the state reach back, as a real server's do by default. */
export const maxStateLedgers = 256
/** Of how many ledgers the parsed transactions stay in memory: most questions are about the newest. */
const maxParsedLedgers = 4
/** What blobs and metadata take at most, since transactions can be long. */
const maxHistoryBytes = 128 * 1024 * 1024

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

/** A transaction and what it did in the ledger that applied it. */
export interface Applied {
  transaction: Transaction
  meta: Metadata
  metaBlob: Buffer
  /** The accounts it affected. */
  accounts: string[]
}

/** What each index that a ledger changed held before it. */
export type Undo = Map<string, LedgerEntry | undefined>

/** All that is needed to close a ledger once more as it was closed before. */
export interface LedgerContents {
  closeTime: number
  transactions: Transaction[]
}

/** What a transaction delivered: payments of XRP deliver all or nothing. */
export function deliveredAmount({ TransactionType, Amount }: TransactionFields, result: string): object {
  return TransactionType === 'Payment' && result === 'tesSUCCESS' ? { delivered_amount: Amount } : {}
}

/** A transaction of a closed ledger. Its bytes are kept, and parsed when somebody asks for them. */
export interface ValidatedTransaction {
  hash: string
  header: LedgerHeader
  /** Its position in the ledger, in the order of application. */
  position: number
  blob: Buffer
  metaBlob: Buffer
  /** The accounts it affected. */
  accounts: string[]
  /** What was applied, while it is still in memory; it must not be changed. */
  parsed: Applied | undefined
}

/** The transactions of a ledger, with their bytes in one piece: many small pieces take much more memory. */
function validatedTransactions(header: LedgerHeader, applied: Applied[]): ValidatedTransaction[] {
  const parts = applied.flatMap(({ transaction, metaBlob }) => [transaction.blob, metaBlob])
  const bytes = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + length, 0))
  let end = 0
  const keep = (part: Buffer) => {
    const start = end
    end += part.copy(bytes, start)
    return bytes.subarray(start, end)
  }
  return applied.map((parsed, position) => {
    const { transaction, accounts } = parsed
    const [blob, metaBlob] = [keep(transaction.blob), keep(parsed.metaBlob)]
    return { hash: transaction.hash, header, position, blob, metaBlob, accounts, parsed }
  })
}

const bytesOf = ({ blob, metaBlob }: ValidatedTransaction) => blob.length + metaBlob.length

export function fieldsOf(transaction: ValidatedTransaction): TransactionFields {
  const { parsed } = transaction
  return parsed?.transaction.fields ?? (deserialize(transaction.blob).fields as unknown as TransactionFields)
}

export function metaOf(transaction: ValidatedTransaction): Metadata {
  if (transaction.parsed) return transaction.parsed.meta
  const meta = deserialize(transaction.metaBlob).fields as unknown as Metadata
  return { ...meta, ...deliveredAmount(fieldsOf(transaction), meta.TransactionResult) }
}

export interface ClosedLedger {
  header: LedgerHeader
  /** In the order of application. */
  transactions: ValidatedTransaction[]
  /** Undefined once the ledger is too old for questions about the state before it. */
  undo: Undo | undefined
}

/** Which of an account's transactions are wanted: those of ledgers `min` to `max`. */
export interface Search {
  min: number
  max: number
  /** The oldest first. */
  forward: boolean
  limit: number
  /** Where the first one stands. */
  from?: { ledgerIndex: number; position: number } | undefined
}

/** The closed ledgers with their transactions, oldest first. */
export class History {
  readonly #ledgers: ClosedLedger[] = []
  readonly #ledgersByHash = new Map<string, ClosedLedger>()
  readonly #transactions = new Map<string, ValidatedTransaction>()
  readonly #byAccount = new Map<string, ValidatedTransaction[]>()
  #bytes = 0
  readonly #limit: number

  /** @param limit - how many transactions, and how many ledgers, to keep */
  constructor(limit: number) {
    this.#limit = limit
  }

  get first(): ClosedLedger {
    return this.#ledgers[0] as ClosedLedger
  }

  get last(): ClosedLedger {
    return this.#ledgers.at(-1) as ClosedLedger
  }

  /** As in `complete_ledgers`. */
  get range(): string {
    return `${this.first.header.ledgerIndex}-${this.last.header.ledgerIndex}`
  }

  /** Adds a ledger at the end, and forgets the oldest if there are too many. */
  add(header: LedgerHeader, applied: Applied[], undo: Undo): ClosedLedger {
    const transactions = validatedTransactions(header, applied)
    const ledger: ClosedLedger = { header, transactions, undo }
    this.#ledgers.push(ledger)
    this.#ledgersByHash.set(header.hash, ledger)
    for (const transaction of transactions) {
      this.#transactions.set(transaction.hash, transaction)
      this.#bytes += bytesOf(transaction)
      for (const account of transaction.accounts) {
        const list = this.#byAccount.get(account)
        if (list) list.push(transaction)
        else this.#byAccount.set(account, [transaction])
      }
    }
    for (const transaction of this.#ledgers.at(-1 - maxParsedLedgers)?.transactions ?? [])
      transaction.parsed = undefined
    const tooOld = this.#ledgers.at(-1 - maxStateLedgers)
    if (tooOld) tooOld.undo = undefined
    while (this.#ledgers.length > 1 && this.#isTooLong()) this.#forgetFirst()
    return ledger
  }

  ledger(index: number): ClosedLedger | undefined {
    return this.#ledgers[index - this.first.header.ledgerIndex]
  }

  ledgerByHash(hash: string): ClosedLedger | undefined {
    return this.#ledgersByHash.get(hash)
  }

  transaction(hash: string): ValidatedTransaction | undefined {
    return this.#transactions.get(hash)
  }

  /** What another Ledger needs to close the same ledgers once more. */
  contents(): LedgerContents[] {
    const parse = ({ blob }: ValidatedTransaction) => parseTransaction(blob, { trusted: true })
    return this.#ledgers.map(({ header, transactions }) => ({
      closeTime: header.closeTime,
      transactions: transactions.map(parse)
    }))
  }

  /**
   * The state as it was after an older ledger: what the ledgers since then have changed is taken back.
   *
   * @param latest - the state after the newest ledger
   * @returns undefined if that is too long ago
   */
  stateAfter(closed: ClosedLedger, latest: State): State | undefined {
    const later = this.#ledgersAfter(closed)
    if (later.some(({ undo }) => !undo)) return undefined
    return {
      read(index) {
        const changed = later.find(({ undo }) => undo?.has(index))
        return changed ? changed.undo?.get(index) : latest.read(index)
      }
    }
  }

  /** Where the ledgers after an older one have changed something. */
  changedSince(closed: ClosedLedger): string[] {
    return this.#ledgersAfter(closed).flatMap(({ undo }) => [...(undo?.keys() ?? [])])
  }

  /** Finds an account's transactions, and the next one, if there are more. */
  accountTransactions(account: string, { min, max, forward, limit, from }: Search) {
    const all = this.#byAccount.get(account) ?? []
    const found = all.filter(({ header }) => header.ledgerIndex >= min && header.ledgerIndex <= max)
    if (!forward) found.reverse()
    const start = from
      ? found.findIndex(one => one.header.ledgerIndex === from.ledgerIndex && one.position === from.position)
      : 0
    if (start < 0) return { transactions: [], next: undefined }
    return { transactions: found.slice(start, start + limit), next: found[start + limit] }
  }

  #ledgersAfter({ header }: ClosedLedger): ClosedLedger[] {
    return this.#ledgers.slice(header.ledgerIndex - this.first.header.ledgerIndex + 1)
  }

  #isTooLong(): boolean {
    const isFull = this.#transactions.size > this.#limit || this.#ledgers.length > this.#limit
    return isFull || this.#bytes > maxHistoryBytes
  }

  #forgetFirst() {
    const { header, transactions } = this.#ledgers.shift() as ClosedLedger
    this.#ledgersByHash.delete(header.hash)
    for (const transaction of transactions) {
      this.#transactions.delete(transaction.hash)
      this.#bytes -= bytesOf(transaction)
    }
    for (const account of new Set(transactions.flatMap(({ accounts }) => accounts))) {
      const list = this.#byAccount.get(account) as ValidatedTransaction[]
      const kept = list.findIndex(transaction => transaction.header !== header)
      if (kept < 0) this.#byAccount.delete(account)
      else list.splice(0, kept)
    }
  }
}
