import type { LedgerTransfer, PluginXrpEscrow, Transfer } from 'ilp-plugin-xrp-escrow'
import { notice, report } from '../terminal/progress.ts'
import { describe, isShuttingDown, onShutdown, shutdown, waitForPayments } from '../terminal/shutdown.ts'
import { count } from '../terminal/text.ts'
import { checkShop, isShopGone } from './offer.ts'
import {
  missingNotice,
  type PaymentTotals,
  recoveredNotice,
  refundNotice,
  summaryOf,
  unknownNotice
} from './summary.ts'

// How far a client trusts a shop: payments of so many seconds may be without their letter.
const maxSecondsAtRisk = 30
// How long it then waits, while payments reach the ledger, before it stops.
const patienceSeconds = 3 * maxSecondsAtRisk
// After so many ledgers without a fulfillment it makes one payment at a time.
const maxUnfulfilledLedgers = 3
// How long the end waits while the ledger decides nothing: a payment takes about two ledgers.
const maxSettleMs = 15_000
// Payments of an earlier run that come back with one ledger are reported together.
const sameLedgerMs = 200

/**
 * Reads the time between two payments.
 *
 * @throws Error with what to do about it, if it cannot be that
 */
export function toIntervalMs(text: string): number {
  const intervalMs = Number(text)
  // Beyond 2^31 milliseconds a timer of Node.js fires at once.
  if (Number.isInteger(intervalMs) && intervalMs >= 1 && intervalMs < 2 ** 31) return intervalMs
  throw new Error(
    `INTERVAL_MS="${text}" is not a number of milliseconds from 1 to ${2 ** 31 - 1}: choose one, for example INTERVAL_MS=1000`
  )
}

/** A payment that is neither fulfilled nor returned. */
interface OpenPayment {
  /** counts from 0, as the paymentId does */
  number: number
  transfer: Transfer
  /** drops that it has cost so far */
  feeDrops: bigint
}

/** A client's account of what it pays and what it gets for it. */
export class Payments {
  readonly #plugin: PluginXrpEscrow
  readonly #intervalMs: number
  readonly #maxAtRisk: number
  readonly #totals: PaymentTotals
  readonly #open = new Map<string, OpenPayment>()
  // Of the open ones: those on their way to the ledger, and those with an outcome that the plugin cannot know.
  readonly #sent = new Set<OpenPayment>()
  readonly #unknown = new Set<OpenPayment>()
  readonly #recovered: Transfer[] = []
  #lostLetters = 0
  #isPaused = false
  #pausedMs = 0
  // Ledgers without a fulfillment, counted by payments: one that was sent after another was locked is in a later ledger.
  #unfulfilledLedgers = 0
  #firstOfNextLedger = 0
  #isOver = false
  #shop: { url: string; payToken: string } | undefined

