import { setTimeout as delay } from 'node:timers/promises'
import type { LedgerTransfer, PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { notice, report } from '../terminal/progress.ts'
import { count } from '../terminal/text.ts'

// What a fulfillment costs on a ledger at rest, for plugins that do not say it.
const usualFeeDrops = 350n
const fewLetters = 100n
const maxAgeMs = 5_000
// Thousands of requests may ask together.
const minPauseMs = 500
const lossNotice = 'Fees exceed what a letter earns: that is why hosted ledgers come next'

/** What a shop earns and what that costs, and whether its account can pay the fees of its fulfillments. */
export class Finances {
  readonly #plugin: PluginXrpEscrow
  readonly #cost: bigint
  #lettersSold = 0
  #earnedDrops = 0n
  // undefined if the plugin does not report fees
  #paidFeeDrops: bigint | undefined
  /** how many fulfillments cost a fee since the shop's start, and how many of these are final */
  readonly fees = { due: 0, paid: 0 }
  // What the account had when it was asked for, and how many fees were paid by then.
  #balance = 0n
  #feesPaid = 0
  // undefined while a fulfillment costs more than the plugin may pay
  #feeDrops: bigint | undefined = usualFeeDrops
  #checkedAt = -minPauseMs
  #checking: Promise<void> | undefined
  #warning: string | undefined

  /**
   * @param plugin - connected
   * @param cost - of a letter, drops
   */
  constructor(plugin: PluginXrpEscrow, cost: number) {
    this.#plugin = plugin
    this.#cost = BigInt(cost)
    // A plugin that tells what a fulfillment costs reports no fee where there was none.
    this.#paidFeeDrops = 'getFulfillmentFee' in plugin ? 0n : undefined
    plugin.on('fulfill_failed', (_transfer, feeDrops) => this.#addFee(feeDrops))
  }

  /** Why the shop cannot pay for one more fulfillment just now; undefined if it can. An old "no" is checked again. */
  async shortfall(): Promise<string | undefined> {
    if (this.#shortfall()) await this.check()
    else if (performance.now() - this.#checkedAt >= maxAgeMs) this.check()
    return this.#shortfall()
  }

  /** Asks for the account's balance and the network's fee; without an answer they stay as they were. */
  async check(): Promise<void> {
    this.#checking ??= this.#check().catch(() => {})
    await this.#checking
    this.#checking = undefined
  }

  /** The money of a payment has come. */
  onPaid({ amount, feeDrops }: LedgerTransfer): void {
    this.#earnedDrops += BigInt(amount)
    this.#addFee(feeDrops)
  }

  /** A letter was handed over: reports it with the id of its transfer, if the two belong together. */
  onLetter(letter: string, id = ''): void {
    this.#lettersSold++
    report({ event: 'letter', id, letter })
  }

  /** What was sold and earned, in a line or two. */
  summary(): string[] {
    const fees = this.#paidFeeDrops === undefined ? 'unknown fees' : `${this.#paidFeeDrops} drops of fees`
    const sums = `${count(this.#lettersSold, 'letter')} sold, ${this.#earnedDrops} drops earned, ${fees}`
    return (this.#paidFeeDrops ?? 0n) > this.#earnedDrops ? [sums, lossNotice] : [sums]
  }

  #addFee(feeDrops = '0'): void {
    if (this.#paidFeeDrops !== undefined) this.#paidFeeDrops += BigInt(feeDrops)
  }

  async #check(): Promise<void> {
    await delay(Math.max(0, this.#checkedAt + minPauseMs - performance.now()))
    this.#checkedAt = performance.now()
    const { paid } = this.fees
    const balance = await this.#plugin.getBalance()
    const feeDrops = await this.#askFee()
    this.#balance = BigInt(balance)
    this.#feesPaid = paid
    this.#feeDrops = feeDrops
    this.#warn()
  }

  /** What a fulfillment costs just now: that is beyond the Ledger Plugin Interface. */
  async #askFee(): Promise<bigint | undefined> {
    if (!('getFulfillmentFee' in this.#plugin)) return usualFeeDrops
    try {
      return BigInt(await this.#plugin.getFulfillmentFee())
    } catch (err) {
      if ((err as { code?: string }).code === 'NETWORK_BUSY') return undefined
      throw err
    }
  }

  #shortfall(): string | undefined {
    const left = this.#lettersLeft()
    if (left === undefined) return "The network's fees are too high just now"
    return left > 0n ? undefined : 'The shop cannot pay its fees'
  }

  /** How many more letters can be sold: each costs a fee and earns its price. */
  #lettersLeft(): bigint | undefined {
    const feeDrops = this.#feeDrops
    if (feeDrops === undefined) return undefined
    const feesDue = this.fees.due - this.#feesPaid + 1
    const spare = this.#balance - BigInt(feesDue) * feeDrops
    return spare < 0n ? 0n : 1n + spare / (feeDrops > this.#cost ? feeDrops - this.#cost : 1n)
  }

  /** Says what is wrong with the balance or the fees, when that changes. */
  #warn(): void {
    const left = this.#lettersLeft() ?? fewLetters
    const warning = this.#shortfall() ?? (left < fewLetters ? 'Low balance' : undefined)
    if (warning && warning !== this.#warning) {
      const low = `enough for ${count(Number(left), 'letter')}; fund the account`
      notice(`    - ${warning}: ${warning === 'Low balance' ? low : 'no letters are sold meanwhile'}`)
    }
    this.#warning = warning
  }
}
