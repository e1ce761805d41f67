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
  readonly #unpaidCount: () => number
  #balance = 0n
  // What the balance has shrunk by since it was asked for, as far as the answer may not have it yet.
  #spentDrops = 0n
  // undefined while a fulfillment costs more than the plugin may pay
  #feeDrops: bigint | undefined = usualFeeDrops
  #checkedAt = -minPauseMs
  #checking: Promise<void> | undefined
  #warnedOf: bigint | undefined

  /**
   * @param cost - of a letter, drops
   * @param unpaidCount - how many payments are accepted and not final: their fees are still to be paid
   */
  constructor(plugin: PluginXrpEscrow, cost: number, unpaidCount: () => number) {
    this.#plugin = plugin
    this.#cost = BigInt(cost)
    this.#unpaidCount = unpaidCount
  }

  /** Why the shop cannot pay for one more fulfillment just now; undefined if it can. An old "no" is checked again. */
  async shortfall(): Promise<string | undefined> {
    if (this.#reason()) await this.check()
    else if (performance.now() - this.#checkedAt >= maxAgeMs) this.check()
    return this.#reason()
  }

  /** Asks for the account's balance and the network's fee; without an answer they stay as they were. */
  async check(): Promise<void> {
    this.#checking ??= this.#check().catch(() => {})
    await this.#checking
    this.#checking = undefined
  }

  /** A payment was fulfilled. */
  onPaid(amount: string): void {
    const loss = (this.#feeDrops ?? usualFeeDrops) - BigInt(amount)
    if (loss > 0n) this.#spentDrops += loss
  }

  async #check(): Promise<void> {
    await delay(Math.max(0, this.#checkedAt + minPauseMs - performance.now()))
    this.#checkedAt = performance.now()
    const spentBefore = this.#spentDrops
    const balance = await this.#plugin.getBalance()
    const feeDrops = await this.#askFee()
    if (feeDrops === undefined && this.#feeDrops !== undefined)
      notice("    - The network's fees are too high just now: no letters are sold until they fall")
    this.#balance = BigInt(balance)
    this.#spentDrops -= spentBefore
    this.#feeDrops = feeDrops
    if (feeDrops !== undefined) this.#warn(this.#lettersLeft(feeDrops))
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

  #reason(): string | undefined {
    if (this.#feeDrops === undefined) return "The network's fees are too high just now"
    return this.#lettersLeft(this.#feeDrops) > 0n ? undefined : 'The shop cannot pay its fees'
  }

  /** Each letter costs a fee and earns its price. */
  #lettersLeft(feeDrops: bigint): bigint {
    const spare = this.#balance - this.#spentDrops - BigInt(this.#unpaidCount() + 1) * feeDrops
    return spare < 0n ? 0n : 1n + spare / (feeDrops > this.#cost ? feeDrops - this.#cost : 1n)
  }

  #warn(left: bigint): void {
    if (left >= 2n * fewLetters) this.#warnedOf = undefined
    if (left >= fewLetters || this.#warnedOf === 0n || (this.#warnedOf !== undefined && left > 0n)) return
    this.#warnedOf = left
    const low = `Low balance: enough for ${count(Number(left), 'letter')}; fund the account`
    notice(`    - ${left > 0n ? low : 'Balance too low for one more fee: no letters until it is funded'}`)
  }
}
