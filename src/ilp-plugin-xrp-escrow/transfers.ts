import { parseBytes32, toXrplCondition, toXrplFulfillment } from './condition.ts'
import { UnreachableError } from './errors.ts'
import type { Order } from './job.ts'
import type { ClosedLedger } from './known-ledgers.ts'
import {
  type Escrow,
  isOwnId,
  nameOf,
  ownId,
  type Rejection,
  type TransferContent,
  type ValidatedTransaction
} from './ledger-transaction.ts'
import { memoTypes, toMemos } from './memos.ts'
import { finishFeeUnits } from './network-fees.ts'
import { feeOf, hasResult, isRolledBack, rolledBack } from './refusals.ts'
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
    this.outgoing = new TransferLog('outgoing', host.remembered)
    this.incoming = new TransferLog('incoming', host.remembered)
  }

  /** A transaction was validated. */
  onTransaction(transaction: ValidatedTransaction): void {
    const { account, content } = transaction
    if (content?.kind === 'transfer') this.#onTransfer(transaction, content, true)
    if (content?.kind === 'finish') this.#onFinish(transaction, content.escrow, content.fulfillment)
    if (content?.kind === 'cancel') this.#onCancel(transaction, content.escrow)
    if (content?.kind === 'payment' && content.rejection && content.payee === this.#host.address)
      this.#onRejection(account, content.rejection)
  }

  /** Everything up to a ledger is known: what has expired by then is over, or is fetched back. */
  onRead({ index, closeTime }: ClosedLedger): void {
    for (const record of this.outgoing.expired(closeTime)) {
      if ((record.cancelAgainIn ?? 0) <= index) this.#cancel(record, index)
    }
    for (const record of this.incoming.expired(closeTime)) this.#expire(this.incoming, record)
  }

  /** The ledger is gone, and with it all that it held. */
  onReset(): string[] {
    return this.#logs.flatMap(log => {
      const open = log.open()
      log.clear()
      return open.map(({ transfer }) => transfer.id)
    })
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
    // The escrows that an earlier run was to fulfill are not announced.
    if (account !== this.#host.address) return
    const known = account === this.#host.address ? this.outgoing.get(content.transfer.id) : undefined
    if (known?.state === 'sending') known.hasDouble = known.terms !== content.terms
    this.#onTransfer(transaction, content, false)
  }

  /**
   * Compares what is open here with what was open on the ledger: what is not there is over, and nobody tells how.
   *
   * @param hashes - of the transactions that have made the escrows that are open as of the ledger
   * @returns those that are known
   */
  compare(hashes: Set<string>, { index }: ClosedLedger): Set<string> {
    const known = new Set<string>()
    for (const log of this.#logs) {
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
      const fee = feeOf(err)
      if (fee > 0n) this.#host.tell('fulfill_failed', transfer, String(fee))
      // The right fulfillment may have been published by someone else, or the transfer have expired meanwhile.
      if (record.fulfillment) return
      const isOver = cancelAfter < this.#host.closeTime() || hasResult(err, 'expired')
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

  get #logs(): TransferLog[] {
    return [this.outgoing, this.incoming]
  }

  /** The transfers, one in each direction at most, in an escrow that is closed by now. */
  *#closed(escrow: string): Generator<[TransferLog, TransferRecord]> {
    const closed = this.#closedMeanwhile
    closed?.add(escrow)
    const [oldest] = closed ?? []
    if (oldest !== undefined && (closed?.size ?? 0) > maxNoted) closed?.delete(oldest)
    for (const log of this.#logs) {
      const record = log.ofEscrow(escrow)
      if (record) yield [log, record]
    }
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

  /** @param isNews - whether to tell of the account's own, also if this run of the program has not sent it */
  #onTransfer(transaction: ValidatedTransaction, content: TransferContent, isNews: boolean): void {
    const { address } = this.#host
    if (transaction.account === address) {
      const sent = this.#sent(transaction, content)
      const record = sent ?? this.#add(this.outgoing, transaction, content)
      if (record) this.#addFee(record, transaction)
      if (record && (sent || isNews)) this.#tellOf(this.outgoing, record)
    }
    if (content.payee !== address) return
    const record = this.#add(this.incoming, transaction, content)
    if (record) this.#tellOf(this.incoming, record)
  }

  /** The transfer that was on its way, if this is it. */
  #sent({ hash, ledgerIndex }: ValidatedTransaction, content: TransferContent): TransferRecord | undefined {
    const { transfer, terms, escrow } = content
    const record = this.outgoing.get(transfer.id)
    // Also one that is lost, if nobody has told of it.
    if (record?.terms !== terms || record.hash !== undefined || record.state === 'failed') return undefined
    Object.assign(record, { hash, ledgerIndex, state: 'prepared' }, escrow && { escrow })
    this.outgoing.add(record)
    return record
  }

  #tellOf(log: TransferLog, record: TransferRecord): void {
    if (!record.escrow) log.close(record, 'executed')
    this.#host.tell(`${log.direction}_${record.escrow ? 'prepare' : 'transfer'}`, record.transfer)
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
    for (const [log, record] of this.#closed(escrow)) {
      record.fulfillment = fulfillment
      if (log === this.incoming) this.#addFee(record, transaction)
      log.close(record, 'fulfilled')
      this.#host.tell(`${log.direction}_fulfill`, record.transfer, fulfillment)
    }
  }

  #onCancel(transaction: ValidatedTransaction, escrow: string): void {
    for (const [log, record] of this.#closed(escrow)) {
      if (log === this.outgoing) this.#addFee(record, transaction)
      this.#expire(log, record)
    }
  }

  /** Sends an expired transfer's money back to its payer. What came of it, its event tells. */
  async #cancel(record: TransferRecord, ledgerIndex: number): Promise<void> {
    const { owner, sequence } = record.escrow as Escrow
    const tx = { TransactionType: 'EscrowCancel', Owner: owner, OfferSequence: sequence }
    record.cancelAgainIn = Number.POSITIVE_INFINITY
    try {
      await this.#host.submit({ tx, what: `The return of transfer "${record.transfer.id}"` })
    } catch (err) {
      // Someone else was faster; or it is gone without a word; or it is tried again, ever less often.
      if (hasResult(err, 'tecNO_TARGET')) this.#lose(this.outgoing, record)
      record.cancelsFailed = (record.cancelsFailed ?? 0) + 1
      record.cancelAgainIn = ledgerIndex + Math.min(2 ** record.cancelsFailed, maxLedgersToWait)
    }
  }

  /** An escrow is not there any more, and how it ended stood in ledgers that no server told of. */
  #lose(log: TransferLog, record: TransferRecord): void {
    if (!record.escrow || log.ofEscrow(nameOf(record.escrow)) !== record) return
    log.close(record, record.state === 'rejected' ? record.state : 'lost')
    const { id } = record.transfer
    const why = `Transfer "${id}" is over, but the server does not have the ledger that tells how it ended`
    const err = new UnreachableError(why)
    this.#host.tell('error', Object.assign(err, { code: 'HISTORY_GAP', transferIds: [id] }))
  }

  #expire(log: TransferLog, record: TransferRecord): void {
    const isRejected = record.state === 'rejected'
    log.close(record, isRejected ? 'rejected' : 'cancelled')
    const reason = this.#reason(`The transfer expired at ${record.transfer.expiresAt}`)
    // Of a rejected one has been told already.
    if (!isRejected) this.#host.tell(`${log.direction}_cancel`, record.transfer, reason)
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
