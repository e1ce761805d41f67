import { EventEmitter } from 'node:events'
import { amendmentsEntry, feeSettingsEntry } from './amendments.ts'
import { applyTransaction, minimumFee, type Outcome } from './apply.ts'
import { bySeqProxy, canonicalOrder, seqProxy } from './canonical-order.ts'
import { lengthPrefix, serialize } from './codec.ts'
import { claimsFee, type EngineResult, isSuccess, mayRetry } from './engine-results.ts'
import { genesis } from './genesis.ts'
import { hashPrefix, indexOf, sha512Half, toHex, zeroHash } from './hashes.ts'
import {
  type Applied,
  type ClosedLedger,
  History,
  type LedgerContents,
  type LedgerHeader
} from './history.ts'
import { buildMetadata } from './metadata.ts'
import { ShaMap } from './sha-map.ts'
import { accountOf, type LedgerEntry, newAccount, type State, View } from './state.ts'
import type { Transaction, TransactionFields } from './transaction.ts'
import { TransactionCache } from './transaction-cache.ts'
import { type Fees, type LedgerContext, maxDrops } from './transactors/transactor.ts'

/** 2000-01-01T00:00Z, the ledger's year zero, in seconds of Unix time. */
export const rippleEpoch = 946_684_800

export const closeTimeResolution = 10

// How often a closing ledger tries what has failed. Source: rippled, app/ledger/Ledger.h.
const maxPasses = 3
const maxRetryPasses = 1

/**
 * A transaction that is not validated yet is tried again in this many ledgers: rippled keeps it for five, and looks
 * for what is too old when the next one is open already. Source: rippled 3.2.0, app/ledger/detail/LocalTxs.cpp.
 */
const maxHoldLedgers = 7
/** Source: rippled 3.2.0, app/misc/NetworkOPs.cpp, which holds a transaction once more, and near its end always. */
const maxRetries = 2
const nearLastLedgers = 5
const maxHeldTransactions = 10_000
const maxHeldBytes = 16 * 1024 * 1024

/** A transaction can be queued for a cheaper ledger if it is valid in this many more. Source: rippled, TxQ.h. */
const minQueuedLedgers = 2
/** The fee level of a transaction that pays just what it costs at least. */
export const referenceLevel = 256

export interface LedgerOptions {
  fees: Fees
  networkId: number
  /** How many validated transactions, and how many ledgers, to keep. */
  historyLimit: number
  /** The wall clock, in milliseconds of Unix time. */
  now: () => number
  /** Ledgers of another Ledger, to begin with. */
  past?: Iterable<LedgerContents> | undefined
}

export interface SubmitOutcome {
  result: EngineResult
  applied: boolean
  kept: boolean
}

interface LedgerEvents {
  close: [ClosedLedger]
  /** A transaction was applied to the open ledger. */
  proposed: [Transaction, EngineResult]
}

/** A transaction that is not validated yet: in the open ledger, or held. */
interface Pending extends Transaction {
  /** The last ledger to try it in. */
  lastLedger: number
  /** At how many closes it is tried once more before the ledger closes, and not only in the next open ledger. */
  retries: number
}

interface Held extends Pending {
  /** Why it is not in the open ledger. */
  result: EngineResult
}

/** Whether a transaction cannot be validated any more. */
const isFinal = (result: EngineResult) => result.startsWith('tem') || result === 'tefMAX_LEDGER'

/** The last ledger that a transaction is valid in. */
const lastLedgerOf = ({ LastLedgerSequence = Number.POSITIVE_INFINITY }: TransactionFields) =>
  LastLedgerSequence

/** A ledger's header as its hash wants it. Source: xrpl.org "Ledger Header". */
export function headerBytes(header: Omit<LedgerHeader, 'hash'>): Buffer {
  const numbers = Buffer.alloc(12)
  numbers.writeUInt32BE(header.ledgerIndex, 0)
  numbers.writeBigUInt64BE(header.totalDrops, 4)
  const hashes = Buffer.from(header.parentHash + header.transactionHash + header.accountHash, 'hex')
  const times = Buffer.alloc(10)
  times.writeUInt32BE(header.parentCloseTime, 0)
  times.writeUInt32BE(header.closeTime, 4)
  times.writeUInt8(closeTimeResolution, 8)
  return Buffer.concat([numbers, hashes, times])
}

