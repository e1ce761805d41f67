import { Transform } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { LedgerTransfer, PluginXrpEscrow, Transfer } from 'ilp-plugin-xrp-escrow'
import { count } from '../terminal/count.ts'
import { beforeEnd, describe, end, isEnding } from '../terminal/ending.ts'
import { tellStory } from './story.ts'
import { type Books, summaryOf } from './summary.ts'

// How far a client trusts a shop: payments of so many seconds may be without their letter.
const maxSecondsAtRisk = 30
// How long it then waits for the shop to go on before it gives up, and when it says so.
const patienceSeconds = 3 * maxSecondsAtRisk
const sayAfterSeconds = maxSecondsAtRisk / 3
// A ledger that has locked nothing for so long stands still: they close every 3 to 5 seconds.
const standstillSeconds = maxSecondsAtRisk / 2
// What comes back with one ledger is told in one line.
const sameLedgerMs = 200

/**
 * Reads the time between two payments.
 *
 * @throws Error with what to do about it, if it is none
 */
export function toIntervalMs(text: string): number {
  const intervalMs = Number(text)
  // Beyond 2^31 milliseconds a timer of Node.js fires at once.
  if (Number.isInteger(intervalMs) && intervalMs >= 1 && intervalMs < 2 ** 31) return intervalMs
  throw new Error(
    `INTERVAL_MS="${text}" is not a number of milliseconds: choose 1 or more, for example INTERVAL_MS=1000`
  )
}

/** A payment that is neither taken by the shop nor come back. */
interface OpenPayment {
  /** counts from 0, as the paymentId does */
  number: number
  transfer: Transfer
  /** on its way to the ledger, locked there, or nobody knows */
  state: 'sent' | 'locked' | 'unknown'
  /** drops that it has cost so far, if the plugin tells */
  fee: bigint | undefined
}

/** A client's own account of what it pays and what it gets for it. */
export class Payments {
  readonly #plugin: PluginXrpEscrow
  readonly #intervalMs: number
  readonly #maxAtRisk: number
  readonly #escrowsEnd: boolean
  readonly #open = new Map<string, OpenPayment>()
  // How many of them are in each state: there may be more than can be counted for each payment.
  readonly #counts = { sent: 0, locked: 0, unknown: 0 }
  readonly #books: Books = { payments: 0, letters: 0, fulfilled: 0, returned: 0, gone: 0, paid: 0n, fees: 0n }
  // For whom it waits just now, and makes no payments.
  #waitsFor: 'the ledger' | 'the shop' | undefined
  // How long the ledger has locked nothing of what is on its way, and how long the shop has been waited for. Counted
  // by the ticks of the payments: that the machine was asleep, or out of reach of the ledger, is nobody's fault.
  #standstillMs = 0
  #waitedMs = 0
  // How long the end waits for what is under way.
  #leaveMs = 1_650
  #isOver = false
  // Payments of an earlier run that came back, and are to be told of.
  #earlier = { count: 0, drops: 0n }

