import type { LedgerTransfer, PluginXrpEscrow, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { notice } from '../terminal/progress.ts'
import { describe } from '../terminal/shutdown.ts'
import { count, printable } from '../terminal/text.ts'
import { trim } from './trim.ts'

// Of each code one rejection is logged in so many milliseconds; the others are counted.
const quietMs = 10_000
const maxRemembered = 1_000

/** Rejects transfers, and logs as much of that as somebody can read. */
export class RejectionLog {
  readonly #plugin: PluginXrpEscrow
  readonly #rejected = new Set<string>()
  readonly #loggedCodes = new Set<string>()
  #loggedSince = 0
  #unlogged = 0
  #count = 0
  #sharesAccount = false

  constructor(plugin: PluginXrpEscrow) {
    this.#plugin = plugin
    plugin.on('incoming_fulfill', ({ id, feeDrops }) => {
      // The fee shows that this account itself has fulfilled it, and not a stranger.
      if (!this.#rejected.has(id) || feeDrops === undefined || this.#sharesAccount) return
      this.#sharesAccount = true
      notice('    - Another shop shares this account: its payments are counted here, not logged')
    })
  }

  /** Rejects a transfer. */
  async add(transfer: LedgerTransfer, reason: RejectionMessage): Promise<void> {
    this.#count++
    this.#rejected.add(transfer.id)
    trim(this.#rejected, maxRemembered)
    if (reason.code !== 'F06' || !this.#sharesAccount) this.#log(reason)
    const rejecting = this.#plugin.rejectIncomingTransfer(transfer.id, reason)
    await rejecting.catch(err => console.log(`    - ${describe(err)}`))
  }

  /** How many there were, in a further line or none. */
  summary(): string {
    return this.#count > 0 ? `\n${count(this.#count, 'payment')} rejected` : ''
  }

  #log({ code, name, message }: RejectionMessage): void {
    if (Date.now() - this.#loggedSince >= quietMs) {
      if (this.#unlogged > 0) notice(`    - ${count(this.#unlogged, 'more payment')} rejected`)
      this.#unlogged = 0
      this.#loggedCodes.clear()
      this.#loggedSince = Date.now()
    }
    if (this.#loggedCodes.has(code)) this.#unlogged++
    else notice(`    - Payment rejected: ${code} ${name}. ${printable(message)}`)
    this.#loggedCodes.add(code)
  }
}
