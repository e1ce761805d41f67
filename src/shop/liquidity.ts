import { setTimeout as delay } from 'node:timers/promises'
import type { PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { notice } from '../terminal/progress.ts'
import { count } from '../terminal/text.ts'

// What a fulfillment costs on a ledger at rest, for plugins that do not say it.
const usualFeeDrops = 350n
const fewLetters = 100n
const maxAgeMs = 5_000
// Thousands of requests may ask together.
const minPauseMs = 500

/** Whether a shop's account can pay the fees of its fulfillments. */
export class Liquidity {
  readonly #plugin: PluginXrpEscrow
  readonly #cost: bigint
  readonly #fees: { due: number; paid: number }
  #balance = 0n
  // How many fees this balance has paid.
  #feesPaid = 0
  // undefined while a fulfillment costs more than the plugin may pay
  #feeDrops: bigint | undefined = usualFeeDrops
  #checkedAt = -minPauseMs
  #checking: Promise<void> | undefined
  #warning: string | undefined

  /**
   * @param cost - of a letter, drops
   * @param fees - how many fulfillments are to be paid for since the shop's start, and how many of these are final
   */
  constructor(plugin: PluginXrpEscrow, cost: number, fees: { due: number; paid: number }) {
    this.#plugin = plugin
    this.#cost = BigInt(cost)
    this.#fees = fees
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

  async #check(): Promise<void> {
    await delay(Math.max(0, this.#checkedAt + minPauseMs - performance.now()))
    this.#checkedAt = performance.now()
    const { paid } = this.#fees
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
    const feesDue = this.#fees.due - this.#feesPaid + 1
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
