import { EventEmitter, once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { LedgerTransfer, PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { notice, report } from '../terminal/progress.ts'
import { describe, isShuttingDown, waitForPayments } from '../terminal/shutdown.ts'
import { count, printable } from '../terminal/text.ts'
import { checkIncomingTransfer, type Payment, type Rejection, type ShopTerms } from './incoming-transfer.ts'
import { LimitedLog } from './limited-log.ts'
import { Liquidity } from './liquidity.ts'
import { shortCondition } from './log-account.ts'

const maxWaiting = 10_000
const maxRejectionLines = 20
const maxGivenUp = 10_000
// When to try again what could not be done.
const retryMs = 1_000
// How long the end of the shop waits while the ledger decides nothing, and then for clients to fetch their letters.
const maxSettleMs = 30_000
const maxFetchMs = 3_000
const lossNotice = 'Fees exceed what a letter earns: that is why hosted ledgers come next'

/**
 * Decides whether and when a shop accepts a payment, and follows it until it is final. An accepted payment is worth
 * its letter at once, so `maxUnpaid` limits what is accepted and not final; further payments wait in their order.
 */
export class IncomingPayments<Client extends { sharedSecret: Buffer }> {
  readonly liquidity: Liquidity
  readonly #plugin: PluginXrpEscrow
  readonly #terms: ShopTerms<Client>
  readonly #maxUnpaid: bigint
  readonly #rejectionLog = new LimitedLog(maxRejectionLines, notice)
  // How many payments wait, each for the one before and then for its own turn.
  #waiting = 0
  #lastTurn: Promise<unknown> = Promise.resolve()
  readonly #ledger = new EventEmitter<{ decided: [] }>()
  // Drops of the payments that are accepted and not final, by transfer id.
  readonly #unpaid = new Map<string, bigint>()
  #unpaidDrops = 0n
  readonly #fees = { due: 0, paid: 0 }
  // What to do when the money of a payment that was given up comes after all, by transfer id, the oldest first.
  readonly #givenUp = new Map<string, () => void>()
  #rejected = 0
  #sharesAccount = false
  #lettersSold = 0
  #earnedDrops = 0n
  // undefined if the plugin does not report fees
  #feeDrops: bigint | undefined

  /**
   * @param plugin - connected
   * @param maxUnpaid - drops
   */
  constructor(plugin: PluginXrpEscrow, terms: ShopTerms<Client>, maxUnpaid: number) {
    this.#plugin = plugin
    this.#terms = terms
    this.#maxUnpaid = BigInt(maxUnpaid)
    this.liquidity = new Liquidity(plugin, terms.cost, this.#fees)
    // A plugin that tells what a fulfillment costs reports no fee where there was none.
    this.#feeDrops = 'getFulfillmentFee' in plugin ? 0n : undefined
    plugin.on('incoming_fulfill', transfer => this.#onPaid(transfer))
    plugin.on('fulfill_failed', (_transfer, feeDrops) => this.#addFee(feeDrops))
  }

  /** Why the shop can sell nothing just now, if so. */
  async refusal(): Promise<string | undefined> {
    return isShuttingDown() ? 'The shop is closing' : this.liquidity.shortfall()
  }

  /**
   * Accepts a payment, or rejects it. One that cannot be accepted just now waits, at most until its time runs short.
   *
   * @returns undefined if it is not accepted
   */
  async accept(transfer: LedgerTransfer): Promise<Payment<Client> | undefined> {
    const isTooMuch = isShuttingDown() || this.#waiting >= maxWaiting
    if (isTooMuch || !this.#check(transfer)) return undefined
    this.#waiting++
    const turn = this.#lastTurn.then(() => this.#admit(transfer)).finally(() => this.#waiting--)
    this.#lastTurn = turn.catch(() => {})
    return turn
  }

  /**
   * Fulfills a payment that was accepted, and tries again while its outcome is unknown.
   *
   * @returns when it is paid
   * @throws AlreadyRolledBackError when the money cannot come any more, or another error of the ledger plugin when
   *   nobody can know whether it has come
   */
  async collect({ transfer, fulfillment }: Payment<Client>): Promise<void> {
    const { id } = transfer
    while (this.#unpaid.has(id)) {
      try {
        return await this.#plugin.fulfillCondition(id, fulfillment)
      } catch (err) {
        if (!this.#isFinal(err as Error, transfer)) await delay(retryMs)
        else if (this.#release(id)) {
          this.#givenUp.set(id, () => {})
          const [oldest = ''] = this.#givenUp.keys()
          if (this.#givenUp.size > maxGivenUp) this.#givenUp.delete(oldest)
          throw err
        }
      }
    }
  }

  /** Waits for the money of a payment that `collect` has given up: it can come after all. */
  comesLate({ transfer }: Payment<Client>): Promise<void> {
    return new Promise(resolve => this.#givenUp.set(transfer.id, resolve))
  }

  /**
   * Waits at the end of the shop for the ledger to decide about what is accepted, and prints a summary.
   *
   * @param lettersOwed - how many letters are paid for and not fetched
   */
  async close(lettersOwed = () => 0): Promise<void> {
    const pending = () => (this.#plugin.isConnected() ? this.#unpaid.size : 0)
    await waitForPayments(pending, maxSettleMs)
    await waitForPayments(lettersOwed, maxFetchMs)
    const fees = this.#feeDrops === undefined ? 'unknown fees' : `${this.#feeDrops} drops of fees`
    const lines = [`${count(this.#lettersSold, 'letter')} sold, ${this.#earnedDrops} drops earned, ${fees}`]
    if (this.#feeDrops !== undefined && this.#feeDrops > this.#earnedDrops) lines.push(lossNotice)
    if (this.#rejected > 0) lines.push(`${count(this.#rejected, 'payment')} rejected`)
    const unknown = `${count(this.#unpaid.size, 'payment')} with unknown outcome`
    if (this.#unpaid.size > 0) lines.push(`${unknown} (${this.#unpaidDrops} drops, not counted above)`)
    notice(`\n${lines.join('\n')}`)
  }

  /** Counts a letter that was handed over, and reports it with the id of its transfer, if the two belong together. */
  addLetter(letter: string, id = ''): void {
    this.#lettersSold++
    report({ event: 'letter', id, letter })
  }

  /** Waits until the shop can collect a payment, and has room for it. */
  async #admit(transfer: LedgerTransfer): Promise<Payment<Client> | undefined> {
    for (;;) {
      const canCollect = this.#plugin.isConnected() && !(await this.liquidity.shortfall())
      // Meanwhile its client may have left, or its time have run short.
      const payment = this.#check(transfer)
      if (!payment) return undefined
      const hasRoom = this.#unpaid.size === 0 || this.#unpaidDrops + payment.drops <= this.#maxUnpaid
      if (canCollect && hasRoom && !isShuttingDown()) {
        this.#unpaid.set(transfer.id, payment.drops)
        this.#unpaidDrops += payment.drops
        this.#fees.due++
        return payment
      }
      await once(this.#ledger, 'decided', { signal: AbortSignal.timeout(retryMs) }).catch(() => {})
    }
  }

  /** The payment that a transfer makes; undefined if it was rejected. */
  #check(transfer: LedgerTransfer): Payment<Client> | undefined {
    const checked = checkIncomingTransfer(transfer, this.#terms, this.#ledgerTime())
    if (!('code' in checked)) return checked
    this.#reject(transfer, checked)
    return undefined
  }

  async #reject(transfer: LedgerTransfer, { code, name, message }: Rejection): Promise<void> {
    this.#rejected++
    const line = `    - Payment rejected: ${code} ${name}. ${printable(message)} (${shortCondition(transfer)})`
    if (code !== 'F06' || !this.#sharesAccount) this.#rejectionLog.add(line)
    const by = { triggered_by: this.#terms.account, triggered_at: new Date().toISOString() }
    const reason = { code, name, message, ...by, forwarded_by: [], additional_info: {} }
    const rejecting = this.#plugin.rejectIncomingTransfer(transfer.id, reason)
    await rejecting.catch(err => console.log(`    - ${describe(err)}`))
  }

  #onPaid({ id, amount, feeDrops }: LedgerTransfer): void {
    const comesLate = this.#givenUp.get(id)
    if (this.#release(id) || comesLate) {
      this.#givenUp.delete(id)
      comesLate?.()
      this.#earnedDrops += BigInt(amount)
      this.#addFee(feeDrops)
    } else if (feeDrops !== undefined && !this.#sharesAccount) {
      // A stranger's fulfillment would have no fee here.
      this.#sharesAccount = true
      notice(
        '    - Another shop uses this account: stop it, or give one of them another account in plugins.ts.\n' +
          '      Its payments are only counted here from now on'
      )
    }
  }

  #addFee(feeDrops = '0'): void {
    if (this.#feeDrops !== undefined) this.#feeDrops += BigInt(feeDrops)
  }

  /** Takes a payment from those that are not final, which makes room for others. */
  #release(id: string): boolean {
    const drops = this.#unpaid.get(id)
    if (drops === undefined) return false
    this.#unpaid.delete(id)
    this.#unpaidDrops -= drops
    this.#fees.paid++
    this.#ledger.emit('decided')
    return true
  }

  /** The ledger's time, as far as the plugin knows it: that is beyond the Ledger Plugin Interface. */
  #ledgerTime(): Date {
    const isKnown = 'getLedgerTime' in this.#plugin && this.#plugin.isConnected()
    return isKnown ? this.#plugin.getLedgerTime() : new Date()
  }

  /** Whether it makes no sense to fulfill a payment once more. */
  #isFinal({ name, code = '' }: Error & { code?: string }, { expiresAt = '' }: LedgerTransfer): boolean {
    // While the escrow has time, the plugin can still find out what a gap in the history hides.
    if (code === 'HISTORY_GAP') return this.#ledgerTime() >= new Date(expiresAt)
    return name === 'AlreadyRolledBackError' || name === 'TransferNotFoundError' || code === 'LEDGER_RESET'
  }
}
