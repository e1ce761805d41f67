import { Archive } from './archive.ts'
import { deserialize } from './deserialize.ts'
import { hashPrefix, sha512Half, toHex } from './hashes.ts'
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

/** A validated transaction. */
export interface ValidatedTransaction {
  hash: string
  ledgerIndex: number
  /** Its position in the ledger, in the order of application. */
  position: number
  closeTime: number
  ledgerHash: string
  blob: Buffer
  metaBlob: Buffer
  /** What of it is still at hand; it must not be changed. */
  recent?: Applied | undefined
}

/** What each index that a ledger changed held before it. */
export type Undo = Map<string, LedgerEntry | undefined>

/** All that is needed to close a ledger once more as it was closed before. */
export interface LedgerContents {
  closeTime: number
  transactions: Transaction[]
}

/** A transaction and what it did in the ledger that applied it. */
export interface Applied {
  transaction: Transaction
  meta: Metadata
  metaBlob: Buffer
  /** The accounts it affected. */
  accounts: string[]
}

/** A payment that succeeded; all else delivers nothing. Payments here deliver all or nothing. */
export function deliveredAmount({ TransactionType, Amount }: TransactionFields, result: string): object {
  return TransactionType === 'Payment' && result === 'tesSUCCESS' ? { delivered_amount: Amount } : {}
}

export const fieldsOf = ({ recent, blob }: ValidatedTransaction) =>
  recent?.transaction.fields ?? (deserialize(blob).fields as unknown as TransactionFields)
export function metaOf(transaction: ValidatedTransaction): Metadata {
  if (transaction.recent) return transaction.recent.meta
  const meta = deserialize(transaction.metaBlob).fields as unknown as Metadata
  return { ...meta, ...deliveredAmount(fieldsOf(transaction), meta.TransactionResult) }
}

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

/** A ledger of the history: its header, and where the rest of it is. */
export class ClosedLedger {
  readonly header: LedgerHeader
  /** The number of its first transaction, and how many it holds. */
  readonly first: number
  readonly size: number
  /** What it applied, while that is at hand. */
  recent: Applied[] | undefined
  readonly #history: History
  /** The beginnings of the indexes that it changed, and where the archive has what they held before. */
  readonly #changed: Uint32Array
  readonly undoAddress: number

  constructor(history: History, header: LedgerHeader, first: number, applied: Applied[], undo: Undo) {
    this.header = header
    this.first = first
    this.size = applied.length
    this.recent = applied
    this.#history = history
    this.#changed = Uint32Array.from(undo.keys(), beginningOf)
    const parts: Buffer[] = []
    for (const [index, entry] of undo) {
      const bytes = entry ? serialize(entry) : Buffer.alloc(0)
      const head = Buffer.from(`${index}00000000`, 'hex')
      head.writeUInt32BE(bytes.length, 32)
      parts.push(head, bytes)
    }
    this.undoAddress = history.archive.append(parts)
  }

  /** Its transactions, read anew each time. */
  get transactions(): ValidatedTransaction[] {
    return Array.from({ length: this.size }, (_, position) => this.#history.read(this.first + position))
  }

  /** Read anew each time. */
  get undo(): Undo {
    const record = this.#history.archive.read(this.undoAddress)
    const undo: Undo = new Map()
    for (let at = 0, end = 0; at < record.length; at = end) {
      end = at + 36 + record.readUInt32BE(at + 32)
      const bytes = record.subarray(at + 36, end)
      const entry = bytes.length > 0 ? (deserialize(bytes).fields as unknown as LedgerEntry) : undefined
      undo.set(toHex(record.subarray(at, at + 32)), entry)
    }
    return undo
  }

  /** Whether it changed what an index holds; seldom says so where it did not. */
  mayHaveChanged(index: string): boolean {
    return this.#changed.includes(beginningOf(index))
  }
}

/** What all that is kept takes at most, compressed: transactions can be long. */
const MAX_BYTES = 512 * 1024 * 1024

/** Of so many ledgers everything is at hand: who has heard of one asks for what it holds. */
const RECENT_LEDGERS = 4

/** Enough of a hash to tell it from all others, as a string that is short and lies flat in memory. */
const keyOf = (hash: string) => Buffer.from(hash, 'hex').toString('latin1', 0, 16)

const beginningOf = (index: string) => Number.parseInt(index.slice(0, 8), 16)

/**
 * The closed ledgers, oldest first, with their transactions; the oldest are forgotten when there are too many.
 *
 * Transactions are numbered in their order; what they are lies in an archive.
 */
export class History {
  readonly archive = new Archive()
  readonly #ledgers = new Queue<ClosedLedger>()
  readonly #ledgersByHash = new Map<string, ClosedLedger>()
  /** The numbers of transactions by their hashes, oldest first. */
  readonly #numbers = new Map<string, number>()
  /** Where they are in the archive, and the number of the first. */
  readonly #addresses = new Queue<number>()
  #first = 0
  readonly #byAccount = new Map<string, Queue<number>>()
  /** How many are forgotten that the lists of accounts still name. */
  #stale = 0
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

