import { setTimeout as delay } from 'node:timers/promises'
import type { LedgerTransfer, PluginXrpEscrow, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { count } from '../terminal/count.ts'
import { Funds } from './funds.ts'
import { Refusals } from './refusals.ts'

// How long the end waits for what the ledger has not decided yet.
const maxMsToClose = 1_000

/** A shop's books: what it sells, what it is paid for that, and what that costs in fees. */
export class Books {
  readonly funds: Funds
  readonly #plugin: PluginXrpEscrow
  readonly #refusals: Refusals
  readonly #underWay = new Set<Promise<void>>()
  // Ids of the transfers that were accepted and the ledger has not told of.
  readonly #accepted = new Set<string>()
  readonly #whenBack: (() => void)[] = []
  #isClosed = false

  #sold = 0
  #earnedDrops = 0
  // NaN if the plugin does not tell.
  #feeDrops = 0
  #undecided = 0

  /**
   * @param plugin - not connected yet, so that nothing goes unseen
   * @param cost - of a letter, drops
   */
  constructor(plugin: PluginXrpEscrow, cost: number) {
    this.#plugin = plugin
    this.funds = new Funds(plugin, cost)
    this.#refusals = new Refusals(plugin)
    // A plugin that tells of fees says nothing where there was none, since another's fulfillment was first.
    const feeUntold = 'getFulfillmentFee' in plugin ? 0 : Number.NaN
    plugin.on('incoming_fulfill', ({ id, feeDrops = feeUntold }) => {
      if (this.#accepted.delete(id)) this.#feeDrops += Number(feeDrops)
    })
    plugin.on('fulfill_failed', (_transfer, feeDrops) => {
      this.#feeDrops += Number(feeDrops)
    })
    plugin.on('connect', () => {
      for (const tryAgain of this.#whenBack.splice(0)) tryAgain()
    })
  }

  /** Takes note that a letter was handed over. */
  soldLetter(): void {
    this.#sold++
  }

  /**
   * Takes a payment, and while the ledger is out of reach, waits for it to come back.
   *
   * @param fulfill - what takes it
   */
  collect(transfer: LedgerTransfer, fulfill: () => Promise<void>): Promise<void> {
    const collecting = this.#collect(transfer, fulfill)
    const forget = () => this.#underWay.delete(collecting)
    this.#underWay.add(collecting)
    collecting.then(forget, forget)
    return collecting
  }

  /** Takes note that a transfer is not taken. */
  async refuse(transfer: LedgerTransfer, reason: RejectionMessage): Promise<void> {
    if (!this.#isClosed) await this.#refusals.add(transfer, reason)
  }

  /** Closes the books. @returns what it all came to, as far as the ledger has told */
  async close(): Promise<string> {
    this.#isClosed = true
    for (const giveUp of this.#whenBack.splice(0)) giveUp()
    await Promise.race([Promise.allSettled(this.#underWay), delay(maxMsToClose)])
    const undecided = this.#undecided + this.#underWay.size
    const earned = `${count(this.#sold, 'letter')} sold, ${count(this.#earnedDrops, 'drop')} earned`
    const fees = Number.isNaN(this.#feeDrops) ? 'an unknown number of' : this.#feeDrops
    const lines = [`${earned}, ${fees} drops of fees`]
    lines.push(...this.#refusals.summary())
    if (undecided > 0)
      lines.push(`${count(undecided, 'payment')} undecided: the ledger had not told by the end`)
    return lines.join('\n')
  }

  async #collect({ id, amount }: LedgerTransfer, fulfill: () => Promise<void>): Promise<void> {
    let earnedDrops = 0
    this.#accepted.add(id)
    this.funds.spendFee()
    try {
      await this.#untilReached(fulfill)
      earnedDrops = Number(amount)
    } catch (err) {
      if (isUnreachable(err)) this.#undecided++
      else this.#accepted.delete(id)
      throw err
    } finally {
      this.#earnedDrops += earnedDrops
      this.funds.receive(earnedDrops)
    }
  }

  async #untilReached(act: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await act()
      } catch (err) {
        if (!isUnreachable(err) || this.#plugin.isConnected() || this.#isClosed) throw err
        await new Promise<void>(resolve => this.#whenBack.push(resolve))
        if (this.#isClosed) throw err
      }
    }
  }
}

function isUnreachable(err: unknown): boolean {
  return (err as Error).name === 'UnreachableError'
}
