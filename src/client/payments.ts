import type { LedgerTransfer, PluginXrpEscrow, Transfer } from 'ilp-plugin-xrp-escrow'
import { notice, type PaymentState, report } from '../terminal/progress.ts'
import { describe, isShuttingDown, onShutdown, shutdown, waitForPayments } from '../terminal/shutdown.ts'
import { count } from '../terminal/text.ts'
import { checkShop, isShopGone } from './offer.ts'

// How far a client trusts a shop: payments of so many seconds may be without their letter.
const maxSecondsAtRisk = 30
// How long it then waits, while payments reach the ledger, before it stops.
const patienceMs = 3 * maxSecondsAtRisk * 1000
// After so many ledgers without a fulfillment it makes one payment at a time.
const maxUnfulfilledLedgers = 3
// How long the end waits while the ledger decides nothing: a payment takes about two ledgers.
const maxSettleMs = 15_000

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
interface OpenPayment extends Transfer {
  /** counts from 0, as the paymentId does */
  number: number
  state: PaymentState
  /** drops that it has cost so far */
  feeDrops: bigint
}

/** A client's account of what it pays and what it gets for it. */
export class Payments {
  readonly #plugin: PluginXrpEscrow
  readonly #intervalMs: number
  readonly #maxAtRisk: number
  readonly #open = new Map<string, OpenPayment>()
  readonly #count = { sent: 0, locked: 0, unknown: 0, fulfilled: 0, returned: 0, failed: 0 }
  #payments = 0
  #letters = 0
  // How many letters are paid for and have neither come nor been lost on their way.
  #lettersDue = 0
  #paidDrops = 0n
  // undefined if the plugin does not report fees
  #feeDrops: bigint | undefined
  readonly #recovered: Transfer[] = []
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
    if ('getFulfillmentFee' in plugin) this.#feeDrops = 0n
    plugin.on('outgoing_prepare', transfer => this.#onLocked(transfer))
    plugin.on('outgoing_cancel', transfer => this.#onReturned(transfer))
    plugin.on('error', err => {
      const { transferIds = [] } = err as { transferIds?: string[] }
      for (const id of transferIds) this.#move({ id }, 'unknown')
    })
    onShutdown(code => this.#end(code))
  }

  /**
   * Whether to make a payment now: not without the ledger, and not while too many payments are without their letter
   * or their money. If that goes on though payments reach the ledger, it ends the script.
   */
  canPay(): boolean {
    if (isShuttingDown() || isShopGone() || !this.#plugin.isConnected()) return false
    const { sent, returned, unknown } = this.#count
    const atRisk = this.#payments - this.#letters - returned - unknown
    const wasPaused = this.#isPaused
    this.#isPaused = atRisk >= (wasPaused ? this.#maxAtRisk / 2 : this.#maxAtRisk)
    if (!this.#isPaused) {
      if (wasPaused) notice('\nPayments resumed')
      this.#pausedMs = 0
      return sent === 0 || this.#unfulfilledLedgers <= maxUnfulfilledLedgers
    }
    if (!wasPaused) notice(`\nPaused: ${count(atRisk, 'payment')} without a letter`)
    // Counted in intervals: a machine that sleeps counts none, and without a new ledger nobody can fulfill.
    if (sent === 0) this.#pausedMs += this.#intervalMs
    if (this.#pausedMs > patienceMs)
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
    const { id } = transfer
    this.#open.set(id, { ...transfer, number: this.#payments++, state: 'sent', feeDrops: 0n })
    this.#count.sent++
    report({ event: 'sent', id, amount: transfer.amount })
    try {
      await sending
    } catch (err) {
      const { name, code } = err as Error & { code?: string }
      // If it is on the ledger after all, an event says so.
      if (name === 'UnreachableError') return void this.#move({ id }, 'unknown')
      if (this.#move({ id }, 'failed')) this.#payments--
      if (code === 'NETWORK_BUSY') {
        if (this.#unfulfilledLedgers <= maxUnfulfilledLedgers)
          notice("\nThe network's fees are too high just now: trying one payment at a time")
        this.#unfulfilledLedgers = maxUnfulfilledLedgers + 1
        return
      }
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
    if (!this.#move(transfer, 'fulfilled')) return false
    this.#paidDrops += BigInt(transfer.amount)
    this.#lettersDue++
    this.#unfulfilledLedgers = 0
    this.#firstOfNextLedger = this.#payments
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
    this.#letters += letters.length
    this.#lettersDue -= letters.length || 1
    this.#pausedMs = 0
    if (this.#letters > this.#payments + this.#maxAtRisk) {
      shutdown(1, 'Received more letters than were paid for: this is not a letter shop')
      return false
    }
    return letters !== ''
  }

  #onLocked(transfer: LedgerTransfer): void {
    const payment = this.#move(transfer, 'locked')
    if (!payment || payment.number < this.#firstOfNextLedger) return
    this.#firstOfNextLedger = this.#payments
    if (++this.#unfulfilledLedgers > maxUnfulfilledLedgers && this.#shop) checkShop(this.#shop.url)
  }

  #onReturned(transfer: LedgerTransfer): void {
    if (this.#move(transfer, 'returned') || this.#recovered.push(transfer) > 1) return
    // With those that come back in the same ledger
    setImmediate(() => {
      const recovered = sumOf(this.#recovered.splice(0))
      if (!this.#isOver) notice(`\nRecovered ${recovered} of an earlier run that had expired`)
    })
  }

  /** Counts an open payment in another state, with what it has cost by then, and returns it. */
  #move({ id, feeDrops }: { id: string; feeDrops?: string }, state: PaymentState): OpenPayment | undefined {
    const payment = this.#open.get(id)
    if (!payment || this.#isOver) return undefined
    this.#count[payment.state]--
    this.#count[state]++
    payment.state = state
    if (this.#feeDrops !== undefined && feeDrops !== undefined) {
      this.#feeDrops += BigInt(feeDrops) - payment.feeDrops
      payment.feeDrops = BigInt(feeDrops)
    }
    report({ event: state, id, amount: payment.amount })
    if (state === 'locked' || state === 'unknown') return payment
    this.#open.delete(id)
    this.#pausedMs = 0
    return payment
  }

  /** Waits for the ledger to decide, and for letters unless something went wrong, then prints a summary. */
  async #end(code: number): Promise<void> {
    const pending = () => {
      const isStopped = this.#pausedMs > patienceMs
      if (isStopped || isShopGone() || !this.#plugin.isConnected()) return 0
      const { sent, locked } = this.#count
      return sent + locked + (code === 0 ? Math.max(0, this.#lettersDue) : 0)
    }
    await waitForPayments(pending, maxSettleMs)
    // Without the ledger nobody knows what has become of what it held.
    const isConnected = this.#plugin.isConnected()
    for (const [id, { state }] of this.#open)
      if (state === 'sent' || !isConnected) this.#move({ id }, 'unknown')
    this.#isOver = true
    if (this.#payments > 0) notice(`\n${this.#summary().join('\n')}`)
  }

  /** What became of the payments and what they cost, and what to do about those that are not complete. */
  #summary(): string[] {
    const { fulfilled, returned, locked, unknown } = this.#count
    const outcomes = Object.entries({ fulfilled, returned, 'in escrow': locked, unknown })
      .filter(([, number]) => number > 0)
      .map(([outcome, number]) => `${number} ${outcome}`)
    const spent = this.#paidDrops + (this.#feeDrops ?? 0n)
    const fees =
      this.#feeDrops === undefined ? 'and fees that the plugin does not report' : `${this.#feeDrops} in fees`
    const lines = [
      `${count(this.#payments, 'payment')}, ${count(this.#letters, 'letter')}: ${outcomes.join(', ')}`,
      `${spent} drops spent (${Number(spent) / 1e6} XRP): ${this.#paidDrops} for letters, ${fees}`
    ]
    const open = (state: PaymentState) => [...this.#open.values()].filter(payment => payment.state === state)
    if (locked > 0) {
      const last = new Date(open('locked').at(-1)?.expiresAt ?? '').toLocaleTimeString()
      lines.push(
        `${sumOf(open('locked'))} not claimed by the shop so far: the last expires at ${last}`,
        'A client that runs after that gets back what is left; a sandbox that has stopped by then has lost it'
      )
    }
    if (unknown > 0)
      lines.push(
        `${sumOf(open('unknown'))} with unknown outcome, not counted above: paid, or back after they expire`
      )
    if (this.#lettersDue > 0) {
      const { url, payToken } = (!isShopGone() && this.#shop) || {}
      const advice = url ? 'while the shop runs, each of these requests fetches one' : 'the shop has gone'
      lines.push(`${count(this.#lettersDue, 'letter')} paid for and not received: ${advice}`)
      if (url) lines.push(`curl -H "Pay-Token: ${payToken}" ${url}`)
    }
    return lines
  }
}

/** How many payments these are, and of how much. */
function sumOf(transfers: Transfer[]): string {
  const drops = transfers.reduce((sum, { amount }) => sum + BigInt(amount), 0n)
  return `${count(transfers.length, 'payment')} (${drops} drops)`
}
