import { EventEmitter } from 'node:events'
import { applyTransaction, minimumFee, type Outcome } from './apply.ts'
import { claimsFee, type EngineResult, isSuccess, mayRetry } from './engine-results.ts'
import { genesis } from './genesis.ts'
import { HashTree } from './hash-tree.ts'
import { hashPrefix, indexOf, sha512Half, toHex, ZERO_HASH } from './hashes.ts'
import {
  type Applied,
  type ClosedLedger,
  deliveredAmount,
  History,
  type LedgerContents,
  type LedgerHeader,
  type Undo
} from './history.ts'
import { affectedAccounts, buildMetadata } from './metadata.ts'
import { byNumber, canonicalOrder, numberOf } from './order.ts'
import { PriceQueue } from './price-queue.ts'
import { lengthPrefix, serialize } from './serialize.ts'
import { accountOf, type LedgerEntry, newAccount, type State, View } from './state.ts'
import { Submitted } from './submitted.ts'
import type { Transaction, TransactionFields } from './transaction.ts'
import { type Fees, type LedgerContext, MAX_DROPS } from './transactors/transactor.ts'

/** 2000-01-01T00:00Z, the ledger's year zero, in seconds of Unix time. */
export const RIPPLE_EPOCH = 946_684_800

export const CLOSE_TIME_RESOLUTION = 10

// How often a closing ledger tries what has failed. Source: rippled, app/ledger/Ledger.h.
const TOTAL_PASSES = 3
const RETRY_PASSES = 1

/**
 * A transaction that is not validated yet is tried again in this many ledgers: rippled keeps it for five, and looks
 * for what is too old when the next one is open already. Source: rippled 2.3.0, app/ledger/detail/LocalTxs.cpp.
 */
const HOLD_LEDGERS = 7
const MAX_HELD = 10_000
const MAX_LOCAL_BYTES = 16 * 1024 * 1024

/** How the price of the open ledger rises. Source: rippled, app/misc/TxQ.h. */
const ESCALATION = 500
/** The level of a transaction that pays just what it costs at least. */
export const REFERENCE_LEVEL = 256

export interface LedgerOptions {
  fees: Fees
  networkId: number
  /** How many validated transactions to remember. */
  historyLimit: number
  /** The wall clock, in milliseconds of Unix time. */
  now: () => number
  /** How many transactions the open ledger takes before they have to pay more. */
  openLedgerLimit: number
  /** The ledgers of an earlier run, to begin with; the first may be a snapshot. */
  past?: Iterable<LedgerContents | Snapshot> | undefined
}

/** The whole state after a ledger. */
export interface Snapshot {
  header: LedgerHeader
  entries: Record<string, LedgerEntry>
}

export interface SubmitOutcome {
  result: EngineResult
  applied: boolean
  kept: boolean
}

/** A closed ledger, and what was applied in it, in order. */
export interface LedgerClosed {
  ledger: ClosedLedger
  applied: Applied[]
}

interface LedgerEvents {
  close: [LedgerClosed]
  /** A transaction was applied to the open ledger. */
  proposed: [Transaction, EngineResult]
}

interface Local {
  transaction: Transaction
  /** The last ledger to try it in. */
  lastLedger: number
}

/** Results after which a transaction cannot be validated any more. */
const isHopeless = (result: EngineResult) => result.startsWith('tem') || result === 'tefMAX_LEDGER'

/** A ledger's header as its hash wants it. Source: xrpl.org "Ledger Header". */
export function headerBytes(header: Omit<LedgerHeader, 'hash'>): Buffer {
  const numbers = Buffer.alloc(12)
  numbers.writeUInt32BE(header.ledgerIndex, 0)
  numbers.writeBigUInt64BE(header.totalDrops, 4)
  const hashes = Buffer.from(header.parentHash + header.transactionHash + header.accountHash, 'hex')
  const times = Buffer.alloc(10)
  times.writeUInt32BE(header.parentCloseTime, 0)
  times.writeUInt32BE(header.closeTime, 4)
  times.writeUInt8(CLOSE_TIME_RESOLUTION, 8)
  return Buffer.concat([numbers, hashes, times])
}

