import { deserialize } from './codec.ts'
import { memoize } from './hashes.ts'
import { affectedAccounts, type Metadata } from './metadata.ts'
import type { ShaMap } from './sha-map.ts'
import type { LedgerEntry } from './state.ts'
import type { Transaction, TransactionFields } from './transaction.ts'

/** How many ledgers before the newest questions about the state reach, as a real server's do by default. */
export const maxStateLedgers = 256
/** What blobs and metadata take at most, since transactions can be long. */
const maxHistoryBytes = 128 * 1024 * 1024

export interface LedgerHeader {
  networkId: number
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

/** A transaction that a ledger applies, and what it did. */
export interface Applied {
  transaction: Transaction
  meta: Metadata
  metaBlob: Buffer
}

/** All that is needed to close a ledger once more as it was closed before. */
export interface LedgerContents {
  closeTime: number
  transactions: Transaction[]
}

/** The same list for the same accounts: most transactions are of a few. */
const sharedList = memoize(accounts => accounts.split(' '))

/** A transaction of a closed ledger. Its bytes are kept, and parsed when somebody asks for them. */
export class ValidatedTransaction implements Transaction {
  readonly hash: string
  readonly header: LedgerHeader
  /** Its position in the ledger, in the order of application. */
  readonly position: number
  /** The accounts it affected. */
  readonly accounts: string[]
  /** The bytes of the whole ledger: many small pieces, or views of them, take much more memory. */
  readonly #bytes: Buffer
  readonly #start: number
  readonly #metaStart: number
  readonly #end: number
  /** What was applied, while it is still in memory. */
  #applied: Applied | undefined

  constructor(header: LedgerHeader, position: number, applied: Applied, bytes: Buffer, start: number) {
    this.hash = applied.transaction.hash
    this.header = header
    this.position = position
    this.accounts = sharedList(affectedAccounts(applied.meta).join(' '))
    this.#bytes = bytes
    this.#start = start
    this.#metaStart = start + applied.transaction.blob.length
    this.#end = this.#metaStart + applied.metaBlob.length
    this.#applied = applied
  }

  get blob(): Buffer {
    return this.#bytes.subarray(this.#start, this.#metaStart)
  }

  get metaBlob(): Buffer {
    return this.#bytes.subarray(this.#metaStart, this.#end)
  }

  /** They must not be changed. */
  get fields(): TransactionFields {
    return (
      this.#applied?.transaction.fields ?? (deserialize(this.blob).fields as unknown as TransactionFields)
    )
  }

  /** With the amount delivered; it must not be changed. */
  get meta(): Metadata {
    const meta = this.#applied?.meta ?? (deserialize(this.metaBlob).fields as unknown as Metadata)
    const { TransactionType, Amount } = this.fields
    // Payments of XRP deliver all or nothing.
    const hasDelivered = TransactionType === 'Payment' && meta.TransactionResult === 'tesSUCCESS'
    return hasDelivered ? { ...meta, delivered_amount: Amount as string } : meta
  }

  /** Keeps the bytes alone. */
  forgetParsed() {
    this.#applied = undefined
  }
}

export interface ClosedLedger {
  header: LedgerHeader
  /** In the order of application. */
  transactions: ValidatedTransaction[]
  /** How long its transactions and their metadata are. */
  byteLength: number
  /** Undefined once the ledger is too old for questions about its state. */
  state: ShaMap<LedgerEntry> | undefined
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
  readonly #transactions = new Map<string, ValidatedTransaction>()
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
  add(header: LedgerHeader, applied: Applied[], state: ShaMap<LedgerEntry>): ClosedLedger {
    const parts = applied.flatMap(({ transaction, metaBlob }) => [transaction.blob, metaBlob])
    const bytes = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + length, 0))
    parts.reduce((end, part) => end + part.copy(bytes, end), 0)
    let start = 0
    const transactions = applied.map((one, position) => {
      const transaction = new ValidatedTransaction(header, position, one, bytes, start)
      start += one.transaction.blob.length + one.metaBlob.length
      this.#transactions.set(transaction.hash, transaction)
      return transaction
    })
    const ledger: ClosedLedger = { header, transactions, byteLength: bytes.length, state }
    // Most questions are about the newest ledger.
    for (const transaction of this.#ledgers.at(-1)?.transactions ?? []) transaction.forgetParsed()
    this.#ledgers.push(ledger)
    this.#bytes += bytes.length
    const tooOld = this.#ledgers.at(-2 - maxStateLedgers)
    if (tooOld) tooOld.state = undefined
    while (this.#ledgers.length > 1 && this.#isTooLong()) this.#forgetFirst()
    return ledger
  }

  ledger(index: number): ClosedLedger | undefined {
    return this.#ledgers[index - this.first.header.ledgerIndex]
  }

  ledgerByHash(hash: string): ClosedLedger | undefined {
    return this.#ledgers.findLast(({ header }) => header.hash === hash)
  }

  transaction(hash: string): ValidatedTransaction | undefined {
    return this.#transactions.get(hash)
  }

  /** What another Ledger needs to close the same ledgers once more. */
  contents(): LedgerContents[] {
    return this.#ledgers.map(({ header, transactions }) => ({ closeTime: header.closeTime, transactions }))
  }

  /** Finds an account's transactions, and the next one, if there are more. */
  accountTransactions(account: string, { min, max, forward, limit, from }: Search) {
    const first = this.first.header.ledgerIndex
    const ledgers = this.#ledgers.slice(Math.max(0, min - first), Math.max(0, max - first + 1))
    const found = ledgers.flatMap(({ transactions }) =>
      transactions.filter(({ accounts }) => accounts.includes(account))
    )
    if (!forward) found.reverse()
    const start = from
      ? found.findIndex(one => one.header.ledgerIndex === from.ledgerIndex && one.position === from.position)
      : 0
    if (start < 0) return { transactions: [], next: undefined }
    return { transactions: found.slice(start, start + limit), next: found[start + limit] }
  }

  #isTooLong(): boolean {
    const isFull = this.#transactions.size > this.#limit || this.#ledgers.length > this.#limit
    return isFull || this.#bytes > maxHistoryBytes
  }

  #forgetFirst() {
    const { transactions, byteLength } = this.#ledgers.shift() as ClosedLedger
    this.#bytes -= byteLength
    for (const { hash } of transactions) this.#transactions.delete(hash)
  }
}