/** The ledger: its validated state, the open ledger above it, and the history below. It knows no network. */
export class Ledger extends EventEmitter<LedgerEvents> {
  readonly fees: Fees
  readonly networkId: number
  readonly history: History
  readonly cache = new TransactionCache()
  /** The wall clock, in milliseconds of Unix time. */
  readonly now: () => number
  #openView = new View(new ShaMap<LedgerEntry>())
  /** By hash, in order of arrival. */
  #open = new Map<string, Pending>()
  readonly #held = new Map<string, Held>()
  #heldBytes = 0
  #openLedgerLevel = referenceLevel

  constructor({ fees, networkId, historyLimit, now, past = [] }: LedgerOptions) {
    super()
    this.fees = fees
    this.networkId = networkId
    this.history = new History(historyLimit)
    this.now = now
    const [first, ...rest] = past
    this.#start(first?.closeTime ?? this.#seconds())
    for (const contents of rest) this.close(contents)
  }

  /** The state of the last closed ledger. */
  get validated(): ShaMap<LedgerEntry> {
    return this.history.last.state as ShaMap<LedgerEntry>
  }

  /** The state of the open ledger. */
  get open(): State {
    return this.#openView
  }

  get openTransactions(): ReadonlyMap<string, Transaction> {
    return this.#open
  }

  get closedHeader(): LedgerHeader {
    return this.history.last.header
  }

  get openIndex(): number {
    return this.closedHeader.ledgerIndex + 1
  }

