import type { Transaction } from './transaction.ts'

// Source: rippled 2.3.0, app/ledger/TransactionMaster.cpp.
const REMEMBERED_MS = 30 * 60 * 1000
const MAX_REMEMBERED = 10_000

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
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  #find(hash: string): Entry | undefined {
    for (const [oldest, { askedAt }] of this.#entries) {
      if (this.#entries.size <= MAX_REMEMBERED && askedAt >= this.#now() - REMEMBERED_MS) break
      this.#entries.delete(oldest)
    }
    return this.#entries.get(hash)
  }

  #put(transaction: Transaction, malformed: boolean) {
    this.#entries.delete(transaction.hash)
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
