import { type Escrow, nameOf } from './ledger-transaction.ts'
import type { LedgerTransfer } from './types.ts'

/** What is known of a transfer, in one of its two directions. */
export interface TransferRecord {
  transfer: LedgerTransfer
  /** what the ledger keeps of it, see `termsOf` */
  terms: string
  /** lost: it is over, in ledgers that no server told of */
  state: 'sending' | 'prepared' | 'executed' | 'fulfilled' | 'cancelled' | 'rejected' | 'failed' | 'lost'
  /** of the transaction that made it, and where that is, once it is on the ledger */
  hash?: string
  ledgerIndex?: number
  escrow?: Escrow
  /** ledger time after which only a cancel is possible */
  cancelAfter: number
  /** whether an earlier run of the program has made another transfer under its id */
  hasDouble?: boolean
  /** base64url */
  fulfillment?: string
  /** the outcome of sending it */
  sent?: Promise<void>
  /** the outcome of fulfilling it, while that is under way */
  fulfilling?: Promise<void>
  /** how often sending it back has failed, and in which ledger that may be tried (again) */
  cancelsFailed?: number
  cancelAgainIn?: number
  /** whether its receiver has sent word that it will not take it */
  isRefused?: boolean
}

/** The transfers of one direction: all that are under way, and the last of those that are over. */
export class TransferLog {
  readonly direction: 'outgoing' | 'incoming'
  readonly #remembered: number
  readonly #byId = new Map<string, TransferRecord>()
  readonly #byEscrow = new Map<string, TransferRecord>()
  readonly #over = new Set<TransferRecord>()
  // Those that hold money though their time is over, and a time before which no other's is.
  readonly #expired = new Set<TransferRecord>()
  #nextExpiry = Number.POSITIVE_INFINITY

  /** @param remembered - how many of those that are over to remember, for those who ask for their outcome */
  constructor(direction: TransferLog['direction'], remembered: number) {
    this.direction = direction
    this.#remembered = remembered
  }

  get(id: string): TransferRecord | undefined {
    return this.#byId.get(id)
  }

  /** The transfer in an escrow that is open. */
  ofEscrow(name: string): TransferRecord | undefined {
    return this.#byEscrow.get(name)
  }

  /** The transfers that hold money on the ledger. */
  open(): TransferRecord[] {
    return [...this.#byEscrow.values()]
  }

  /**
   * The transfers that hold money on the ledger though their time is over. A ledger that none of them expires in looks
   * at none of the others.
   *
   * @param closeTime - the ledger's
   */
  expired(closeTime: number): TransferRecord[] {
    if (closeTime > this.#nextExpiry) {
      this.#nextExpiry = Number.POSITIVE_INFINITY
      for (const record of this.#byEscrow.values()) {
        if (record.cancelAfter < closeTime) this.#expired.add(record)
        else this.#nextExpiry = Math.min(this.#nextExpiry, record.cancelAfter)
      }
    }
    return [...this.#expired]
  }

  add(record: TransferRecord): void {
    this.#byId.set(record.transfer.id, record)
    this.#over.delete(record)
    if (!record.escrow) return
    this.#byEscrow.set(nameOf(record.escrow), record)
    this.#nextExpiry = Math.min(this.#nextExpiry, record.cancelAfter)
  }

  /** The transfer is over, and remembered for a while. */
  close(record: TransferRecord, state: TransferRecord['state']): void {
    record.state = state
    if (record.escrow) this.#byEscrow.delete(nameOf(record.escrow))
    this.#expired.delete(record)
    this.#over.add(record)
    const [oldest] = this.#over
    if (oldest && this.#over.size > this.#remembered) this.forget(oldest)
  }

  /** As if the transfer had never been. */
  forget(record: TransferRecord): void {
    this.#byId.delete(record.transfer.id)
    this.#over.delete(record)
  }

  clear(): void {
    this.#byId.clear()
    this.#byEscrow.clear()
    this.#expired.clear()
    this.#over.clear()
  }
}
