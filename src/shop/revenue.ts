import type { PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { count } from '../terminal/text.ts'

/** What a shop sells, earns, and pays in fees. */
export class Revenue {
  #lettersSold = 0
  #earnedDrops = 0n
  // undefined if the plugin does not report fees
  #feeDrops: bigint | undefined

  /** @param plugin - one that tells what a fulfillment costs reports no fee where there was none */
  constructor(plugin: PluginXrpEscrow) {
    this.#feeDrops = 'getFulfillmentFee' in plugin ? 0n : undefined
  }

  /** Counts a letter that was handed over. */
  addLetter(): void {
    this.#lettersSold++
  }

  /** Counts a payment that is final. */
  addPayment(amount: string, feeDrops = '0'): void {
    this.#earnedDrops += BigInt(amount)
    this.addFee(feeDrops)
  }

  /** Counts a fee, also of a fulfillment that has failed. */
  addFee(feeDrops: string): void {
    if (this.#feeDrops !== undefined) this.#feeDrops += BigInt(feeDrops)
  }

  /** @param unknown - how many payments are accepted and not final */
  summary(unknown: number): string {
    const fees = this.#feeDrops === undefined ? 'unknown fees' : `${this.#feeDrops} drops of fees`
    const sold = `${count(this.#lettersSold, 'letter')} sold, ${this.#earnedDrops} drops earned, ${fees}`
    return unknown > 0 ? `${sold}\n${count(unknown, 'payment')} with unknown outcome at shutdown` : sold
  }
}