/** The ledger: its validated state, the open ledger above it, and the history below. It knows no network. */
export class Ledger extends EventEmitter<LedgerEvents> {
  readonly fees: Fees
  readonly networkId: number
  readonly openLedgerLimit: number
  readonly history: History
  readonly submitted: Submitted
  /** The wall clock, in milliseconds of Unix time. */
  readonly now: () => number
  readonly #entries = new Map<string, LedgerEntry>()
  readonly #stateTree = new HashTree()
  #openView = new View(this.validated)
  /** What the open ledger holds, in order of arrival. */
  #openTransactions = new Map<string, Transaction>()
  /** What was submitted and may be validated yet, by hash: applied to the open ledger, or tried again in the next. */
  readonly #locals = new Map<string, Local>()
  #localBytes = 0
  /** Those of them that wait for something since the last close, by account. */
  readonly #held = new Map<string, Transaction[]>()
  #openLedgerFeeLevel = REFERENCE_LEVEL
  /** Those of them that wait for a lower price. */
  readonly queue: PriceQueue

  constructor({ fees, networkId, historyLimit, now, openLedgerLimit, past = [] }: LedgerOptions) {
    super()
    this.openLedgerLimit = openLedgerLimit
    this.queue = new PriceQueue(openLedgerLimit)
    this.fees = fees
    this.networkId = networkId
    this.history = new History(historyLimit)
    this.submitted = new Submitted(now)
    this.now = now
    let started = false
    for (const entry of past) {
      if ('entries' in entry) this.#restore(entry)
      else if (started) this.close(entry)
      else this.#start(entry.closeTime)
      started = true
    }
    if (!started) this.#start(this.#seconds())
  }

  /** The state of the last closed ledger. */
  get validated(): State {
    return { read: index => this.#entries.get(index) }
  }

  /** All entries of the last closed ledger. */
  entries(): Iterable<LedgerEntry> {
    return this.#entries.values()
  }

  /** The whole state as it was after a ledger of the history. */
  snapshot(after: ClosedLedger): Snapshot {
    const state = this.history.stateAfter(after, this.validated)
    const entries: Snapshot['entries'] = {}
    for (const index of this.indexes(after)) {
      const entry = state.read(index)
      if (entry) entries[index] = entry
    }
    return { header: after.header, entries }
  }

  /** Where the state of the open ledger, or of a closed one, may hold something, in order. */
  indexes(closed?: ClosedLedger): string[] {
    const found = new Set(this.#entries.keys())
    if (!closed) for (const [index] of this.#openView.changes()) found.add(index)
    else for (const index of this.history.changedSince(closed)) found.add(index)
    return [...found].sort()
  }

  /** The state of the open ledger. */
  get open(): State {
    return this.#openView
  }

  get openTransactions(): ReadonlyMap<string, Transaction> {
    return this.#openTransactions
  }

  get closedHeader(): LedgerHeader {
    return this.history.last.header
  }

  get openIndex(): number {
    return this.closedHeader.ledgerIndex + 1
  }

  /** Ledger 2, with all XRP in the genesis account: the oldest that a fresh stand-alone rippled has. */
  #start(closeTime: number) {
    const view = new View(this.validated)
    view.write(indexOf.account(genesis.address), newAccount(genesis.address, String(MAX_DROPS), 1))
    const parent = { ledgerIndex: 1, hash: ZERO_HASH, closeTime: 0, totalDrops: MAX_DROPS }
    this.#seal(view, parent, closeTime, [])
    this.#openView = new View(this.validated)
  }

  #restore({ header, entries }: Snapshot) {
    for (const [index, entry] of Object.entries(entries)) this.#put(index, entry)
    this.history.add(header, [], new Map())
    this.#openView = new View(this.validated)
  }

  #put(index: string, entry: LedgerEntry) {
    this.#entries.set(index, entry)
    const key = Buffer.from(index, 'hex')
    this.#stateTree.set(index, sha512Half(hashPrefix.stateNode, serialize(entry), key))
  }