  add(header: LedgerHeader, applied: Applied[], undo: Undo): ClosedLedger {
    const first = this.#first + this.#addresses.length
    const ledger = new ClosedLedger(this, header, first, applied, undo)
    for (const [position, { transaction, metaBlob, accounts }] of applied.entries()) {
      const number = first + position
      const length = Buffer.allocUnsafe(4)
      length.writeUInt32BE(transaction.blob.length)
      this.#addresses.push(this.archive.append([length, transaction.blob, metaBlob]))
      this.#numbers.set(keyOf(transaction.hash), number)
      for (const account of accounts) {
        const list = this.#byAccount.get(account) ?? new Queue<number>()
        list.push(number)
        this.#byAccount.set(account, list)
      }
    }
    const grownOld = this.#ledgers.at(this.#ledgers.length - RECENT_LEDGERS)
    if (grownOld) grownOld.recent = undefined
    this.#ledgers.push(ledger)
    this.#ledgersByHash.set(header.hash, ledger)
    while (this.#ledgers.length > 1 && this.#isTooLong()) this.#forgetFirst()
    return ledger
  }

  #isTooLong() {
    const { length } = this.#addresses
    return length > this.#limit || this.#ledgers.length > this.#limit || this.archive.bytes > MAX_BYTES
  }

  #forgetFirst() {
    const { header, size } = this.first
    this.#ledgers.shift()
    this.#ledgersByHash.delete(header.hash)
    const forgotten = this.#numbers.keys()
    for (let count = 0; count < size; count++) {
      this.#numbers.delete(forgotten.next().value as string)
      this.#addresses.shift()
    }
    this.#first += size
    this.#stale += size
    this.archive.forgetBefore(this.first.undoAddress)
    if (this.#stale > this.#limit / 10) this.#sweep()
  }

  /** Takes what is forgotten out of the lists of accounts. */
  #sweep() {
    this.#stale = 0
    for (const [account, list] of this.#byAccount) {
      while ((list.at(0) ?? this.#first) < this.#first) list.shift()
      if (list.length === 0) this.#byAccount.delete(account)
    }
  }

  ledger(index: number): ClosedLedger | undefined {
    return this.#ledgers.at(index - this.first.header.ledgerIndex)
  }

  ledgerByHash(hash: string): ClosedLedger | undefined {
    return this.#ledgersByHash.get(hash)
  }

  transaction(hash: string): ValidatedTransaction | undefined {
    const number = this.#numbers.get(keyOf(hash))
    return number === undefined ? undefined : this.read(number)
  }

  /** The transaction with a number that is not forgotten. */
  read(number: number): ValidatedTransaction {
    const { header, first, recent } = this.#ledgers.at(
      this.#ledgers.findFirst(ledger => ledger.first > number) - 1
    ) as ClosedLedger
    const position = number - first
    const place = {
      ledgerIndex: header.ledgerIndex,
      position,
      closeTime: header.closeTime,
      ledgerHash: header.hash
    }
    const applied = recent?.[position]
    if (applied) {
      const { hash, blob } = applied.transaction
      return { hash, ...place, blob, metaBlob: applied.metaBlob, recent: applied }
    }
    const record = this.archive.read(this.#addresses.at(number - this.#first) as number)
    const end = 4 + record.readUInt32BE()
    const blob = record.subarray(4, end)
    const hash = toHex(sha512Half(hashPrefix.transactionId, blob))
    return { hash, ...place, blob, metaBlob: record.subarray(end) }
  }

  *#since({ header }: ClosedLedger): Generator<ClosedLedger> {
    let newer = header.ledgerIndex
    for (let ledger = this.ledger(++newer); ledger; ledger = this.ledger(++newer)) yield ledger
  }

  /** The state as it was after an older ledger: what the ledgers since then have changed is taken back. */
  stateAfter(closed: ClosedLedger, latest: State): State {
    return {
      read: index => {
        for (const ledger of this.#since(closed)) {
          const undo = ledger.mayHaveChanged(index) ? ledger.undo : undefined
          if (undo?.has(index)) return undo.get(index)
        }
        return latest.read(index)
      }
    }
  }

  /** Where the ledgers after an older one have changed something. */
  *changedSince(closed: ClosedLedger): Generator<string> {
    for (const ledger of this.#since(closed)) yield* ledger.undo.keys()
  }

  /** An account's transactions, and where the next one stands, if there is one. */
  accountTransactions(account: string, { min, max, forward, limit, from }: Search) {
    const list = this.#byAccount.get(account) ?? new Queue<number>()
    const placeOf = (number: number) => list.findFirst(other => other >= number)
    const firstIn = (index: number) =>
      this.ledger(Math.max(index, this.first.header.ledgerIndex))?.first ?? Number.POSITIVE_INFINITY
    const [low, high] = [placeOf(firstIn(min)), placeOf(firstIn(max + 1))]
    const step = forward ? 1 : -1
    let at = forward ? low : high - 1
    if (from) {
      const { first, size } = this.ledger(from.ledgerIndex) ?? { first: 0, size: 0 }
      const number = from.position < size ? first + from.position : undefined
      at = placeOf(number ?? 0)
      if (number === undefined || list.at(at) !== number) return { transactions: [], next: undefined }
    }
    const transactions: ValidatedTransaction[] = []
    const isWithin = () => (forward ? at < high : at >= low)
    for (; isWithin() && transactions.length < limit; at += step)
      transactions.push(this.read(list.at(at) as number))
    return { transactions, next: isWithin() ? this.read(list.at(at) as number) : undefined }
  }
}
