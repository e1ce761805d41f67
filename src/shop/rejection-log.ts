import type { LedgerTransfer, PluginXrpEscrow, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { notice } from '../terminal/progress.ts'
import { describe } from '../terminal/shutdown.ts'
import { count, printable } from '../terminal/text.ts'
import { LimitedLog } from './limited-log.ts'
import { shortCondition } from './log-account.ts'

const maxLines = 20

/** Rejects transfers, and logs as much of that as somebody can read. */
export class RejectionLog {
  readonly #plugin: PluginXrpEscrow
  readonly #log = new LimitedLog(maxLines)
  #count = 0
  #sharesAccount = false

  constructor(plugin: PluginXrpEscrow) {
    this.#plugin = plugin
  }

  /** Rejects a transfer. */
  async add(transfer: LedgerTransfer, reason: RejectionMessage): Promise<void> {
    this.#count++
    const { code, name, message } = reason
    const line = `    - Payment rejected: ${code} ${name}. ${printable(message)} (${shortCondition(transfer)})`
    if (code !== 'F06' || !this.#sharesAccount) this.#log.add(line, notice)
    const rejecting = this.#plugin.rejectIncomingTransfer(transfer.id, reason)
    await rejecting.catch(err => console.log(`    - ${describe(err)}`))
  }

  /** This account has fulfilled a transfer that this shop has not accepted. */
  onSharedAccount(): void {
    if (!this.#sharesAccount)
      notice(
        '    - Another shop uses this account: stop it, or give one of them another account in plugins.ts.\n' +
          '      Its payments are only counted here from now on'
      )
    this.#sharesAccount = true
  }

  /** How many there were, in a further line or none. */
  summary(): string {
    return this.#count > 0 ? `\n${count(this.#count, 'payment')} rejected` : ''
  }
}
