import type { ValidatedTransaction } from './ledger-transaction.ts'

// A transaction may be validated in this many ledgers after the newest one, and never later.
export const ledgersToLive = 20

/** A transaction to be sent: what is missing are Account, Sequence, Fee, LastLedgerSequence and the signature. */
export interface Order {
  tx: Record<string, unknown>
  /** what to call it in errors */
  what: string
  /** what it costs, in multiples of the simplest transaction's cost; default 1 */
  feeUnits?: number
  /** ledger time after which there is no point in sending it */
  pointlessAfter?: number
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
export class Job {
  readonly order: Order
  readonly resolve: (transaction: ValidatedTransaction) => void
  readonly reject: (error: Error) => void
  /** those that could still be applied, by hash: more than one after the fee was raised */
  readonly versions = new Map<string, Version>()
  /** of its versions */
  sequence = 0
  /** the newest ledger when the first of them was sent, and when the last one was */
  firstSentIn = 0
  sentIn = 0
  /** how often any of them was sent */
  sends = 0
  /** whether its sequence may have been used in a ledger that nobody told of */
  isDisputed = false
  attempts = 0
  feeFactor = 1
  /** since which ledger it has been waiting for a place; 0 if it is not */
  busySince = 0
  /** what a server has said to it last */
  engineResult = ''
  engineMessage = ''

  constructor(order: Order, resolve: Job['resolve'], reject: Job['reject']) {
    this.order = order
    this.resolve = resolve
    this.reject = reject
  }

  /** It begins anew: none of its versions matters any more. */
  reset(): void {
    this.versions.clear()
    this.sequence = 0
    this.sends = 0
    this.busySince = 0
    this.isDisputed = false
  }

  /** Whether it has versions, of which none can be in a ledger after this one. */
  isOver(lastLedger: number): boolean {
    const versions = [...this.versions.values()]
    return versions.length > 0 && versions.every(version => version.lastLedger <= lastLedger)
  }
}

/** A transaction did not happen, and will not. */
export class TransactionFailedError extends Error {
  /** e.g. `tecUNFUNDED` or `temBAD_AMOUNT`; `notSent` for one that was given up before it was sent */
  readonly engineResult: string
  /** what it has cost all the same, drops */
  readonly fee: bigint

  constructor(engineResult: string, message: string, fee: bigint) {
    super(message)
    this.engineResult = engineResult
    this.fee = fee
  }
}
