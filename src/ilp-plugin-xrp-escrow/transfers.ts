import { parseBytes32, toXrplCondition, toXrplFulfillment } from './condition.ts'
import { UnreachableError } from './errors.ts'
import type { Order } from './job.ts'
import type { ClosedLedger } from './known-ledgers.ts'
import {
  type Content,
  type Escrow,
  isOwnId,
  nameOf,
  ownId,
  type Rejection,
  type ValidatedTransaction
} from './ledger-transaction.ts'
import { memoTypes, toMemos } from './memos.ts'
import { finishFeeUnits } from './network-fees.ts'
import { hasResult, isRolledBack, rolledBack } from './refusals.ts'
import { toClassicAddress } from './transfer.ts'
import { TransferLog, type TransferRecord } from './transfer-log.ts'
import type { PluginEvents, RejectionMessage } from './types.ts'

const maxLedgersToWait = 64
// How many closed escrows to keep in mind while a server cannot tell of others.
const maxNoted = 10_000

/** What the transfers need of their plugin. */
interface TransfersHost {
  prefix: string
  address: string
  /** how many transfers that are over are remembered, for each direction */
  remembered: number
  /** whether a payer is told why its transfer is refused */
  sendRejections: boolean
  /** ledger time of the newest ledger */
  closeTime(): number
  /** sends a transaction and waits until it is validated */
  submit(order: Order): Promise<ValidatedTransaction>
  /** what the host has noted of an outgoing transfer */
  noteToSelf(id: string): unknown
  tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void
}

type TransferContent = Extract<Content, { kind: 'transfer' }>

/**
 * The life of each transfer of an account, from "seen on the ledger" to "over". Inside the plugin a transfer is its
 * escrow: its id is its sender's word, which others may repeat.
 */
export class Transfers {
  readonly #host: TransfersHost
  readonly outgoing: TransferLog
  readonly incoming: TransferLog
  // Escrows that were closed while others are still being taken up from before; undefined: there are none.
  #closedMeanwhile: Set<string> | undefined

  constructor(host: TransfersHost) {
    this.#host = host
    this.outgoing = new TransferLog(host.remembered)
    this.incoming = new TransferLog(host.remembered)
  }

  /** A transaction was validated. */
  onTransaction(transaction: ValidatedTransaction): void {
    const { account, content } = transaction
    const { address } = this.#host
    switch (content?.kind) {
      case 'transfer':
        if (account === address) this.#onSent(transaction, content)
        if (content.payee === address) this.#onReceived(transaction, content)
        break
      case 'payment':
        if (content.rejection && content.payee === address) this.#onRejection(account, content.rejection)
        break
      case 'finish':
        this.#noteClosed(content.escrow)
        this.#onFinish(transaction, content.escrow, content.fulfillment)
        break
      case 'cancel':
        this.#noteClosed(content.escrow)
        this.#onCancel(transaction, content.escrow)
    }
  }

  /** Everything up to a ledger is known: what has expired by then is over, or is fetched back. */
  onRead({ index, closeTime }: ClosedLedger): void {
    for (const record of this.outgoing.expired(closeTime)) {
      if ((record.cancelAgainIn ?? 0) <= index) this.#cancel(record, index)
    }
    for (const record of this.incoming.expired(closeTime)) this.#expireIncoming(record)
  }

  /** The ledger is gone, and with it all that it held. */
  onReset(message: string): void {
    const [outgoing, incoming] = [this.outgoing.open(), this.incoming.open()]
    this.outgoing.clear()
    this.incoming.clear()
    for (const { transfer } of outgoing) this.#host.tell('outgoing_cancel', transfer, this.#reason(message))
    for (const { transfer } of incoming) this.#host.tell('incoming_cancel', transfer, this.#reason(message))
  }

  /** From now on it matters what is closed: older escrows are about to be taken up. */
  beginTakingUp(): void {
    this.#closedMeanwhile ??= new Set()
  }

  endTakingUp(): void {
    this.#closedMeanwhile = undefined
  }

