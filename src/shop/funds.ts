import type { PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { count } from '../terminal/count.ts'

// What it costs to fulfill a transfer while the ledger is not busy: the 32 bytes have their price.
const usualFeeDrops = 350
// When to warn that the account will soon be unable to pay that.
const fewLetters = 100
// A busy machine lets the ledger look far away: whoever gives us this much time is not refused for that.
const maxCollectMs = 120_000
// How often to look, while there is business.
const msBetweenLooks = 5_000

/** What a shop can afford: the fees, by what its account has, and the time, by how far away the ledger is. */
export class Funds {
  readonly #plugin: PluginXrpEscrow
  readonly #cost: number
  // Drops that the account can still spend, as far as is known.
  #drops = 0
  #feeDrops = usualFeeDrops
  // Payments of which it is not known yet whether they could be taken.
  #underWay = 0
  // Payments that were ever about to be taken.
  #begun = 0
  #roundTripMs = 0
  #lookedAt = 0
  #isLooking = false
  #warnedOf = Number.POSITIVE_INFINITY

  /** @param cost - of a letter, drops */
  constructor(plugin: PluginXrpEscrow, cost: number) {
    this.#plugin = plugin
    this.#cost = cost
  }

  /** Looks for the first time: what comes once may have been fast by chance. */
  async open(): Promise<void> {
    await Promise.all([this.#look(), this.#look(), this.#look()])
  }

  /** Whether the account can pay for one more payment to be taken. */
  canPayFee(): boolean {
    if (Date.now() - this.#lookedAt >= msBetweenLooks) this.#look().catch(() => {})
    return this.#drops >= this.#feeDrops
  }

  /** How long it may take until the ledger has been told to take what was accepted so far, one after the other. */
  collectMs(): number {
    const answerIsDueMs = this.#isLooking ? Date.now() - this.#lookedAt : 0
    return Math.min(2 * this.#underWay * Math.max(this.#roundTripMs, answerIsDueMs), maxCollectMs)
  }

  /** A payment is about to be taken. */
  spendFee(): void {
    this.#underWay++
    this.#begun++
    this.#drops -= this.#feeDrops
    this.#warn()
  }

  /** That is decided, and has brought in so many drops. */
  receive(drops: number): void {
    this.#underWay--
    this.#drops += drops
  }

  async #look(): Promise<void> {
    this.#lookedAt = Date.now()
    this.#isLooking = true
    const began = performance.now()
    const settled = this.#begun - this.#underWay
    try {
      const balance = Number(await this.#plugin.getBalance())
      this.#roundTripMs = Math.max(performance.now() - began, 0.9 * this.#roundTripMs)
      this.#feeDrops = await this.#askFee()
      // It may have been charged for those under way already, or not yet for those that were meanwhile: the own count knows.
      const least = balance - (this.#begun - settled) * this.#feeDrops
      this.#drops = Math.min(balance, Math.max(least, this.#drops))
    } finally {
      this.#isLooking = false
    }
    if (this.#lettersLeft() >= 2 * fewLetters) this.#warnedOf = Number.POSITIVE_INFINITY
    this.#warn()
  }

  /** What fulfilling a transfer costs just now. That is beyond the Ledger Plugin Interface. */
  async #askFee(): Promise<number> {
    if (!('getFulfillmentFee' in this.#plugin)) return usualFeeDrops
    try {
      return Number(await this.#plugin.getFulfillmentFee())
    } catch (err) {
      if ((err as Error).name === 'NotAcceptedError') return Number.POSITIVE_INFINITY
      throw err
    }
  }

  /** Each letter costs a fee and brings in its price. */
  #lettersLeft(): number {
    const spare = this.#drops - this.#feeDrops
    return spare >= 0 ? 1 + Math.floor(spare / Math.max(1, this.#feeDrops - this.#cost)) : 0
  }

  #warn(): void {
    const left = this.#lettersLeft()
    if (left >= fewLetters || (this.#warnedOf < fewLetters && left > 0) || this.#warnedOf === 0) return
    this.#warnedOf = left
    const consequence = left
      ? `The account can pay the fees of ${count(left, 'more letter')}: fund it in time`
      : 'The account cannot pay the fee of one more payment: nothing is sold until it is funded'
    console.log(`    - ${consequence}`)
  }
}
