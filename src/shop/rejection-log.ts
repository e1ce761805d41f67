import type { LedgerTransfer, PluginXrpEscrow, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { notice } from '../terminal/progress.ts'
import { describe } from '../terminal/shutdown.ts'
import { count, printable } from '../terminal/text.ts'

// So many rejections are logged in so many milliseconds; further ones are counted.
const maxLines = 20
const periodMs = 10_000

/** Rejects transfers, and logs as much of that as somebody can read. */
export class RejectionLog {
  readonly #plugin: PluginXrpEscrow
  #periodStart = 0
  #logged = 0
  #count = 0
  #sharesAccount = false

  constructor(plugin: PluginXrpEscrow) {
    this.#plugin = plugin
  }

  /** Rejects a transfer. */
  async add(transfer: LedgerTransfer, reason: RejectionMessage): Promise<void> {
    this.#count++
    if (reason.code !== 'F06' || !this.#sharesAccount) this.#log(reason)
    const rejecting = this.#plugin.rejectIncomingTransfer(transfer.id, reason)
    await rejecting.catch(err => console.log(`    - ${describe(err)}`))
  }

  /** This account has fulfilled a transfer that this shop has not accepted. */
  onSharedAccount(): void {
    if (!this.#sharesAccount)
      notice('    - Another shop shares this account: its payments are counted here, not logged')
    this.#sharesAccount = true
  }

  /** How many there were, in a further line or none. */
  summary(): string {
    return this.#count > 0 ? `\n${count(this.#count, 'payment')} rejected` : ''
  }

  #log({ code, name, message }: RejectionMessage): void {
    if (Date.now() - this.#periodStart >= periodMs) {
      if (this.#logged > maxLines) notice(`    - ${count(this.#logged - maxLines, 'more payment')} rejected`)
      this.#periodStart = Date.now()
      this.#logged = 0
    }
    if (++this.#logged <= maxLines) notice(`    - Payment rejected: ${code} ${name}. ${printable(message)}`)
  }
}
