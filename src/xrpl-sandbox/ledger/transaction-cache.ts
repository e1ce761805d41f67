import type { Transaction } from './transaction.ts'

// Source: rippled 3.2.0, app/ledger/detail/TransactionMaster.cpp.
const maxIdleMs = 30 * 60 * 1000
const maxCachedTransactions = 10_000
const maxCachedBytes = 16 * 1024 * 1024

interface CachedTransaction {
  transaction: Transaction
  /** Whether it is known to be malformed. */
  isBad: boolean
  askedAt: number
}

/**
 * What was submitted and is not validated, by hash: for `tx`, and for the same blob once more.
 *
 * Held, expired and refused transactions stay for half an hour after they were last asked for.
 */
export class TransactionCache {
  /** The one that was asked for longest ago comes first. */
  readonly #cached = new Map<string, CachedTransaction>()
  #bytes = 0
  readonly #now: () => number

  /** @param now - the wall clock, in milliseconds of Unix time */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Adds a transaction, or counts it as asked for again. */
  add(transaction: Transaction, isBad = this.isBad(transaction.hash)) {
    this.delete(transaction.hash)
    this.#bytes += transaction.blob.length
    this.#cached.set(transaction.hash, { transaction, isBad, askedAt: this.#now() })
  }

  get(hash: string): Transaction | undefined {
    const transaction = this.#find(hash)?.transaction
    if (transaction) this.add(transaction)
    return transaction
  }

  /** Whether the hash alone says that the transaction can never be valid. */
  isBad(hash: string): boolean {
    return this.#find(hash)?.isBad ?? false
  }

  delete(hash: string) {
    this.#bytes -= this.#cached.get(hash)?.transaction.blob.length ?? 0
    this.#cached.delete(hash)
  }

  #find(hash: string): CachedTransaction | undefined {
    for (const [oldest, { askedAt }] of this.#cached) {
      const isFull = this.#cached.size > maxCachedTransactions || this.#bytes > maxCachedBytes
      if (!isFull && askedAt >= this.#now() - maxIdleMs) break
      this.delete(oldest)
    }
    return this.#cached.get(hash)
  }
}
