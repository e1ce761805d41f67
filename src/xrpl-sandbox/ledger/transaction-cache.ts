import type { Transaction } from './transaction.ts'

const maxCachedTransactions = 10_000
const maxCachedBytes = 16 * 1024 * 1024

interface CachedTransaction extends Transaction {
  /** Whether the hash alone says that the transaction can never be valid. */
  isBad: boolean
}

/** What was submitted and is not validated, by hash: for `tx`, and for the same blob once more. */
export class TransactionCache {
  /** The one that was submitted longest ago comes first. */
  readonly #cached = new Map<string, CachedTransaction>()
  #bytes = 0

  add(transaction: Transaction, isBad: boolean) {
    this.delete(transaction.hash)
    this.#bytes += transaction.blob.length
    this.#cached.set(transaction.hash, { ...transaction, isBad })
    for (const hash of this.#cached.keys()) {
      if (this.#cached.size <= maxCachedTransactions && this.#bytes <= maxCachedBytes) return
      this.delete(hash)
    }
  }

  get(hash: string): CachedTransaction | undefined {
    return this.#cached.get(hash)
  }

  delete(hash: string) {
    this.#bytes -= this.#cached.get(hash)?.blob.length ?? 0
    this.#cached.delete(hash)
  }
}
