import type { Transaction } from './transaction.ts'

const maxCachedTransactions = 10_000
const maxCachedBytes = 16 * 1024 * 1024
/** Source: rippled 3.2.0, app/ledger/detail/TransactionMaster.cpp. */
const maxIdleMs = 30 * 60 * 1000

interface CachedTransaction extends Transaction {
  /** Whether the hash alone says that the transaction can never be valid. */
  isBad: boolean
  askedAt: number
}

/** What was submitted and is not validated, by hash: for `tx`, and for the same blob once more. */
export class TransactionCache {
  /** The one that was asked for longest ago comes first. */
  readonly #cached = new Map<string, CachedTransaction>()
  #bytes = 0
  readonly #now: () => number

  /** @param now - the wall clock, in milliseconds of Unix time */
  constructor(now: () => number) {
    this.#now = now
  }

  add(transaction: Transaction, isBad: boolean) {
    this.delete(transaction.hash)
    this.#bytes += transaction.blob.length
    this.#cached.set(transaction.hash, { ...transaction, isBad, askedAt: this.#now() })
  }

  get(hash: string): CachedTransaction | undefined {
    for (const { hash: oldest, askedAt } of this.#cached.values()) {
      const isFull = this.#cached.size > maxCachedTransactions || this.#bytes > maxCachedBytes
      if (!isFull && askedAt >= this.#now() - maxIdleMs) break
      this.delete(oldest)
    }
    const found = this.#cached.get(hash)
    if (found) this.add(found, found.isBad)
    return found
  }

  delete(hash: string) {
    this.#bytes -= this.#cached.get(hash)?.blob.length ?? 0
    this.#cached.delete(hash)
  }
}
