import type { EventEmitter } from 'node:events'
import type { LedgerTransfer, PluginXrpEscrow, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { count } from '../terminal/count.ts'
import { printable } from '../terminal/printable.ts'

// Refusals are told once for each kind, and of so many kinds, in so many milliseconds; the others are counted.
const toldTogetherMs = 10_000
const kindsTold = 20
const remembered = 1_000
// From how many open payments on it takes a while to read them all.
const manyPayments = 400

/** What a shop does not take, and how much of that its terminal is told. */
export class Refusals {
  readonly #plugin: PluginXrpEscrow
  readonly #refused = new Set<string>()
  readonly #told = new Set<string>()
  #toldSince = 0
  #untold = 0
  #count = 0
  #forOthers = 0
  #sharesAccount = false
  // Whether the ledger plugin still finds open payments of an earlier run, and how many it has found.
  #isReading = false
  #hasRead = false
  #earlier = 0

  /** @param plugin - not connected yet, so that nothing goes unseen */
  constructor(plugin: PluginXrpEscrow) {
    this.#plugin = plugin
    // Plugins of others may announce open transfers of earlier runs.
    ;(plugin as EventEmitter).on('reading', (progress: { escrows: number; read: number }) =>
      this.#onReading(progress)
    )
    plugin.on('incoming_prepare', () => {
      if (this.#isReading) this.#earlier++
    })
    plugin.on('incoming_fulfill', ({ id, feeDrops }) => {
      // Who has paid for it tells the account's own programs from a stranger who takes what he has sent himself.
      if (!this.#refused.has(id) || feeDrops === undefined || this.#sharesAccount) return
      this.#sharesAccount = true
      console.log('    - Another shop takes payments on this account too: from here on they are only counted')
    })
  }

  /** Tells the terminal and the ledger plugin why a transfer is not taken. */
  async add(transfer: LedgerTransfer, reason: RejectionMessage): Promise<void> {
    this.#refused.add(transfer.id)
    for (const oldest of this.#refused) {
      if (this.#refused.size <= remembered) break
      this.#refused.delete(oldest)
    }
    if (reason.code === 'F06' && this.#sharesAccount) this.#forOthers++
    else if (!this.#isReading) this.#tell(transfer, reason)
    const rejecting = this.#plugin.rejectIncomingTransfer(transfer.id, reason)
    await rejecting.catch(err => console.log(`    - ${err.message}`))
  }

  /** What it all came to, in no line, one or two. */
  summary(): string[] {
    const lines = []
    if (this.#count > 0) lines.push(`${count(this.#count, 'payment')} refused`)
    if (this.#forOthers > 0)
      lines.push(`${count(this.#forOthers, 'payment')} for another shop on this account`)
    return lines
  }

  #tell({ from }: LedgerTransfer, { code, name, message }: RejectionMessage): void {
    this.#count++
    if (Date.now() - this.#toldSince >= toldTogetherMs) {
      if (this.#untold > 0) console.log(`    - ${count(this.#untold, 'more payment')} refused`)
      this.#untold = 0
      this.#told.clear()
      this.#toldSince = Date.now()
    }
    // Of a client's address the number at its end is of no interest.
    const kind = `${code} ${code === 'F06' ? message.replace(/\.[^.]*$/, '') : from}`
    if (this.#told.has(kind) || this.#told.size >= kindsTold) {
      this.#untold++
      return
    }
    this.#told.add(kind)
    console.log(`    - Payment refused: ${code} ${name}. ${printable(message)}`)
  }

  #onReading({ escrows, read }: { escrows: number; read: number }): void {
    // What is read once more, after the connection was lost, is of this run.
    if (this.#hasRead) return
    if (!this.#isReading && escrows >= manyPayments)
      console.log(`    - Reading ${escrows} open payments of earlier: the shop sells meanwhile`)
    this.#isReading = read < escrows
    this.#hasRead = !this.#isReading
    if (this.#hasRead && this.#earlier > 0) {
      const what = `${count(this.#earlier, 'payment')} of an earlier run`
      console.log(`    - Found ${what}: what is not taken goes back when it expires`)
    }
  }
}