  /** Takes up an escrow that was open in some ledger since `beginTakingUp`, unless it is known. */
  takeUp(transaction: ValidatedTransaction): void {
    const { account, content } = transaction
    if (content?.kind !== 'transfer' || !content.escrow) return
    if (this.#closedMeanwhile?.has(nameOf(content.escrow))) return
    if (account === this.#host.address) {
      const known = this.outgoing.get(content.transfer.id)
      if (known?.state === 'sending') known.hasDouble = known.terms !== content.terms
      if (this.#isBeingSent(content)) this.#onSent(transaction, content)
      else {
        const record = this.#add(this.outgoing, transaction, content)
        if (record) this.#addFee(record, transaction)
      }
    }
    if (content.payee === this.#host.address) this.#onReceived(transaction, content)
  }

  /**
   * Compares what is open here with what was open on the ledger: what is not there is over, and nobody tells how.
   *
   * @param hashes - of the transactions that have made the escrows that are open as of the ledger
   * @returns those that are known
   */
  compare(hashes: Set<string>, { index }: ClosedLedger): Set<string> {
    const known = new Set<string>()
    for (const log of [this.outgoing, this.incoming]) {
      for (const record of log.open()) {
        const { hash = '', ledgerIndex = Number.POSITIVE_INFINITY } = record
        known.add(hash)
        if (ledgerIndex <= index && !hashes.has(hash)) this.#lose(log, record)
      }
    }
    return known
  }

  /** Takes an incoming transfer's money, or tells why not with an error of the interface. */
  async finish(record: TransferRecord, fulfillment: string): Promise<void> {
    const { transfer, cancelAfter } = record
    const { owner, sequence } = record.escrow as Escrow
    if (cancelAfter <= this.#host.closeTime()) throw rolledBack(record)
    const tx = {
      TransactionType: 'EscrowFinish',
      Owner: owner,
      OfferSequence: sequence,
      Condition: toXrplCondition(parseBytes32(transfer.executionCondition) as Buffer),
      Fulfillment: toXrplFulfillment(parseBytes32(fulfillment) as Buffer)
    }
    try {
      const what = `The fulfillment of transfer "${transfer.id}"`
      await this.#host.submit({ tx, what, feeUnits: finishFeeUnits, pointlessAfter: cancelAfter })
    } catch (err) {
      // The right fulfillment may have been published by someone else, or the transfer have expired meanwhile.
      if (record.fulfillment) return
      const isOver = cancelAfter < this.#host.closeTime()
      if (isRolledBack(record) || isOver) throw rolledBack(record, err)
      if (!hasResult(err, 'tecNO_TARGET')) throw err
      // Before it expires, nothing but its fulfillment closes an escrow.
      this.#onFinish(undefined, nameOf({ owner, sequence }), fulfillment)
    }
  }

  /** Refuses an incoming transfer: it stays where it is until it expires. */
  reject(record: TransferRecord, reason: RejectionMessage): void {
    record.state = 'rejected'
    this.#host.tell('incoming_reject', record.transfer, reason)
    if (this.#host.sendRejections) this.#sendRejection(record, reason)
  }

  #noteClosed(escrow: string): void {
    this.#closedMeanwhile?.add(escrow)
    const [oldest] = this.#closedMeanwhile ?? []
    if (oldest !== undefined && (this.#closedMeanwhile?.size ?? 0) > maxNoted)
      this.#closedMeanwhile?.delete(oldest)
  }

  /** Takes up a transfer that is on the ledger and unknown here. */
  #add(log: TransferLog, { hash, ledgerIndex }: ValidatedTransaction, content: TransferContent) {
    const { transfer, terms, escrow, cancelAfter } = content
    const own = ownId(hash)
    if (escrow && log.ofEscrow(nameOf(escrow))) return undefined
    if (log.get(transfer.id)?.hash === hash || log.get(own)) return undefined
    const isOutgoing = log === this.outgoing
    // An id is the sender's word: whoever uses another's must not come between the two.
    const isTaken = log.get(transfer.id) !== undefined || (isOwnId(transfer.id) && !isOutgoing)
    const noteToSelf = isOutgoing ? this.#host.noteToSelf(transfer.id) : undefined
    const record: TransferRecord = {
      transfer: {
        ...transfer,
        ...(isTaken && { id: own }),
        ...(noteToSelf !== undefined && { noteToSelf })
      },
      terms,
      state: 'prepared',
      hash,
      ledgerIndex,
      cancelAfter,
      ...(escrow && { escrow })
    }
    log.add(record)
    return record
  }

  #isBeingSent({ transfer, terms }: TransferContent): boolean {
    const known = this.outgoing.get(transfer.id)
    // Of one that is lost nobody may have told yet.
    const isUntold = known?.hash === undefined && known?.state !== 'failed'
    return isUntold && known?.terms === terms
  }

  #onSent(transaction: ValidatedTransaction, content: TransferContent): void {
    const { hash, ledgerIndex } = transaction
    const { transfer, escrow } = content
    let record: TransferRecord | undefined
    if (this.#isBeingSent(content)) {
      record = this.outgoing.get(transfer.id) as TransferRecord
      Object.assign(record, { hash, ledgerIndex, state: 'prepared' }, escrow && { escrow })
      this.outgoing.add(record)
    } else record = this.#add(this.outgoing, transaction, content)
    if (!record) return
    this.#addFee(record, transaction)
    if (escrow) {
      this.#host.tell('outgoing_prepare', record.transfer)
    } else {
      this.outgoing.close(record, 'executed')
      this.#host.tell('outgoing_transfer', record.transfer)
    }
  }

  #onReceived(transaction: ValidatedTransaction, content: TransferContent): void {
    const record = this.#add(this.incoming, transaction, content)
    if (!record) return
    if (record.escrow) {
      this.#host.tell('incoming_prepare', record.transfer)
    } else {
      this.incoming.close(record, 'executed')
      this.#host.tell('incoming_transfer', record.transfer)
    }
  }

  /** Takes a receiver's word, from no other than the receiver, and once: it binds nobody, the money stays locked. */
  #onRejection(receiver: string, { sequence, reason }: Rejection): void {
    const { address, prefix } = this.#host
    const record = this.outgoing.ofEscrow(nameOf({ owner: address, sequence }))
    if (!record || record.isRefused || toClassicAddress(record.transfer.to, prefix) !== receiver) return
    record.isRefused = true
    this.#host.tell('outgoing_reject', record.transfer, reason)
  }

  /** Adds what a transaction has cost this account, if it was its own. */
  #addFee({ transfer }: TransferRecord, transaction: ValidatedTransaction | undefined): void {
    if (transaction?.account !== this.#host.address) return
    transfer.feeDrops = String(BigInt(transfer.feeDrops ?? 0) + transaction.fee)
  }

  /** @param transaction - none if it was not seen */
  #onFinish(transaction: ValidatedTransaction | undefined, escrow: string, fulfillment: string): void {
    const outgoing = this.outgoing.ofEscrow(escrow)
    if (outgoing) {
      outgoing.fulfillment = fulfillment
      this.outgoing.close(outgoing, 'fulfilled')
      this.#host.tell('outgoing_fulfill', outgoing.transfer, fulfillment)
    }
    const incoming = this.incoming.ofEscrow(escrow)
    if (incoming) {
      incoming.fulfillment = fulfillment
      this.#addFee(incoming, transaction)
      this.incoming.close(incoming, 'fulfilled')
      this.#host.tell('incoming_fulfill', incoming.transfer, fulfillment)
    }
  }

