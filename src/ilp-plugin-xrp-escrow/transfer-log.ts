import { AlreadyFulfilledError, AlreadyRolledBackError, type UnreachableError } from './errors.ts'
import type { Escrow } from './transactions.ts'
import type { LedgerTransfer, RejectionMessage } from './types.ts'

/** All that is known of a transfer, in one of its two directions. */
export interface TransferRecord {
  transfer: LedgerTransfer
  /** see `fingerprintOf` */
  fingerprint: string
  state: 'sending' | 'prepared' | 'executed' | 'fulfilled' | 'canceled' | 'rejected' | 'failed' | 'unknown'
  /** of the transaction that made it, once that is validated */
  hash?: string
  ledgerIndex?: number
  escrow?: Escrow
  /** ledger time from which on it can only be canceled */
  cancelAfter: number
  nextCancelIn?: number
  /** base64url */
  fulfillment?: string
  /** the outcome of sending it, and of fulfilling it */
  sent?: Promise<void>
  fulfilling?: Promise<void>
  /** whether its receiver has sent a rejection */
  isRejected?: boolean
  /** why its outcome is unknown */
  problem?: UnreachableError
}

/** The transfers of one direction: all that are under way, and the last of those that are finished. */
export class TransferLog {
  readonly direction: 'outgoing' | 'incoming'
  readonly #maxFinished: number
  readonly #byId = new Map<string, TransferRecord>()
  readonly #open = new Map<string, TransferRecord>()
  readonly #finished = new Set<TransferRecord>()

  constructor(direction: TransferLog['direction'], maxFinished: number) {
    this.direction = direction
    this.#maxFinished = maxFinished
  }

  get(id: string): TransferRecord | undefined {
    return this.#byId.get(id)
  }

  /** The transfer in an open escrow. */
  inEscrow(index: string): TransferRecord | undefined {
    return this.#open.get(index)
  }

  open(): TransferRecord[] {
    return [...this.#open.values()]
  }

  add(record: TransferRecord): void {
    this.#byId.set(record.transfer.id, record)
    this.#finished.delete(record)
    if (record.escrow) this.#open.set(record.escrow.index, record)
  }

  finish(record: TransferRecord, state: TransferRecord['state']): void {
    record.state = state
    if (record.escrow) this.#open.delete(record.escrow.index)
    this.#finished.add(record)
    const [oldest] = this.#finished
    if (oldest && this.#finished.size > this.#maxFinished) this.forget(oldest)
  }

  forget(record: TransferRecord): void {
    this.#byId.delete(record.transfer.id)
    this.#finished.delete(record)
  }
}

export function isRolledBack({ state }: TransferRecord): boolean {
  return state === 'canceled' || state === 'rejected' || state === 'failed'
}

export function rolledBack(record: TransferRecord, cause?: unknown): AlreadyRolledBackError {
  const { id, expiresAt } = record.transfer
  const how = isRolledBack(record) ? `was ${record.state}` : `expired at "${expiresAt}"`
  return new AlreadyRolledBackError(`Transfer "${id}" is over: it ${how}`, { cause })
}

/** Why a transfer is canceled. */
export function timedOut({ expiresAt }: LedgerTransfer, triggered_by: string): RejectionMessage {
  return {
    code: 'R00',
    name: 'Transfer Timed Out',
    message: `The transfer expired at ${expiresAt}`,
    triggered_by,
    triggered_at: new Date().toISOString(),
    forwarded_by: [],
    additional_info: {}
  }
}

export function alreadyFulfilled(id: string): AlreadyFulfilledError {
  return new AlreadyFulfilledError(`Transfer "${id}" has been fulfilled already`)
}
