import type { AccountFollower, ClosedLedger, Gap } from './account-follower.ts'
import { check, DuplicateIdError, failureOf, type LedgerPluginError, UnreachableError } from './errors.ts'
import { copyOf, type Json } from './json.ts'
import type { Settings } from './options.ts'
import type { EscrowEntry } from './server-connection.ts'
import type { Submitter } from './submitter.ts'
import {
  type Escrow,
  isSameBytes32,
  meetsCondition,
  toClassicAddress,
  toEscrow,
  toEscrowCancel,
  toEscrowFinish,
  toRejectionPayment,
  toRippleTime,
  toUnixMs
} from './transactions.ts'
import { isRolledBack, rolledBack, TransferLog, type TransferRecord, timedOut } from './transfer-log.ts'
import type { Emit, RejectionMessage, Transfer } from './types.ts'
import {
  fingerprintOf,
  isOwnId,
  ownId,
  type Rejection,
  type TransferEffect,
  type ValidatedTransaction
} from './validated-transaction.ts'

// Before a cancel that failed, or the search for an escrow whose history the server lacks, is repeated.
const ledgersBeforeRetry = 16

/** What has to be known of the transaction that made a transfer. */
type Creation = Pick<ValidatedTransaction, 'hash' | 'ledgerIndex' | 'fee' | 'feePayer' | 'effect'>
type Made = Pick<ValidatedTransaction, 'hash' | 'ledgerIndex'>

/**
 * The account's transfers, from when they are sent or seen on the ledger until they are finished. A transfer on the
 * ledger is its escrow, by the index of its entry: its id is chosen by its sender, and others may repeat it.
 */
export class Transfers {
  readonly #follower: AccountFollower
  readonly #submitter: Submitter
  readonly #settings: Settings
  readonly #emit: Emit
  readonly outgoing: TransferLog
  readonly incoming: TransferLog
  readonly #logs: TransferLog[]
  // Why the open escrows have to be compared with the ledger's, and from which ledger on.
  #resyncFor: Gap | 'start' | undefined = 'start'
  #resyncFrom = 0
  #isResyncing = false

  constructor(follower: AccountFollower, submitter: Submitter, settings: Settings, emit: Emit) {
    this.#follower = follower
    this.#submitter = submitter
    this.#settings = settings
    this.#emit = emit
    this.outgoing = new TransferLog('outgoing', settings.maxCachedTransfers)
    this.incoming = new TransferLog('incoming', settings.maxCachedTransfers)
    this.#logs = [this.outgoing, this.incoming]
  }

  /**
   * Sends a transfer. The same one again gets the outcome of the first.
   *
   * @param tx - the transaction that makes it
   */
  send(transfer: Transfer, tx: Json): Promise<void> {
    const { prefix, wallet } = this.#settings
    const { id, ilp = '', expiresAt } = transfer
    const fingerprint = fingerprintOf(tx)
    const known = this.outgoing.get(id)
    if (known ? known.fingerprint !== fingerprint : this.incoming.get(id))
      throw new DuplicateIdError(`Another transfer was made under the id "${id}"`)
    if (known) return known.sent ?? Promise.resolve()
    const cancelAfter = expiresAt === undefined ? Number.POSITIVE_INFINITY : toRippleTime(expiresAt)
    const { closeTime } = this.#follower.validated
    const now = new Date(toUnixMs(closeTime)).toISOString()
    check(
      cancelAfter > closeTime,
      `The expiry "${expiresAt}" of transfer "${id}" is in the past: the ledger's time is "${now}"`
    )
    const record: TransferRecord = {
      transfer: { ...copyOf(transfer), from: prefix + wallet.address, ledger: prefix, ilp },
      fingerprint,
      state: 'sending',
      cancelAfter
    }
    this.outgoing.add(record)
    record.sent = this.#send(record, tx)
    return record.sent
  }