  /**
   * Watches the payments that a connected plugin makes every so many milliseconds, and sees to it that they end with
   * an account of themselves.
   *
   * @param xrp - what plugins.ts exports: its `escrowsEnd` says that the ledger does not last for the money in escrow
   *   to be fetched back
   */
  constructor(plugin: PluginXrpEscrow, intervalMs: number, xrp: object = {}) {
    this.#plugin = plugin
    this.#intervalMs = intervalMs
    this.#maxAtRisk = Math.max(2, Math.ceil((maxSecondsAtRisk * 1000) / intervalMs))
    this.#escrowsEnd = (xrp as { escrowsEnd?: boolean }).escrowsEnd ?? false
    plugin.on('outgoing_prepare', transfer => this.#onLocked(transfer))
    plugin.on('outgoing_cancel', (transfer, reason) => this.#onReturned(transfer, reason.message))
    beforeEnd(() => this.#leave())
  }

  /**
   * Takes note of a payment.
   *
   * @param sending - what `sendTransfer` gave: a payment that cannot be made ends the script
   */
  async add(transfer: Transfer, sending: Promise<void>): Promise<void> {
    const number = this.#books.payments++
    const payment: OpenPayment = { number, transfer, state: 'sent', fee: 0n }
    this.#open.set(transfer.id, payment)
    this.#counts.sent++
    tellStory({ payment: number, amount: transfer.amount, step: 'sent' })
    try {
      await sending
    } catch (err) {
      const { name, message } = err as Error
      if (name === 'UnreachableError') {
        // If it is on the ledger after all, an event will tell.
        if (payment.state === 'sent') this.#move(payment, 'unknown')
        if (isGone(message)) this.#lose(payment)
        return
      }
      if (this.#remove(payment)) this.#books.payments--
      tellStory({ payment: number, step: 'failed' })
      const advice =
        name === 'InsufficientBalanceError'
          ? '\nFund the account, or wait for what is in escrow to come back'
          : ''
      end(1, describe(err) + advice)
    }
  }

  /**
   * Takes note that a payment was fulfilled.
   *
   * @returns false for a payment of another run of this account, and when it is too late
   */
  taken(transfer: LedgerTransfer): boolean {
    const payment = this.#close(transfer)
    if (!payment) return false
    this.#books.fulfilled++
    this.#books.paid += BigInt(payment.transfer.amount)
    tellStory({ payment: payment.number, step: 'fulfilled' })
    return true
  }

  /**
   * Takes note of letters that came.
   *
   * @returns whether to show them: not when it is too late, and not if they are far more than could have been paid
   *   for, which ends the script
   */
  received(letters: string): boolean {
    if (this.#isOver) return false
    this.#books.letters += letters.length
    this.#waitedMs = 0
    if (this.#books.letters > this.#books.payments + this.#maxAtRisk) {
      end(1, 'The shop sends far more than was paid for: that is no letter shop')
      return false
    }
    for (const letter of letters) tellStory({ step: 'letter', letter })
    return true
  }

  /**
   * Whether to pay once more. Not while the ledger is out of reach or stands still, nor while the shop takes no
   * payments or gives no letters for them; if the latter goes on while ledgers close, it ends the script.
   */
  mayPay(): boolean {
    if (isEnding() || !this.#plugin.isConnected()) return false
    const { sent, locked } = this.#counts
    const owed = Math.max(0, this.#books.fulfilled - this.#books.letters)
    const atRisk = sent + locked + owed
    this.#standstillMs = sent > 0 ? this.#standstillMs + this.#intervalMs : 0
    if (this.#standstillMs > standstillSeconds * 1000)
      return this.#waitFor('the ledger', 'The ledger stands still: waiting for it to go on')
    if (atRisk < (this.#waitsFor === 'the shop' ? this.#maxAtRisk / 2 : this.#maxAtRisk)) {
      if (this.#waitsFor) console.log('\nPaying again')
      this.#waitsFor = undefined
      this.#waitedMs = 0
      return true
    }
    // What is on its way, the shop cannot have taken.
    if (sent === 0) this.#waitedMs += this.#intervalMs
    const fault = owed > locked ? 'has given no letters for' : 'has not taken'
    if (this.#waitedMs > patienceSeconds * 1000) {
      this.#leaveMs = 0
      end(1, `Stopped paying: the shop ${fault} the last ${count(atRisk, 'payment')}`)
    } else if (this.#waitedMs > sayAfterSeconds * 1000)
      this.#waitFor('the shop', `The shop ${fault} the last ${count(atRisk, 'payment')}: waiting for it`)
    return false
  }

  #waitFor(whom: 'the ledger' | 'the shop', why: string): false {
    if (this.#waitsFor !== whom) console.log(`\n${why}`)
    this.#waitsFor = whom
    return false
  }

  #move(payment: OpenPayment, state: OpenPayment['state']): void {
    if (!this.#open.has(payment.transfer.id)) return
    this.#counts[payment.state]--
    this.#counts[state]++
    payment.state = state
  }

  #remove(payment: OpenPayment): boolean {
    const isOpen = this.#open.delete(payment.transfer.id)
    if (isOpen) this.#counts[payment.state]--
    return isOpen
  }

  #onLocked(transfer: LedgerTransfer): void {
    const payment = this.#open.get(transfer.id)
    if (!payment || this.#isOver) return
    this.#move(payment, 'locked')
    this.#standstillMs = 0
    this.#addFee(payment, transfer)
    tellStory({ payment: payment.number, step: 'locked' })
  }

  #onReturned(transfer: LedgerTransfer, why: string): void {
    if (isGone(why)) {
      this.#lose(this.#open.get(transfer.id))
      return
    }
    const payment = this.#close(transfer)
    if (!payment) {
      if (this.#earlier.count === 0) setTimeout(() => this.#tellOfEarlier(), sameLedgerMs)
      this.#earlier.count++
      this.#earlier.drops += BigInt(transfer.amount)
      return
    }
    this.#books.returned++
    tellStory({ payment: payment.number, step: 'returned' })
  }

  /** The ledger that had it is no more. */
  #lose(payment: OpenPayment | undefined): void {
    if (!payment || !this.#remove(payment)) return
    this.#books.gone++
    tellStory({ payment: payment.number, step: 'gone' })
  }

  #tellOfEarlier(): void {
    const { count: number, drops } = this.#earlier
    this.#earlier = { count: 0, drops: 0n }
    if (!this.#isOver)
      console.log(`\n${count(number, 'payment')} of an earlier run came back: ${drops} drops`)
  }

  #close(transfer: LedgerTransfer): OpenPayment | undefined {
    const payment = this.#open.get(transfer.id)
    if (!payment || this.#isOver) return undefined
    this.#remove(payment)
    this.#addFee(payment, transfer)
    this.#standstillMs = 0
    this.#waitedMs = 0
    return payment
  }

  #addFee(payment: OpenPayment, { feeDrops }: LedgerTransfer): void {
    if (feeDrops === undefined || this.#books.fees === undefined || payment.fee === undefined) {
      this.#books.fees = undefined
      return
    }
    this.#books.fees += BigInt(feeDrops) - payment.fee
    payment.fee = BigInt(feeDrops)
  }

  /** Waits a moment for what is under way, then says what it all came to. */
  async #leave(): Promise<void> {
    const deadline = performance.now() + this.#leaveMs
    const isUnderWay = () =>
      this.#counts.sent + this.#counts.locked > 0 || this.#books.letters < this.#books.fulfilled
    while (isUnderWay() && performance.now() < deadline) await delay(20)
    this.#isOver = true
    if (this.#books.payments === 0) return
    // Without the ledger nobody knows what has become since of what it held.
    const inEscrow = this.#plugin.isConnected() ? this.#counts.locked : 0
    console.log(`\n${summaryOf(this.#books, inEscrow)}`)
    if (this.#open.size > 0) console.log(this.#outlook())
  }

  /** What becomes of money that is still in escrow. */
  #outlook(): string {
    if (this.#escrowsEnd)
      return 'The sandbox ledger forgets what is in escrow a minute after the last script has ended'
    const last = Math.max(
      ...[...this.#open.values()].map(({ transfer }) => Date.parse(transfer.expiresAt ?? ''))
    )
    return `What the shop does not take, the next run of a client fetches back after ${new Date(last).toLocaleTimeString()}`
  }
}

/**
 * Lets letters through to the terminal, each counted; whatever else a shop sends becomes a question mark. A shop sends
 * each letter by itself: those that come together are shown together.
 */
export function lettersOnly(payments: Payments): Transform {
  let letters = ''
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const more = chunk.toString('latin1').replace(/[^A-Z]/g, '?')
      if (payments.received(more)) {
        if (letters === '')
          process.nextTick(() => {
            this.push(letters)
            letters = ''
          })
        letters += more
      }
      done()
    },
    flush: done => process.nextTick(done)
  })
}

/** Whether a transfer ended because a test ledger was restarted empty, as `ilp-plugin-xrp-escrow` puts it. */
function isGone(why: string): boolean {
  return why.includes('restarted empty')
}