  #onCancel(transaction: ValidatedTransaction, escrow: string): void {
    const outgoing = this.outgoing.ofEscrow(escrow)
    if (outgoing) {
      this.#addFee(outgoing, transaction)
      this.outgoing.close(outgoing, 'cancelled')
      this.#host.tell('outgoing_cancel', outgoing.transfer, this.#timedOut(outgoing))
    }
    const incoming = this.incoming.ofEscrow(escrow)
    if (incoming) this.#expireIncoming(incoming)
  }

  /** Sends an expired transfer's money back to its payer. What came of it, its event tells. */
  async #cancel(record: TransferRecord, ledgerIndex: number): Promise<void> {
    if (record.cancelling) return
    const { owner, sequence } = record.escrow as Escrow
    const tx = { TransactionType: 'EscrowCancel', Owner: owner, OfferSequence: sequence }
    record.cancelling = true
    try {
      await this.#host.submit({ tx, what: `The return of transfer "${record.transfer.id}"` })
    } catch (err) {
      // Someone else was faster; or it is gone without a word; or it is tried again, ever less often.
      if (hasResult(err, 'tecNO_TARGET')) this.#lose(this.outgoing, record)
      record.cancelsFailed = (record.cancelsFailed ?? 0) + 1
      record.cancelAgainIn = ledgerIndex + Math.min(2 ** record.cancelsFailed, maxLedgersToWait)
    } finally {
      record.cancelling = false
    }
  }

  /** An escrow is not there any more, and how it ended stood in ledgers that no server told of. */
  #lose(log: TransferLog, record: TransferRecord): void {
    if (!record.escrow || log.ofEscrow(nameOf(record.escrow)) !== record) return
    log.close(record, record.state === 'rejected' ? record.state : 'lost')
    const { id } = record.transfer
    const why = `Transfer "${id}" is over, but the server does not have the ledger that tells how it ended`
    this.#host.tell('error', new UnreachableError(why))
  }

  /** A transfer that was rejected has been told of already. */
  #expireIncoming(record: TransferRecord): void {
    const { state } = record
    this.incoming.close(record, state === 'rejected' ? state : 'cancelled')
    if (state !== 'rejected') this.#host.tell('incoming_cancel', record.transfer, this.#timedOut(record))
  }

  /** Tells the payer why a transfer is not taken: by the escrow's name, since ids are ambiguous. */
  async #sendRejection({ transfer, escrow }: TransferRecord, reason: RejectionMessage): Promise<void> {
    const { owner, sequence } = escrow as Escrow
    const Memos = toMemos([[memoTypes.rejection, JSON.stringify({ sequence, reason })]])
    const tx = { TransactionType: 'Payment', Destination: owner, Amount: '1', Memos }
    try {
      await this.#host.submit({ tx, what: `The rejection of transfer "${transfer.id}"` })
    } catch (err) {
      this.#host.tell('error', err as Error)
    }
  }

  #timedOut({ transfer }: TransferRecord): RejectionMessage {
    return this.#reason(`The transfer expired at ${transfer.expiresAt}`)
  }

  #reason(message: string): RejectionMessage {
    return {
      code: 'R00',
      name: 'Transfer Timed Out',
      message,
      triggered_by: this.#host.prefix + this.#host.address,
      triggered_at: new Date().toISOString(),
      forwarded_by: [],
      additional_info: {}
    }
  }
}
