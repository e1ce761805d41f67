import type { LedgerTransfer } from './types.ts'

/** The name of an escrow on the ledger: who locked the money, in which transaction. */
export interface Escrow {
  owner: string
  sequence: number
}

/** What is known of a transfer, in one of its two directions. */
export interface TransferRecord {
  transfer: LedgerTransfer
  /** what the ledger keeps of it, see `termsOf` */
  terms: string
  state: 'sending' | 'prepared' | 'executed' | 'fulfilled' | 'cancelled' | 'rejected' | 'failed'
  /** the escrow's owner and sequence, once it is on the ledger */
  escrow?: Escrow
  /** ledger time after which only a cancel is possible */
  cancelAfter: number
  /** base64url */
  fulfillment?: string
  /** the outcome of sending it */
  sent?: Promise<void>
  /** the outcome of fulfilling it, while that is under way */
  fulfilling?: Promise<void>
  /** whether it is being sent back */
  cancelling?: boolean
  /** whether its receiver has sent word that it will not take it */
  isRefused?: boolean
}

/** The transfers of one direction: all that are under way, and the last of those that are over. */
export class TransferLog {
  readonly #remembered: number
  #byId = new Map<string, TransferRecord>()
  #byEscrow = new Map<string, TransferRecord>()
  #over = new Set<TransferRecord>()

  /** @param remembered - how many of those that are over to remember, for those who ask for their outcome */
  constructor(remembered: number) {
    this.#remembered = remembered
  }

  get(id: string): TransferRecord | undefined {
    return this.#byId.get(id)
  }

  ofEscrow(owner: unknown, sequence: unknown): TransferRecord | undefined {
    return this.#byEscrow.get(`${owner}:${sequence}`)
  }

  /** The transfers that hold money on the ledger. */
  open(): Iterable<TransferRecord> {
    return this.#byEscrow.values()
  }

  add(record: TransferRecord): void {
    this.#byId.set(record.transfer.id, record)
    if (record.escrow) this.setEscrow(record, record.escrow)
  }

  setEscrow(record: TransferRecord, escrow: Escrow): void {
    record.escrow = escrow
    this.#byEscrow.set(`${escrow.owner}:${escrow.sequence}`, record)
  }

  /** The transfer is over, and remembered for a while. */
  close(record: TransferRecord, state: TransferRecord['state']): void {
    record.state = state
    if (record.escrow) this.#byEscrow.delete(`${record.escrow.owner}:${record.escrow.sequence}`)
    if (this.#byId.get(record.transfer.id) !== record) return
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
    this.#over.clear()
  }
}
