import type { Transaction } from './transaction.ts'

// Source: rippled 2.3.0, app/ledger/TransactionMaster.cpp.
const REMEMBERED_MS = 30 * 60 * 1000
const MAX_REMEMBERED = 10_000
const MAX_REMEMBERED_BYTES = 16 * 1024 * 1024

interface Entry {
  transaction: Transaction
  malformed: boolean
  askedAt: number
}

/**
 * What was submitted and is not validated, by its hash: held, expired and refused transactions as well, for
 * half an hour after they were last asked for.
 */
export class Submitted {
  /** The longest unasked first. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  #find(hash: string): Entry | undefined {
    for (const [oldest, { askedAt }] of this.#entries) {
      const isFull = this.#entries.size > MAX_REMEMBERED || this.#bytes > MAX_REMEMBERED_BYTES
      if (!isFull && askedAt >= this.#now() - REMEMBERED_MS) break
      this.delete(oldest)
    }
    return this.#entries.get(hash)
  }

  #put(transaction: Transaction, malformed: boolean) {
    this.delete(transaction.hash)
    this.#bytes += transaction.blob.length
    this.#entries.set(transaction.hash, { transaction, malformed, askedAt: this.#now() })
  }

  add(transaction: Transaction) {
    this.#put(transaction, this.isMalformed(transaction.hash))
  }

  get(hash: string): Transaction | undefined {
    const entry = this.#find(hash)
    if (entry) this.#put(entry.transaction, entry.malformed)
    return entry?.transaction
  }

  /** What is validated is a matter of history. */
  delete(hash: string) {
    this.#bytes -= this.#entries.get(hash)?.transaction.blob.length ?? 0
    this.#entries.delete(hash)
  }

  /** From now on the hash alone says that the transaction can never be valid. */
  condemn(transaction: Transaction) {
    this.#put(transaction, true)
  }

  isMalformed(hash: string): boolean {
    return this.#find(hash)?.malformed ?? false
  }
}
