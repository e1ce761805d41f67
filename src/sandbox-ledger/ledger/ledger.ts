import { EventEmitter } from 'node:events'
import { claimsFee, type EngineResult, isSuccess, mayRetry } from './engine-results.ts'
import { genesis } from './genesis.ts'
import { HashTree } from './hash-tree.ts'
import { accountId, hashPrefix, indexOf, sha512Half, toHex } from './hashes.ts'
import {
  type Applied,
  type ClosedLedger,
  History,
  type LedgerContents,
  type LedgerHeader
} from './history.ts'
import { affectedAccounts, buildMetadata } from './metadata.ts'
import { lengthPrefix, serialize } from './serialize.ts'
import { type LedgerEntry, readAccount, type State, View } from './state.ts'
import { Submitted } from './submitted.ts'
import type { Transaction, TransactionFields } from './transaction.ts'
import { applyTransaction, type Fees, type LedgerContext, minimumFee, type Outcome } from './transactors.ts'

/** 2000-01-01T00:00Z, the ledger's year zero, in seconds of Unix time. */
export const RIPPLE_EPOCH = 946_684_800

const TOTAL_DROPS = 100_000_000_000_000_000n
const CLOSE_TIME_RESOLUTION = 10
const ZERO_HASH = '0'.repeat(64)

// How often a closing ledger tries what has failed. Source: rippled, app/ledger/Ledger.h.
const TOTAL_PASSES = 3
const RETRY_PASSES = 1

/** A transaction that is not validated yet is tried again in this many ledgers. Source: rippled, LocalTxs.cpp. */
const HOLD_LEDGERS = 5
const MAX_HELD = 10_000

// How the price of the open ledger rises, and what may wait for it to fall. Source: rippled, app/misc/TxQ.h.
const ESCALATION = 500
const QUEUE_LEDGERS = 20
const MIN_QUEUED_LEDGERS = 2