  /**
   * Follows the payments that a client makes, and prints a summary of them when the script ends.
   *
   * @param plugin - connected
   */
  constructor(plugin: PluginXrpEscrow, intervalMs: number) {
    this.#plugin = plugin
    this.#intervalMs = intervalMs
    this.#maxAtRisk = Math.max(2, Math.ceil((maxSecondsAtRisk * 1000) / intervalMs))
    // A plugin that tells what a fulfillment costs reports fees, too.
    const feeDrops = 'getFulfillmentFee' in plugin ? 0n : undefined
    this.#totals = { payments: 0, letters: 0, fulfilled: 0, returned: 0, paidDrops: 0n, feeDrops }
    plugin.on('outgoing_prepare', transfer => this.#onLocked(transfer))
    plugin.on('outgoing_cancel', transfer => this.#onReturned(transfer))
    plugin.on('error', err => {
      const { transferIds = [] } = err as { transferIds?: string[] }
      for (const id of transferIds) this.#onUnknown(this.#open.get(id))
    })
    onShutdown(code => this.#end(code))
  }

  /**
   * Whether to make a payment now: not without the ledger, and not while too many payments are without their letter
   * or their money. If that goes on though payments reach the ledger, it ends the script.
   */
  canPay(): boolean {
    if (isShuttingDown() || isShopGone() || !this.#plugin.isConnected()) return false
    const { payments, letters, returned } = this.#totals
    const atRisk = payments - letters - returned - this.#unknown.size
    const wasPaused = this.#isPaused
    this.#isPaused = atRisk >= (wasPaused ? this.#maxAtRisk / 2 : this.#maxAtRisk)
    if (!this.#isPaused) {
      if (wasPaused) notice('\nPayments resumed')
      return this.#sent.size === 0 || this.#unfulfilledLedgers <= maxUnfulfilledLedgers
    }
    if (!wasPaused) {
      notice(`\nPaused: ${count(atRisk, 'payment')} without a letter`)
      this.#pausedMs = 0
    }
    // Counted in intervals: a machine that sleeps counts none, and without a new ledger nobody can fulfill.
    if (this.#sent.size === 0) this.#pausedMs += this.#intervalMs
    if (this.#pausedMs > patienceSeconds * 1000)
      shutdown(1, `Stopped: no letter for the last ${count(atRisk, 'payment')}`)
    return false
  }

  /** Says where letters are fetched one by one: a shop that has gone is found out, and what is missing is named. */
  setShop(url: string, payToken: string): void {
    this.#shop = { url, payToken }
  }

  /**
   * Follows a payment until its outcome is known.
   *
   * @param sending - what `sendTransfer` returned: a payment that cannot be made ends the script
   */
  async add(transfer: Transfer, sending: Promise<void>): Promise<void> {
    const payment: OpenPayment = { number: this.#totals.payments++, transfer, feeDrops: 0n }
    this.#open.set(transfer.id, payment)
    this.#sent.add(payment)
    report({ event: 'sent', id: transfer.id, amount: transfer.amount })
    try {
      await sending
    } catch (err) {
      const { name, code } = err as Error & { code?: string }
      // If it is on the ledger after all, an event says so.
      if (name === 'UnreachableError') return this.#onUnknown(payment)
      if (this.#remove(payment)) this.#totals.payments--
      report({ event: 'failed', id: transfer.id })
      if (code === 'NETWORK_BUSY') return this.#onBusy()
      const isPoor = name === 'InsufficientBalanceError'
      const advice = isPoor ? '\nFund the account, or wait for unfulfilled escrows to expire' : ''
      shutdown(1, describe(err) + advice)
    }
  }

  /**
   * A payment was fulfilled.
   *
   * @returns false for a payment of another run of this account, and when it is too late
   */
  onFulfilled(transfer: LedgerTransfer): boolean {
    const payment = this.#close(transfer)
    if (!payment) return false
    this.#totals.fulfilled++
    this.#totals.paidDrops += BigInt(payment.transfer.amount)
    this.#unfulfilledLedgers = 0
    this.#firstOfNextLedger = this.#totals.payments
    report({ event: 'fulfilled', id: transfer.id })
    return true
  }

  /**
   * Letters have come.
   *
   * @param letters - an empty text if one was lost on its way
   * @returns whether to show them: not when it is too late, and not if they are far more than were paid for, which
   *   ends the script
   */
  onLetters(letters: string): boolean {
    if (this.#isOver) return false
    if (letters === '') this.#lostLetters++
    this.#totals.letters += letters.length
    this.#pausedMs = 0
    if (this.#totals.letters > this.#totals.payments + this.#maxAtRisk) {
      shutdown(1, 'Received more letters than were paid for: this is not a letter shop')
      return false
    }
    return letters !== ''
  }

  #onLocked(transfer: LedgerTransfer): void {
    const payment = this.#open.get(transfer.id)
    if (!payment) return
    this.#sent.delete(payment)
    this.#unknown.delete(payment)
    if (payment.number >= this.#firstOfNextLedger) {
      if (++this.#unfulfilledLedgers > maxUnfulfilledLedgers && this.#shop) checkShop(this.#shop.url)
      this.#firstOfNextLedger = this.#totals.payments
    }
    this.#addFee(payment, transfer)
    report({ event: 'locked', id: transfer.id })
  }

  #onReturned(transfer: LedgerTransfer): void {
    if (this.#close(transfer)) {
      this.#totals.returned++
      report({ event: 'returned', id: transfer.id })
    } else if (this.#recovered.push(transfer) === 1)
      setTimeout(
        () => this.#isOver || notice(`\n${recoveredNotice(this.#recovered.splice(0))}`),
        sameLedgerMs
      )
  }

  #onUnknown(payment: OpenPayment | undefined): void {
    if (!payment || !this.#open.has(payment.transfer.id)) return
    this.#sent.delete(payment)
    this.#unknown.add(payment)
    report({ event: 'unknown', id: payment.transfer.id })
  }

  #onBusy(): void {
    if (this.#unfulfilledLedgers <= maxUnfulfilledLedgers)
      notice("\nThe network's fees are too high just now: trying one payment at a time")
    this.#unfulfilledLedgers = maxUnfulfilledLedgers + 1
  }

  #remove(payment: OpenPayment): boolean {
    this.#sent.delete(payment)
    this.#unknown.delete(payment)
    return this.#open.delete(payment.transfer.id)
  }

  #close(transfer: LedgerTransfer): OpenPayment | undefined {
    const payment = this.#open.get(transfer.id)
    if (!payment || this.#isOver) return undefined
    this.#remove(payment)
    this.#addFee(payment, transfer)
    this.#pausedMs = 0
    return payment
  }

  #addFee(payment: OpenPayment, { feeDrops = '0' }: LedgerTransfer): void {
    const { feeDrops: total } = this.#totals
    if (total !== undefined) this.#totals.feeDrops = total + BigInt(feeDrops) - payment.feeDrops
    payment.feeDrops = BigInt(feeDrops)
  }

  /** Waits for the ledger to decide, and for letters unless something went wrong, then prints a summary. */
  async #end(code: number): Promise<void> {
    const isStopped = this.#pausedMs > patienceSeconds * 1000
    const pending = () => {
      if (isStopped || isShopGone() || !this.#plugin.isConnected()) return 0
      return this.#open.size - this.#unknown.size + (code === 0 ? this.#missingLetters() : 0)
    }
    await waitForPayments(pending, maxSettleMs)
    this.#isOver = true
    if (this.#totals.payments === 0) return
    // Without the ledger nobody knows what has become of what it held.
    const isLocked = (payment: OpenPayment) =>
      !this.#sent.has(payment) && !this.#unknown.has(payment) && this.#plugin.isConnected()
    const open = [...this.#open.values()]
    const inEscrow = open.filter(isLocked).map(({ transfer }) => transfer)
    const unknown = open.filter(payment => !isLocked(payment)).map(({ transfer }) => transfer)
    notice(`\n${summaryOf(this.#totals, inEscrow.length, unknown.length)}`)
    if (inEscrow.length > 0) notice(refundNotice(inEscrow))
    if (unknown.length > 0) notice(unknownNotice(unknown))
    const missing = this.#missingLetters()
    if (missing > 0) notice(missingNotice(missing, isShopGone() ? undefined : this.#shop))
  }

  /** How many letters are missing whose payments are fulfilled, those aside that were lost on their way. */
  #missingLetters(): number {
    return Math.max(0, this.#totals.fulfilled - this.#totals.letters - this.#lostLetters)
  }
}