  /** The wall clock as ledgers tell the time. */
  #seconds(): number {
    return Math.floor(this.now() / 1000) - RIPPLE_EPOCH
  }

  /** The time is rounded, but each ledger closes at least a second after the one before. */
  #nextCloseTime(): number {
    const shifted = this.#seconds() + CLOSE_TIME_RESOLUTION / 2
    return Math.max(shifted - (shifted % CLOSE_TIME_RESOLUTION), this.closedHeader.closeTime + 1)
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
   * Applies a transaction to the open ledger, if it can be, or keeps it for later, if that may help.
   *
   * With `failHard` it is left alone unless it succeeds at once.
   */
  submit(transaction: Transaction, { failHard = false } = {}): SubmitOutcome {
    if (this.submitted.isMalformed(transaction.hash))
      return { result: 'temBAD_SIGNATURE', applied: false, kept: false }
    if (!this.history.transaction(transaction.hash)) this.submitted.add(transaction)
    const outcome = this.#applyOrHold(transaction, failHard)
    if (outcome.result.startsWith('tem')) this.submitted.condemn(transaction)
    if (outcome.kept && mayRetry(outcome.result)) {
      const { Account } = transaction.fields
      this.#held.set(Account, [...(this.#held.get(Account) ?? []), transaction])
    }
    if (outcome.applied) this.emit('proposed', transaction, outcome.result)
    return outcome
  }

  #applyOrHold(transaction: Transaction, failHard = false): SubmitOutcome {
    const { applied, result } = this.#applyToOpen(transaction, failHard)
    if (applied || failHard) return { result, applied, kept: applied }
    const isOver = isHopeless(result) || !this.#isPossible(transaction)
    return { result, applied, kept: isOver || this.#remember(transaction) }
  }

  #applyToOpen(transaction: Transaction, failHard: boolean): { result: EngineResult; applied: boolean } {
    const { fields } = transaction
    const context = this.#context(true)
    const outcome = applyTransaction(transaction, this.#openView, context, { retry: failHard })
    const wait = () => ({ result: this.queue.add(transaction, this.#openView, context), applied: false })
    if (!outcome.applied) {
      const follows = outcome.result === 'terPRE_SEQ' && this.queue.has(fields.Account, fields.Sequence - 1)
      return follows && !failHard ? wait() : outcome
    }
    if (BigInt(fields.Fee) * BigInt(REFERENCE_LEVEL) < this.openLedgerCost(fields))
      return failHard ? { result: 'telCAN_NOT_QUEUE', applied: false } : wait()
    outcome.view.commitTo(this.#openView)
    this.#openTransactions.set(transaction.hash, transaction)
    this.queue.delete(fields)
    this.#remember(transaction)
    return outcome
  }

  /** What the open ledger costs at this moment, in units of a 256th of what a transaction costs at least. */
  get openLedgerLevel(): number {
    const load = this.#openTransactions.size / this.openLedgerLimit
    const byLoad = load > 1 ? Math.floor(REFERENCE_LEVEL * ESCALATION * load ** 2) : REFERENCE_LEVEL
    return Math.max(byLoad, this.#openLedgerFeeLevel)
  }

  /** Sets what the open ledger asks of a reference transaction from now on, in drops. */
  setOpenLedgerFee(drops: number) {
    this.#openLedgerFeeLevel = Math.ceil((drops * REFERENCE_LEVEL) / this.fees.base)
  }

  /** What a transaction has to pay at this moment to get into the open ledger, in 256ths of drops. */
  openLedgerCost(fields: TransactionFields): bigint {
    const least = minimumFee(fields, this.fees, accountOf(this.open, fields.Account))
    return BigInt(this.openLedgerLevel) * BigInt(least)
  }

  /**
   * Tries again what an account has submitted since the last close and what may have waited for a transaction of
   * it that has succeeded: the next sequence, then tickets. Source: rippled, app/misc/CanonicalTXSet.cpp.
   */
  applyHeld(succeeded: Transaction) {
    const held = this.#held.get(succeeded.fields.Account) ?? []
    const after = numberOf(succeeded.fields)
    const [next] = held.filter(({ fields }) => numberOf(fields) >= after).sort(byNumber)
    if (!next) return
    held.splice(held.indexOf(next), 1)
    if (isSuccess(this.submit(next).result)) this.applyHeld(next)
  }

  /** Keeps a transaction to try it again in the next ledgers, if there is room. */
  #remember(transaction: Transaction): boolean {
    const { hash, blob, fields } = transaction
    if (this.#locals.has(hash)) return true
    const held = this.#locals.size - this.#openTransactions.size
    const isFull = held >= MAX_HELD || this.#localBytes >= MAX_LOCAL_BYTES
    if (isFull && !this.#openTransactions.has(hash)) return false
    const { LastLedgerSequence = Number.POSITIVE_INFINITY } = fields
    const lastLedger = Math.min(this.openIndex + HOLD_LEDGERS, LastLedgerSequence)
    this.#locals.set(hash, { transaction, lastLedger })
    this.#localBytes += blob.length
    return true
  }

  /**
   * Closes the open ledger: its transactions are applied anew, in canonical order, to the state of the ledger
   * before, and are validated. What could not be applied is tried in the next open ledger.
   *
   * `replay` closes a ledger as it was closed before: these transactions in this order, at this time.
   * Source: rippled, app/ledger/impl/BuildLedger.cpp.
   */
  close(replay?: LedgerContents): ClosedLedger {
    const held = canonicalOrder(
      [...this.#held.values()].flat(),
      Buffer.from(this.closedHeader.parentHash, 'hex')
    )
    for (const transaction of held) this.#applyToOpen(transaction, false)
    const parent = this.closedHeader
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
      const metaBlob = serialize(meta)
      Object.assign(meta, deliveredAmount(transaction.fields, outcome.result))
      applied.push({ transaction, meta, metaBlob, accounts: affectedAccounts(meta) })
      return outcome
    }

    if (replay) for (const transaction of replay.transactions) apply(transaction, false)
    else this.#applyInPasses(apply)
    const closeTime = replay?.closeTime ?? this.#nextCloseTime()
    const totals = { ...parent, totalDrops: parent.totalDrops - burntDrops }
    const ledger = this.#seal(view, totals, closeTime, applied)
    this.#reopen()
    this.emit('close', { ledger, applied })
    return ledger
  }

  #applyInPasses(apply: (transaction: Transaction, retry: boolean) => Outcome) {
    const set = new HashTree()
    for (const hash of this.#openTransactions.keys()) set.set(hash, Buffer.from(hash, 'hex'))
    let left = canonicalOrder(this.#openTransactions.values(), set.rootHash())
    let retry = true
    for (let pass = 0; pass < TOTAL_PASSES && left.length > 0; pass++) {
      let changes = 0
      left = left.filter(transaction => {
        const { result, applied } = apply(transaction, retry)
        if (applied) changes++
        return !applied && (mayRetry(result) || claimsFee(result))
      })
      if (changes === 0 && !retry) return
      if (changes === 0 || pass >= RETRY_PASSES) retry = false
    }
  }

  /** Makes the changes permanent and the ledger a part of history. */
  #seal(
    view: View,
    parent: Pick<LedgerHeader, 'ledgerIndex' | 'hash' | 'closeTime' | 'totalDrops'>,
    closeTime: number,
    applied: Applied[]
  ): ClosedLedger {
    const undo: Undo = new Map()
    for (const [index, { before, after }] of view.changes()) {
      if (before === after) continue
      undo.set(index, before)
      if (after) {
        this.#put(index, after)
      } else {
        this.#entries.delete(index)
        this.#stateTree.delete(index)
      }
    }
    const tree = new HashTree()
    for (const { transaction, metaBlob } of applied) {
      const { hash, blob } = transaction
      const leaf = [lengthPrefix(blob.length), blob, lengthPrefix(metaBlob.length), metaBlob]
      tree.set(hash, sha512Half(hashPrefix.transactionNode, ...leaf, Buffer.from(hash, 'hex')))
    }
    const header = {
      ledgerIndex: parent.ledgerIndex + 1,
      parentHash: parent.hash,
      transactionHash: toHex(tree.rootHash()),
      accountHash: toHex(this.#stateTree.rootHash()),
      closeTime,
      parentCloseTime: parent.closeTime,
      totalDrops: parent.totalDrops
    }
    const hash = toHex(sha512Half(hashPrefix.ledgerHeader, headerBytes(header)))
    for (const { transaction } of applied) this.submitted.delete(transaction.hash)
    return this.history.add({ ...header, hash }, applied, undo)
  }

  /** Whether a transaction can still be validated: what it uses up is there, or may come. */
  #isPossible({ fields: { Account, Sequence, TicketSequence = 0 } }: Transaction): boolean {
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
    for (const [hash, { transaction, lastLedger }] of this.#locals) {
      if (lastLedger >= this.openIndex && this.#isPossible(transaction)) continue
      this.#locals.delete(hash)
      this.#localBytes -= transaction.blob.length
    }
    this.#openView = new View(this.validated)
    this.#openTransactions = new Map()
    this.#held.clear()
    this.queue.clear()
    const waiting = [...this.#locals.values()].map(({ transaction }) => transaction)
    for (const transaction of canonicalOrder(waiting, Buffer.alloc(32))) this.#applyOrHold(transaction)
  }
}