export interface LedgerOptions {
  fees: Fees
  networkId: number
  /** How many validated transactions to remember. */
  historyLimit: number
  /** The wall clock, in milliseconds of Unix time. */
  now: () => number
  /** How many transactions the open ledger takes before they have to pay more. */
  openLedgerLimit: number
  /** The ledgers of an earlier run, to begin with. */
  past?: Iterable<LedgerContents>
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

const slot = (account: string, sequence: number) => `${account}:${sequence}`

/**
 * The order in which a ledger applies its transactions: by account in an order that nobody can foresee, then
 * by sequence, then by hash. Source: rippled, app/misc/CanonicalTXSet.cpp.
 */
export function canonicalOrder(transactions: Iterable<Transaction>, salt: Uint8Array): Transaction[] {
  const key = ({ fields }: Transaction) =>
    Buffer.from(accountId(fields.Account).map((byte, at) => byte ^ (salt[at] as number)))
  return [...transactions]
    .map(transaction => ({ transaction, key: key(transaction) }))
    .sort(
      (a, b) =>
        Buffer.compare(a.key, b.key) ||
        a.transaction.fields.Sequence - b.transaction.fields.Sequence ||
        (a.transaction.hash < b.transaction.hash ? -1 : 1)
    )
    .map(({ transaction }) => transaction)
}

function headerHash(header: Omit<LedgerHeader, 'hash'>): string {
  const numbers = Buffer.alloc(12)
  numbers.writeUInt32BE(header.ledgerIndex, 0)
  numbers.writeBigUInt64BE(header.totalDrops, 4)
  const hashes = Buffer.from(header.parentHash + header.transactionHash + header.accountHash, 'hex')
  const times = Buffer.alloc(10)
  times.writeUInt32BE(header.parentCloseTime, 0)
  times.writeUInt32BE(header.closeTime, 4)
  times.writeUInt8(CLOSE_TIME_RESOLUTION, 8)
  return toHex(sha512Half(hashPrefix.ledgerHeader, numbers, hashes, times))
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
  /** What was submitted and is not validated: applied to the open ledger, or waiting. */
  readonly #locals = new Map<string, Local>()
  /** Those of them that wait for a lower price. */
  readonly #queued = new Set<string>()

  constructor({ fees, networkId, historyLimit, now, openLedgerLimit, past = [] }: LedgerOptions) {
    super()
    this.openLedgerLimit = openLedgerLimit
    this.fees = fees
    this.networkId = networkId
    this.history = new History(historyLimit)
    this.submitted = new Submitted(now)
    this.now = now
    let started = false
    for (const entry of past) {
      if (started) this.close(entry)
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
    const index = indexOf.account(genesis.address)
    const view = new View(this.validated)
    view.write(index, {
      LedgerEntryType: 'AccountRoot',
      Account: genesis.address,
      Balance: String(TOTAL_DROPS),
      Flags: 0,
      OwnerCount: 0,
      Sequence: 1,
      PreviousTxnID: ZERO_HASH,
      PreviousTxnLgrSeq: 0
    })
    const parent = { ledgerIndex: 1, hash: ZERO_HASH, closeTime: 0, totalDrops: TOTAL_DROPS }
    this.#seal(view, parent, closeTime, [])
    this.#openView = new View(this.validated)
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
    if (outcome.applied) this.emit('proposed', transaction, outcome.result)
    return outcome
  }

  #applyOrHold(transaction: Transaction, failHard = false): SubmitOutcome {
    const { applied, ...outcome } = this.#applyToOpen(transaction, { retry: failHard })
    const { Account, Sequence } = transaction.fields
    const follows = outcome.result === 'terPRE_SEQ' && this.#queued.has(slot(Account, Sequence - 1))
    const result = follows ? this.#queue(transaction) : outcome.result
    const kept = applied || (!failHard && (!mayRetry(result) || this.#hold(transaction)))
    return { result, applied, kept }
  }

  /** What a transaction has to pay at this moment to get into the open ledger. */
  openLedgerCost(fields: Pick<TransactionFields, 'Fulfillment'>): bigint {
    const least = minimumFee(fields, this.fees)
    const load = this.#openTransactions.size / this.openLedgerLimit
    return BigInt(load > 1 ? Math.ceil(least * ESCALATION * load ** 2) : least)
  }

  /** How many wait because the open ledger costs more than they pay. */
  get queueSize(): number {
    return this.#queued.size
  }

  /** Whether a transaction that pays too little for now may wait. */
  #queue({ fields }: Transaction): EngineResult {
    const { Account, Sequence, LastLedgerSequence = Number.POSITIVE_INFINITY } = fields
    if (LastLedgerSequence < this.openIndex + MIN_QUEUED_LEDGERS) return 'telCAN_NOT_QUEUE'
    if (this.#queued.size >= QUEUE_LEDGERS * this.openLedgerLimit) return 'telCAN_NOT_QUEUE_FULL'
    this.#queued.add(slot(Account, Sequence))
    return 'terQUEUED'
  }

  /** Tries again what waits for an account's next sequence. */
  applyHeld(account: string) {
    for (;;) {
      const sequence = readAccount(this.open, indexOf.account(account))?.Sequence
      const held = sequence !== undefined && this.#locals.get(slot(account, sequence))?.transaction
      if (!held || !this.submit(held).applied) return
    }
  }

  #applyToOpen(transaction: Transaction, options?: { retry: boolean }): Outcome {
    const outcome = applyTransaction(transaction, this.#openView, this.#context(true), options)
    const { fields } = transaction
    if (outcome.applied && BigInt(fields.Fee) < this.openLedgerCost(fields))
      return { result: options?.retry ? 'telCAN_NOT_QUEUE' : this.#queue(transaction), applied: false }
    if (outcome.applied) {
      outcome.view.commitTo(this.#openView)
      this.#openTransactions.set(transaction.hash, transaction)
      this.#remember(transaction)
    }
    return outcome
  }

  #hold(transaction: Transaction): boolean {
    if (this.#locals.size - this.#openTransactions.size >= MAX_HELD) return false
    this.#remember(transaction)
    return true
  }

  #remember(transaction: Transaction) {
    const { Account, Sequence, LastLedgerSequence = Number.POSITIVE_INFINITY } = transaction.fields
    const key = slot(Account, Sequence)
    if (this.#locals.get(key)?.transaction === transaction) return
    const lastLedger = Math.min(this.openIndex + HOLD_LEDGERS, LastLedgerSequence)
    this.#locals.set(key, { transaction, lastLedger })
  }

  /**
   * Closes the open ledger: its transactions are applied anew, in canonical order, to the state of the ledger
   * before, and are validated. What could not be applied is tried in the next open ledger.
   *
   * `replay` closes a ledger as it was closed before: these transactions in this order, at this time.
   * Source: rippled, app/ledger/impl/BuildLedger.cpp.
   */
  close(replay?: LedgerContents): ClosedLedger {
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
      const { TransactionType, Amount } = transaction.fields
      if (TransactionType === 'Payment' && isSuccess(outcome.result)) meta.delivered_amount = Amount as string
      outcome.view.commitTo(view)
      burntDrops += outcome.burntDrops
      applied.push({ transaction, meta })
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
    const undo: ClosedLedger['undo'] = new Map()
    for (const [index, { before, after }] of view.changes()) {
      if (before === after) continue
      undo.set(index, before)
      if (after) {
        this.#entries.set(index, after)
        const key = Buffer.from(index, 'hex')
        this.#stateTree.set(index, sha512Half(hashPrefix.stateNode, serialize(after), key))
      } else {
        this.#entries.delete(index)
        this.#stateTree.delete(index)
      }
    }
    const tree = new HashTree()
    for (const { transaction, meta } of applied) {
      const { hash, blob } = transaction
      const metaBlob = serialize(meta)
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
    const hash = headerHash(header)
    const transactions = applied.map(({ transaction, meta }, position) => ({
      hash: transaction.hash,
      ledgerIndex: header.ledgerIndex,
      position,
      closeTime,
      ledgerHash: hash,
      accounts: affectedAccounts(meta),
      fieldsJson: JSON.stringify(transaction.fields),
      metaJson: JSON.stringify(meta)
    }))
    const ledger = { header: { ...header, hash }, transactions, undo }
    this.history.add(ledger)
    for (const { hash } of transactions) this.submitted.delete(hash)
    return ledger
  }

  /** Starts the next open ledger with what is not validated yet. */
  #reopen() {
    for (const [key, { transaction, lastLedger }] of this.#locals) {
      const account = readAccount(this.validated, indexOf.account(transaction.fields.Account))
      const passed = account !== undefined && account.Sequence > transaction.fields.Sequence
      if (passed || lastLedger < this.openIndex) this.#locals.delete(key)
    }
    this.#openView = new View(this.validated)
    this.#openTransactions = new Map()
    this.#queued.clear()
    const waiting = [...this.#locals.values()].map(({ transaction }) => transaction)
    for (const transaction of canonicalOrder(waiting, Buffer.alloc(32))) this.#applyOrHold(transaction)
  }
}