  /**
   * Collects an incoming transfer.
   *
   * @param fulfillment - 32 bytes that hash to its condition
   */
  fulfill(record: TransferRecord, fulfillment: Buffer): Promise<void> {
    record.fulfilling ??= this.#fulfill(record, fulfillment).finally(() => {
      delete record.fulfilling
    })
    return record.fulfilling
  }

  /** Rejects an incoming transfer, and lets its payer know if that is set. Its escrow stays open until it expires. */
  reject(record: TransferRecord, reason: RejectionMessage): void {
    record.state = 'rejected'
    this.#emit('incoming_reject', record.transfer, reason)
    if (!this.#settings.sendRejections) return
    const tx = toRejectionPayment(record.escrow as Escrow, reason)
    const sent = this.#submitter.submit({ tx, what: `The rejection of transfer "${record.transfer.id}"` })
    sent.catch(err => this.#emit('error', err))
  }

  /** A transaction was validated. */
  onTransaction(transaction: ValidatedTransaction): void {
    const { account, effect } = transaction
    if (effect?.kind === 'transfer') this.#onTransfer(transaction, effect)
    if (effect?.kind === 'finish') this.#onFinish(effect.index, effect.fulfillment, transaction)
    if (effect?.kind === 'cancel') this.#onCancel(effect.index, transaction)
    if (effect?.kind === 'message' && effect.rejection && effect.payee === this.#settings.wallet.address)
      this.#onRejection(account, effect.rejection)
  }

  /** Everything up to a ledger was read: what had expired by then is over, or is canceled. */
  onRead({ index, closeTime }: ClosedLedger): void {
    // What happened in a gap is settled first.
    if (typeof this.#resyncFor === 'object') return
    const isExpired = ({ cancelAfter }: TransferRecord) => cancelAfter < closeTime
    for (const record of this.outgoing.open().filter(isExpired))
      if ((record.nextCancelIn ?? 0) <= index) this.#cancel(record, index)
    for (const record of this.incoming.open().filter(isExpired)) this.#expire(this.incoming, record)
  }

  /** Transactions before the next ones cannot be read. */
  onGap(gap: Gap): void {
    // What the ledger before a reset held is older than all that the new one holds.
    if (gap.code === 'LEDGER_RESET')
      for (const record of this.#logs.flatMap(log => log.open())) record.ledgerIndex = 0
    const before = this.#resyncFor
    // A gap after a reset leaves the reset to be settled.
    if (typeof before !== 'object' || before.code === 'HISTORY_GAP') this.#resyncFor = gap
    this.#resyncFrom = 0
  }

  /**
   * After a start, a gap or a reset: takes from the ledger what is still open. The outcome of what is not is unknown.
   *
   * @param ledger - one up to which everything was read
   */
  async resync(ledger: ClosedLedger): Promise<void> {
    const reason = this.#resyncFor
    if (!reason || this.#isResyncing || ledger.index < this.#resyncFrom) return
    this.#isResyncing = true
    try {
      const isWanted = (index: string) => this.incoming.inEscrow(index) !== undefined
      const open = await this.#follower.ask(server => server.openEscrows(ledger.index, isWanted))
      if (this.#resyncFor !== reason) return
      this.#resyncFor = undefined
      if (reason !== 'start') this.#settleGap(reason, ledger, open)
      const own = [...open.values()].filter(({ index, isOwn }) => isOwn && !this.outgoing.inEscrow(index))
      if (await this.#adopt(own)) return
      this.#resyncFor ??= 'start'
      this.#resyncFrom = ledger.index + ledgersBeforeRetry
    } catch {
      // Without a connection or without that ledger: the next one is another chance.
      this.#resyncFor ??= 'start'
    } finally {
      this.#isResyncing = false
    }
  }

  async #send(record: TransferRecord, tx: Json): Promise<void> {
    const { transfer, cancelAfter } = record
    const what = `Transfer "${transfer.id}" of ${transfer.amount} drops to "${transfer.to}"`
    try {
      await this.#submitter.submit({ tx, what, transferId: transfer.id, notAfter: cancelAfter })
    } catch (err) {
      const { engineResult = '' } = failureOf(err) ?? {}
      const isBusy = (err as LedgerPluginError).code === 'NETWORK_BUSY'
      if (record.state === 'sending') {
        if (isBusy || ['notSent', 'expired'].includes(engineResult)) this.outgoing.forget(record)
        else this.outgoing.finish(record, 'failed')
      }
      throw err
    }
  }

  async #fulfill(record: TransferRecord, fulfillment: Buffer): Promise<void> {
    const { transfer, cancelAfter, problem } = record
    const escrow = record.escrow as Escrow
    const isExpired = () => cancelAfter <= this.#follower.validated.closeTime
    const isUncertain = problem !== undefined || typeof this.#resyncFor === 'object'
    const isGone = isUncertain && !(await this.#follower.ask(server => server.hasEntry(escrow.index)))
    if (isGone && (isExpired() || problem?.code === 'LEDGER_RESET'))
      throw problem ?? new UnreachableError(`The outcome of transfer "${transfer.id}" is unknown`)
    if (isExpired()) throw rolledBack(record)
    if (problem) {
      record.state = 'prepared'
      delete record.problem
      this.incoming.add(record)
    }
    // Before it expires, only its fulfillment closes an escrow.
    if (isGone) return this.#onFinish(escrow.index, fulfillment.toString('base64url'))
    try {
      const what = `The fulfillment of transfer "${transfer.id}"`
      await this.#submitter.submit({ tx: toEscrowFinish(escrow, fulfillment), what, notAfter: cancelAfter })
    } catch (err) {
      const { engineResult = '', fee = 0n } = failureOf(err) ?? {}
      if (fee > 0n) this.#emit('fulfill_failed', transfer, String(fee))
      // Someone else may have fulfilled it, or it may have expired meanwhile.
      if (record.fulfillment) return
      const isTooLate = engineResult === 'expired' || (engineResult !== 'notSent' && isExpired())
      if (isRolledBack(record) || (engineResult && isTooLate)) throw rolledBack(record, err)
      if (engineResult !== 'tecNO_TARGET') throw err
      this.#onFinish(escrow.index, fulfillment.toString('base64url'))
    }
  }

  #onTransfer(transaction: ValidatedTransaction, effect: TransferEffect): void {
    const { address } = this.#settings.wallet
    if (transaction.account === address) {
      const record = this.#sentRecord(transaction, effect) ?? this.#add(this.outgoing, transaction, effect)
      if (record) this.#onMade(this.outgoing, record)
    }
    const received = effect.payee === address && this.#add(this.incoming, transaction, effect)
    if (received) this.#onMade(this.incoming, received)
  }

  /** The transfer that is being sent, if this is it. */
  #sentRecord(transaction: Creation, effect: TransferEffect): TransferRecord | undefined {
    const record = this.outgoing.get(effect.transfer.id)
    const isSent = record?.fingerprint === effect.fingerprint && !record.hash && record.state !== 'failed'
    if (!isSent) return undefined
    this.#addFee(record, transaction)
    this.#setPrepared(record, transaction, effect.escrow)
    return record
  }

  #setPrepared(record: TransferRecord, { hash, ledgerIndex }: Made, escrow: Escrow | undefined): void {
    Object.assign(record, { hash, ledgerIndex, state: 'prepared' }, escrow && { escrow })
    this.outgoing.add(record)
  }

  /** Adds a transfer that is on the ledger and not known. */
  #add(log: TransferLog, transaction: Creation, effect: TransferEffect): TransferRecord | undefined {
    const { transfer, fingerprint, escrow, cancelAfter } = effect
    const { hash, ledgerIndex } = transaction
    const own = ownId(hash)
    if (escrow && log.inEscrow(escrow.index)) return undefined
    if (log.get(transfer.id)?.hash === hash || log.get(own)) return undefined
    // Nobody can make a transfer look like another by using its id, or one that is derived from its hash.
    const isTaken = log.get(transfer.id) !== undefined || (log === this.incoming && isOwnId(transfer.id))
    const record: TransferRecord = {
      transfer: { ...transfer, ...(isTaken && { id: own }) },
      fingerprint,
      state: 'prepared',
      hash,
      ledgerIndex,
      cancelAfter,
      ...(escrow && { escrow })
    }
    if (log === this.outgoing) this.#addFee(record, transaction)
    log.add(record)
    return record
  }

  #onMade(log: TransferLog, record: TransferRecord): void {
    if (!record.escrow) log.finish(record, 'executed')
    this.#emit(`${log.direction}_${record.escrow ? 'prepare' : 'transfer'}`, record.transfer)
  }

  /** @param transaction - undefined if it was not seen */
  #onFinish(index: string, fulfillment: string | undefined, transaction?: ValidatedTransaction): void {
    for (const log of this.#logs) {
      const record = log.inEscrow(index)
      if (!record) continue
      if (!meetsCondition(fulfillment, record.transfer.executionCondition)) {
        const which = `a fulfillment of transfer "${record.transfer.id}" that does not match its condition`
        const why = `The server "${this.#settings.serverName}" reports ${which}: use another server`
        this.#emit('error', new UnreachableError(why))
        continue
      }
      record.fulfillment = fulfillment
      if (log === this.incoming) this.#addFee(record, transaction)
      log.finish(record, 'fulfilled')
      this.#emit(`${log.direction}_fulfill`, record.transfer, record.fulfillment)
    }
  }

  #onCancel(index: string, transaction: ValidatedTransaction): void {
    for (const log of this.#logs) {
      const record = log.inEscrow(index)
      if (!record) continue
      if (log === this.outgoing) this.#addFee(record, transaction)
      this.#expire(log, record)
    }
  }

  #expire(log: TransferLog, record: TransferRecord): void {
    const { transfer, state } = record
    // A rejected transfer is over for the host.
    log.finish(record, state === 'rejected' ? state : 'canceled')
    if (state === 'rejected') return
    const { prefix, wallet } = this.#settings
    this.#emit(`${log.direction}_cancel`, transfer, timedOut(transfer, prefix + wallet.address))
  }

  /** Cancels an expired transfer: the money comes back with the event that follows. */
  async #cancel(record: TransferRecord, ledgerIndex: number): Promise<void> {
    const escrow = record.escrow as Escrow
    record.nextCancelIn = Number.POSITIVE_INFINITY
    try {
      const what = `The cancellation of transfer "${record.transfer.id}"`
      await this.#submitter.submit({ tx: toEscrowCancel(escrow), what })
    } catch (err) {
      record.nextCancelIn = ledgerIndex + ledgersBeforeRetry
      const isGone = failureOf(err)?.engineResult === 'tecNO_TARGET'
      if (isGone && this.outgoing.inEscrow(escrow.index) === record)
        this.#lose([record], 'HISTORY_GAP', `The server "${this.#settings.serverName}" lacks ledgers`)
    }
  }

  /** Only its receiver can reject a transfer, and once; the money stays locked until it expires. */
  #onRejection(receiver: string, { sequence, reason }: Rejection): void {
    const { prefix, wallet } = this.#settings
    const record = this.outgoing.inEscrow(toEscrow(wallet.address, sequence).index)
    if (!record || record.isRejected || toClassicAddress(record.transfer.to, prefix) !== receiver) return
    record.isRejected = true
    this.#emit('outgoing_reject', record.transfer, reason)
  }

  /**
   * Settles what happened in ledgers that nobody can read, by what was open afterwards.
   *
   * @param open - the escrows that were open as of the ledger
   */
  #settleGap(gap: Gap, ledger: ClosedLedger, open: Map<string, EscrowEntry>): void {
    const unknown = this.#submitter.takeUnknown()
    const lost: TransferRecord[] = []
    for (const { request, attempt, resolve } of unknown) {
      const record = this.outgoing.get(request.transferId ?? '')
      if (record?.state !== 'sending') continue
      const escrow = attempt && toEscrow(this.#settings.wallet.address, attempt.sequence)
      const { previousTxnId, effect } = open.get(escrow?.index ?? '') ?? {}
      const isSame = isSameBytes32(effect?.transfer.executionCondition, record.transfer.executionCondition)
      if (escrow && previousTxnId && (previousTxnId === attempt.hash || isSame)) {
        this.#setPrepared(record, { hash: attempt.hash, ledgerIndex: ledger.index }, escrow)
        this.#onMade(this.outgoing, record)
        resolve()
      } else lost.push(record)
    }
    const isGone = ({ escrow, ledgerIndex = Number.POSITIVE_INFINITY }: TransferRecord) =>
      ledgerIndex <= ledger.index && !open.has((escrow as Escrow).index)
    lost.push(...this.#logs.flatMap(log => log.open().filter(isGone)))
    const error = this.#lose(lost, gap.code, gap.message)
    // A repeated `fulfillCondition` first checks whether the escrow is open.
    for (const { reject } of unknown) reject(error)
  }

  /** The outcome of some transfers is unknown. Their ids stay taken, so that nothing is paid twice. */
  #lose(records: TransferRecord[], code: Gap['code'], message: string): UnreachableError {
    const transferIds = records.filter(({ state }) => state !== 'rejected').map(({ transfer }) => transfer.id)
    const which =
      transferIds.length === 1 ? `transfer "${transferIds[0]}"` : `${transferIds.length} transfers`
    const error = new UnreachableError(`${message}. The outcome of ${which} is unknown`, {
      code,
      transferIds
    })
    for (const record of records) {
      const log = this.#logs.find(log => log.get(record.transfer.id) === record) as TransferLog
      log.finish(record, record.state === 'rejected' ? 'rejected' : 'unknown')
      record.problem = error
    }
    this.#emit('error', error)
    return error
  }

  /**
   * Adds own escrows that another run of the program has made, so that they are canceled when they expire.
   *
   * @returns whether the `EscrowCreate` of each was found
   */
  async #adopt(entries: EscrowEntry[]): Promise<boolean> {
    const missing = new Map<string, EscrowEntry>()
    for (const entry of entries) {
      const found = await this.#follower.ask(server => server.transaction(entry.previousTxnId))
      if (found?.type === 'EscrowCreate') await this.#adoptOne(entry.index, found)
      else missing.set(entry.index, entry)
    }
    // Since it was made, an escrow may have been changed by another transaction (XLS-68).
    if (missing.size > 0) {
      for await (const transaction of this.#follower.history()) {
        const { effect } = transaction
        const index = effect?.kind === 'transfer' && effect.escrow?.index
        if (index && missing.delete(index)) await this.#adoptOne(index, transaction)
        if (missing.size === 0) break
      }
    }
    // Even without its history the money can come back, if the entry says the sequence.
    for (const { index, effect } of missing.values())
      if (effect && effect.cancelAfter < this.#follower.validated.closeTime && missing.delete(index))
        await this.#adoptOne(index, { hash: index, ledgerIndex: 0, fee: 0n, feePayer: '', effect })
    return missing.size === 0
  }

  async #adoptOne(index: string, transaction: Creation): Promise<void> {
    const { effect } = transaction
    if (effect?.kind !== 'transfer' || effect.escrow?.index !== index) return
    // It may have been closed since it was listed.
    if (await this.#follower.ask(server => server.hasEntry(index)))
      this.#add(this.outgoing, transaction, effect)
  }

  /** Adds what a transaction has cost this account. */
  #addFee({ transfer }: TransferRecord, transaction: Creation | undefined): void {
    if (transaction?.feePayer !== this.#settings.wallet.address) return
    transfer.feeDrops = String(BigInt(transfer.feeDrops ?? 0) + transaction.fee)
  }
}
