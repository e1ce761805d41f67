import { minimumFee } from './apply.ts'
import type { EngineResult } from './engine-results.ts'
import { canonicalOrder, numberOf } from './order.ts'
import { accountOf, type State } from './state.ts'
import type { Transaction, TransactionFields } from './transaction.ts'
import type { LedgerContext } from './transactors/transactor.ts'

// Source: rippled, app/misc/TxQ.h.
const QUEUE_LEDGERS = 20
const MIN_QUEUE_SIZE = 2000
const MIN_QUEUED_LEDGERS = 2
const MAX_QUEUED_PER_ACCOUNT = 10
/** By how much a queued transaction has to outbid the one that it replaces, in percent. */
const REPLACEMENT_PERCENT = 25

/** The transactions that wait because the open ledger costs more than they pay. */
export class PriceQueue {
  /** By account and by what they use up. */
  readonly #queues = new Map<string, Map<number, Transaction>>()
  readonly #room: number

  constructor(openLedgerLimit: number) {
    this.#room = Math.max(QUEUE_LEDGERS * openLedgerLimit, MIN_QUEUE_SIZE)
  }

  get size(): number {
    return [...this.#queues.values()].reduce((sum, { size }) => sum + size, 0)
  }

  /** All of them, or an account's; by account and then by sequence or ticket. */
  list(account?: string): Transaction[] {
    const queues = account === undefined ? this.#queues.values() : [this.#queues.get(account) ?? new Map()]
    return [...queues].flatMap(queue => canonicalOrder(queue.values(), Buffer.alloc(20)))
  }

  has(account: string, sequence: number): boolean {
    return this.#queues.get(account)?.has(sequence) ?? false
  }

  delete(fields: TransactionFields) {
    this.#queues.get(fields.Account)?.delete(numberOf(fields))
  }

  clear() {
    this.#queues.clear()
  }

  /** Takes a transaction, or says why it may not wait. Source: rippled, app/misc/detail/TxQ.cpp. */
  add(transaction: Transaction, open: State, { ledgerIndex, fees }: LedgerContext): EngineResult {
    const { fields } = transaction
    const { Account, LastLedgerSequence = Number.POSITIVE_INFINITY } = fields
    const number = numberOf(fields)
    const queue = this.#queues.get(Account) ?? new Map<number, Transaction>()
    const replaced = queue.get(number)
    const others = [...queue.values()].filter(other => other !== replaced)
    const level = (of: TransactionFields) => Number(of.Fee) / minimumFee(of, fees)
    if (replaced && level(fields) * 100 <= level(replaced.fields) * (100 + REPLACEMENT_PERCENT))
      return 'telCAN_NOT_QUEUE_FEE'
    if (LastLedgerSequence < ledgerIndex + MIN_QUEUED_LEDGERS || fields.AccountTxnID !== undefined)
      return 'telCAN_NOT_QUEUE'
    if (!replaced && queue.size >= MAX_QUEUED_PER_ACCOUNT) return 'telCAN_NOT_QUEUE_FULL'
    const inFlight = others.reduce((sum, other) => sum + BigInt(other.fields.Fee), 0n)
    const balance = BigInt(accountOf(open, Account)?.Balance ?? 0)
    if (others.length > 0 && (inFlight >= balance || inFlight >= BigInt(fees.reserveBase)))
      return 'telCAN_NOT_QUEUE_BALANCE'
    if (!replaced && this.size >= this.#room) return 'telCAN_NOT_QUEUE_FULL'
    queue.set(number, transaction)
    this.#queues.set(Account, queue)
    return 'terQUEUED'
  }
}
