import type { ValidatedTransaction } from './ledger-transaction.ts'

// A transaction may be validated in this many ledgers after the newest one, and never later.
export const ledgersToLive = 20

/** A transaction to be sent: what is missing are Account, Sequence, Fee, LastLedgerSequence and the signature. */
export interface Order {
  tx: Record<string, unknown>
  /** what it costs, in multiples of the simplest transaction's cost */
  feeUnits: number
  /** ledger time after which there is no point in sending it */
  pointlessAfter: number
  /** whether there is none already */
  isDone?(): boolean
  /** takes note of all that may still be applied, before the newest of it is sent */
  note?(versions: Version[]): Promise<void>
}

/** A transaction as it was signed. */
export interface Version {
  hash: string
  blob: string
  sequence: number
  /** the last ledger that it may be in */
  lastLedger: number
}

/**
 * A transaction on its way. It keeps its sequence for as long as any version of it could still be applied: two
 * transactions of one sequence exclude each other on the ledger, so that nothing is ever paid twice.
 */
export interface Job extends Order {
  /** 0 as long as it has no version */
  sequence: number
  /** those that could still be applied, by hash: more than one after the fee was raised */
  versions: Map<string, Version>
  /** the newest ledger when the first of them was sent, and when the last one was */
  firstSentIn: number
  sentIn: number
  /** how often any of them was sent */
  sends: number
  /** whether a server says that its sequence was used */
  isDisputed: boolean
  attempts: number
  feeFactor: number
  /** since which ledger it has been waiting for a place; 0 if it is not */
  busySince: number
  engineResult: string
  engineMessage: string
  resolve(transaction: ValidatedTransaction): void
  reject(error: Error): void
}

/** Makes a job of an order. */
export function toJob(order: Order, resolve: Job['resolve'], reject: Job['reject']): Job {
  return {
    ...order,
    sequence: 0,
    versions: new Map(),
    firstSentIn: 0,
    sentIn: Number.NEGATIVE_INFINITY,
    sends: 0,
    isDisputed: false,
    attempts: 0,
    feeFactor: 1,
    busySince: 0,
    engineResult: '',
    engineMessage: '',
    resolve,
    reject
  }
}

/** A transaction did not happen, and will not. */
export class TransactionFailedError extends Error {
  /** e.g. `tecUNFUNDED` or `temBAD_AMOUNT`; `notSent` for one that was given up before it was sent */
  readonly engineResult: string

  constructor(engineResult: string, message: string) {
    super(message)
    this.engineResult = engineResult
  }
}