  /** Ledger 2, with all XRP in the genesis account: the oldest that a fresh stand-alone rippled has. */
  #start(closeTime: number) {
    const state = new ShaMap<LedgerEntry>()
    const view = new View(state)
    view.write(indexOf.account(genesis.address), newAccount(genesis.address, String(maxDrops), 1))
    view.write(indexOf.amendments, amendmentsEntry)
    view.write(indexOf.feeSettings, feeSettingsEntry(this.fees))
    const parent = { ledgerIndex: 1, hash: zeroHash, closeTime: 0, totalDrops: maxDrops }
    this.#accept(state, view, parent, closeTime, [])
    this.#openView = new View(this.validated)
  }

  /** The wall clock in the ledger's seconds. */
  #seconds(): number {
    return Math.floor(this.now() / 1000) - rippleEpoch
  }

  /** Close times are rounded, but each ledger closes at least a second after the one before. */
  #nextCloseTime(): number {
    const shifted = this.#seconds() + closeTimeResolution / 2
    return Math.max(shifted - (shifted % closeTimeResolution), this.closedHeader.closeTime + 1)
  }

  #context(open: boolean): LedgerContext {
    return {
      ledgerIndex: this.openIndex,
      parentCloseTime: this.closedHeader.closeTime,
      open,
      fees: this.fees,
      networkId: this.networkId
    }
  }

  /**
   * Sets what the open ledger asks of a reference transaction from now on, as when the network is busy.
   *
   * @param drops - at rest, the base fee
   */
  setOpenLedgerFee(drops: number) {
    this.#openLedgerLevel = Math.max(referenceLevel, Math.ceil((drops * referenceLevel) / this.fees.base))
  }

  /** What the open ledger asks, in 256ths of what a transaction costs at least. */
  get openLedgerLevel(): number {
    return this.#openLedgerLevel
  }

  /** What the open ledger asks of a reference transaction, in drops. */
  get openLedgerFee(): number {
    return Math.floor(((this.#openLedgerLevel - 1) * this.fees.base) / referenceLevel) + 1
  }

  /** What the open ledger asks of a transaction, in 256ths of drops. */
  openLedgerCost(fields: TransactionFields): bigint {
    const least = minimumFee(fields, this.fees, accountOf(this.open, fields.Account))
    return BigInt(this.#openLedgerLevel) * BigInt(least)
  }

  /** The transactions that wait for a cheaper ledger. */
  get queued(): Transaction[] {
    return [...this.#held.values()].filter(({ result }) => result === 'terQUEUED')
  }

  /**
   * Applies a transaction to the open ledger, if it can be, or holds it, if it may be applied later.
   *
   * @param options.failHard - leave it alone unless it succeeds at once
   */
  submit(transaction: Transaction, { failHard = false } = {}): SubmitOutcome {
    const { hash, fields } = transaction
    if (this.cache.get(hash)?.isBad) return { result: 'temBAD_SIGNATURE', applied: false, kept: false }
    const lastLedger = Math.min(this.openIndex + maxHoldLedgers, lastLedgerOf(fields))
    const outcome = this.#applyOrHold({ ...transaction, lastLedger, retries: maxRetries }, failHard)
    const { result, applied } = outcome
    if (!this.history.transaction(hash)) this.cache.add(transaction, result.startsWith('tem'))
    if (applied) this.emit('proposed', transaction, result)
    return outcome
  }

  #applyOrHold(pending: Pending, failHard = false): SubmitOutcome {
    const { result, applied } = this.#applyToOpen(pending, failHard)
    if (applied || failHard) return { result, applied, kept: applied }
    const isOver = isFinal(result) || !this.#isPossible(pending.fields)
    return { result, applied, kept: isOver || this.#hold(pending, result) }
  }

  #applyToOpen(pending: Pending, failHard = false): { result: EngineResult; applied: boolean } {
    const { hash, fields } = pending
    const outcome = applyTransaction(pending, this.#openView, this.#context(true), { retry: failHard })
    if (!outcome.applied) return outcome
    if (BigInt(fields.Fee) * BigInt(referenceLevel) < this.openLedgerCost(fields)) {
      const canWait = !failHard && lastLedgerOf(fields) >= this.openIndex + minQueuedLedgers
      return { result: canWait ? 'terQUEUED' : 'telCAN_NOT_QUEUE', applied: false }
    }
    outcome.view.commitTo(this.#openView)
    this.#open.set(hash, pending)
    this.#release(hash)
    return outcome
  }

  /** Holds a transaction, if there is room. */
  #hold(pending: Pending, result: EngineResult): boolean {
    const { hash, blob, fields } = pending
    if (this.#open.has(hash) || this.#held.has(hash)) return true
    if (this.#held.size >= maxHeldTransactions || this.#heldBytes >= maxHeldBytes) return false
    const lastLedger = result === 'terQUEUED' ? lastLedgerOf(fields) : pending.lastLedger
    this.#held.set(hash, { ...pending, lastLedger, result })
    this.#heldBytes += blob.length
    return true
  }

  #release(hash: string) {
    this.#heldBytes -= this.#held.get(hash)?.blob.length ?? 0
    this.#held.delete(hash)
  }

  /**
   * Tries again what an account has submitted lately and what may have waited for a transaction of it that has
   * succeeded: the next sequence, then tickets. Source: rippled, app/misc/CanonicalTXSet.cpp.
   */
  applyHeld(succeeded: Transaction) {
    const { Account } = succeeded.fields
    const after = seqProxy(succeeded.fields)
    const [next] = [...this.#held.values()]
      .filter(({ retries, fields }) => retries > 0 && fields.Account === Account && seqProxy(fields) >= after)
      .sort(bySeqProxy)
    if (!next) return
    this.#release(next.hash)
    if (isSuccess(this.submit(next).result)) this.applyHeld(next)
  }

  /**
   * Closes the open ledger: its transactions are applied anew, in canonical order, to the state of the ledger
   * before, and are validated. What could not be applied is tried in the next open ledger.
   *
   * @param replay - closes a ledger as it was closed before: these transactions in this order, at this time
   * Source: rippled, app/ledger/impl/BuildLedger.cpp
   */
  close(replay?: LedgerContents): ClosedLedger {
    const parent = this.closedHeader
    const held = [...this.#held.values()].filter(({ retries }) => retries > 0)
    for (const one of canonicalOrder(held, Buffer.from(parent.parentHash, 'hex'))) {
      const isNearLast = lastLedgerOf(one.fields) - this.openIndex <= nearLastLedgers
      if (!this.#applyToOpen(one).applied && !isNearLast) one.retries--
    }
    const view = new View(this.validated)
    const context = this.#context(false)
    const applied: Applied[] = []
    let burntDrops = 0n

    const apply = (transaction: Transaction, retry: boolean): Outcome => {
      const outcome = applyTransaction(transaction, view, context, { retry })
      if (!outcome.applied) return outcome
      const meta = buildMetadata(
        outcome.view,
        { hash: transaction.hash, ledgerIndex: context.ledgerIndex },
        { TransactionIndex: applied.length, TransactionResult: outcome.result }
      )
      outcome.view.commitTo(view)
      burntDrops += outcome.burntDrops
      applied.push({ transaction, meta, metaBlob: serialize(meta) })
      return outcome
    }

    if (replay) for (const transaction of replay.transactions) apply(transaction, false)
    else this.#applyInPasses(apply)
    const closeTime = replay?.closeTime ?? this.#nextCloseTime()
    const totals = { ...parent, totalDrops: parent.totalDrops - burntDrops }
    const ledger = this.#accept(this.validated.copy(), view, totals, closeTime, applied)
    this.#reopen()
    this.emit('close', ledger)
    return ledger
  }

  #applyInPasses(apply: (transaction: Transaction, retry: boolean) => Outcome) {
    const set = new ShaMap<Transaction>()
    for (const [hash, transaction] of this.#open) set.set(hash, hash, transaction)
    let left = canonicalOrder(this.#open.values(), Buffer.from(set.rootHash(), 'hex'))
    let retry = true
    for (let pass = 0; pass < maxPasses && left.length > 0; pass++) {
      let changes = 0
      left = left.filter(transaction => {
        const { result, applied } = apply(transaction, retry)
        if (applied) changes++
        return !applied && (mayRetry(result) || claimsFee(result))
      })
      if (changes === 0 && !retry) return
      if (changes === 0 || pass >= maxRetryPasses) retry = false
    }
  }

  /** Makes the changes permanent and the ledger a part of history. */
  #accept(
    state: ShaMap<LedgerEntry>,
    view: View,
    parent: Pick<LedgerHeader, 'ledgerIndex' | 'hash' | 'closeTime' | 'totalDrops'>,
    closeTime: number,
    applied: Applied[]
  ): ClosedLedger {
    for (const [index, { after }] of [...view.changes()]) {
      const key = Buffer.from(index, 'hex')
      if (after) state.set(index, toHex(sha512Half(hashPrefix.stateNode, serialize(after), key)), after)
      else state.delete(index)
    }
    const transactionMap = new ShaMap<Transaction>()
    for (const { transaction, metaBlob } of applied) {
      const { hash, blob } = transaction
      const leaf = [lengthPrefix(blob.length), blob, lengthPrefix(metaBlob.length), metaBlob]
      const leafHash = sha512Half(hashPrefix.transactionNode, ...leaf, Buffer.from(hash, 'hex'))
      transactionMap.set(hash, toHex(leafHash), transaction)
      this.cache.delete(hash)
    }
    const header = {
      networkId: this.networkId,
      ledgerIndex: parent.ledgerIndex + 1,
      parentHash: parent.hash,
      transactionHash: transactionMap.rootHash(),
      accountHash: state.rootHash(),
      closeTime,
      parentCloseTime: parent.closeTime,
      totalDrops: parent.totalDrops
    }
    const hash = toHex(sha512Half(hashPrefix.ledgerHeader, headerBytes(header)))
    return this.history.add({ ...header, hash }, applied, state)
  }

  /** Whether a transaction can still be validated: what it uses up is there, or may come. */
  #isPossible({ Account, Sequence, TicketSequence = 0 }: TransactionFields): boolean {
    const account = accountOf(this.validated, Account)
    if (!account) return true
    if (Sequence > 0) return Sequence >= account.Sequence
    return (
      TicketSequence >= account.Sequence ||
      this.validated.read(indexOf.ticket(Account, TicketSequence)) !== undefined
    )
  }

  /** Starts the next open ledger with what is not validated yet. */
  #reopen() {
    const pending: Pending[] = [...this.#open.values(), ...this.#held.values()].filter(
      ({ lastLedger, fields }) => lastLedger >= this.openIndex && this.#isPossible(fields)
    )
    this.#openView = new View(this.validated)
    this.#open = new Map()
    this.#held.clear()
    this.#heldBytes = 0
    for (const one of canonicalOrder(pending, Buffer.alloc(32))) this.#applyOrHold(one)
  }
}
