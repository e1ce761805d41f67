import { EventEmitter, once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import base64url from 'base64url'
import { deserializeIlpPayment } from 'ilp-packet'
import type { LedgerTransfer, PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { pskFulfillment, sha256 } from '../crypto.ts'
import { notice } from '../terminal/progress.ts'
import { describe, isShuttingDown, waitForPayments } from '../terminal/shutdown.ts'
import { count, printable } from '../terminal/text.ts'
import { Finances } from './finances.ts'
import { limitedLog } from './limited-log.ts'
import { shortCondition } from './log-account.ts'

// The fulfillment has to be in one of the next ledgers, also when these are slow or full.
const minTimeLeftMs = 60_000
const maxWaiting = 10_000
const maxRejectionLines = 20
const maxGivenUp = 10_000
// When to try again what could not be done.
const retryMs = 1_000
// How long the end of the shop waits while the ledger decides nothing, and then for clients to fetch their letters.
const maxSettleMs = 30_000
const maxFetchMs = 3_000

/** The clients that a shop shares a secret with, by clientId. */
interface Clients<Client> {
  get(clientId: string): Client | undefined
}

/** A payment that a shop can fulfill. */
export interface Payment<Client> {
  transfer: LedgerTransfer
  client: Client
  drops: bigint
  /** 32 bytes, base64url */
  fulfillment: string
}

/**
 * Decides whether and when a shop accepts a payment, and follows it until it is final. An accepted payment is worth
 * its letter at once, so `maxUnpaid` limits what is accepted and not final; further payments wait in their order.
 */
export class IncomingPayments<Client extends { sharedSecret: Buffer }> {
  readonly finances: Finances
  readonly #plugin: PluginXrpEscrow
  readonly #account: string
  readonly #clients: Clients<Client>
  readonly #cost: bigint
  readonly #maxUnpaid: bigint
  readonly #logRejection = limitedLog(maxRejectionLines, notice)
  // How many payments wait, each for the one before and then for its own turn.
  #waiting = 0
  #lastTurn: Promise<unknown> = Promise.resolve()
  readonly #ledger = new EventEmitter<{ decided: [] }>()
  // Drops of the payments that are accepted and not final, by transfer id.
  readonly #unpaid = new Map<string, bigint>()
  #unpaidDrops = 0n
  // What to do when the money of a payment that was given up comes after all, by transfer id, the oldest first.
  readonly #givenUp = new Map<string, () => void>()
  #rejected = 0
  #sharesAccount = false

  /**
   * @param plugin - connected
   * @param cost - of a letter, drops
   * @param maxUnpaid - drops
   */
  constructor(plugin: PluginXrpEscrow, clients: Clients<Client>, cost: number, maxUnpaid: number) {
    this.#plugin = plugin
    this.#account = plugin.getAccount()
    this.#clients = clients
    this.#cost = BigInt(cost)
    this.#maxUnpaid = BigInt(maxUnpaid)
    this.finances = new Finances(plugin, cost)
    plugin.on('incoming_fulfill', transfer => this.#onPaid(transfer))
  }

  /** Why the shop can sell nothing just now, if so. */
  async refusal(): Promise<string | undefined> {
    return isShuttingDown() ? 'The shop is closing' : this.finances.shortfall()
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
    const lines = this.finances.summary()
    if (this.#rejected > 0) lines.push(`${count(this.#rejected, 'payment')} rejected`)
    const unknown = `${count(this.#unpaid.size, 'payment')} with unknown outcome`
    if (this.#unpaid.size > 0) lines.push(`${unknown} (${this.#unpaidDrops} drops, not counted above)`)
    notice(`\n${lines.join('\n')}`)
  }

  /** Waits until the shop can collect a payment, and has room for it. */
  async #admit(transfer: LedgerTransfer): Promise<Payment<Client> | undefined> {
    for (;;) {
      const canCollect = this.#plugin.isConnected() && !(await this.finances.shortfall())
      // Meanwhile its client may have left, or its time have run short.
      const payment = this.#check(transfer)
      if (!payment) return undefined
      const hasRoom = this.#unpaid.size === 0 || this.#unpaidDrops + payment.drops <= this.#maxUnpaid
      if (canCollect && hasRoom && !isShuttingDown()) {
        this.#unpaid.set(transfer.id, payment.drops)
        this.#unpaidDrops += payment.drops
        this.finances.fees.due++
        return payment
      }
      await once(this.#ledger, 'decided', { signal: AbortSignal.timeout(retryMs) }).catch(() => {})
    }
  }

  /**
   * Checks whether the shop can fulfill a transfer, before it gives anything away for it, and rejects it if not.
   *
   * @see Interledger RFC 0016 (Pre-Shared Key), draft 4: what the receiver checks
   */
  #check(transfer: LedgerTransfer): Payment<Client> | undefined {
    const ilpPacket = Buffer.from(transfer.ilp, 'base64')
    const packet = parsePacket(ilpPacket)
    if (!packet) return this.#reject(transfer, 'F01', 'Invalid Packet', 'The transfer carries no ILP payment')

    // <account>.<clientId>.<paymentId>
    const isHere = packet.account.startsWith(`${this.#account}.`)
    const local = isHere ? packet.account.slice(this.#account.length + 1) : packet.account
    const [clientId = '', paymentId, ...rest] = isHere ? local.split('.') : []
    const client = paymentId && rest.length === 0 ? this.#clients.get(clientId) : undefined
    if (!client) {
      const message = `Nobody here is waiting for a payment to ${local}`
      return this.#reject(transfer, 'F06', 'Unexpected Payment', message)
    }

    const drops = BigInt(transfer.amount)
    const asked = BigInt(packet.amount)
    const price = asked > this.#cost ? asked : this.#cost
    if (drops < price) {
      const message = `Please send at least ${price} drops, you sent ${drops}`
      return this.#reject(transfer, 'F04', 'Insufficient Destination Amount', message)
    }

    const fulfillment = pskFulfillment(client.sharedSecret, ilpPacket)
    const { executionCondition = '' } = transfer
    if (base64url(sha256(fulfillment)) !== executionCondition) {
      const message = `Unable to fulfill the condition: ${executionCondition}`
      return this.#reject(transfer, 'F05', 'Wrong Condition', message)
    }

    const timeLeftMs = Date.parse(transfer.expiresAt ?? '') - this.#ledgerTime().getTime()
    if (!(timeLeftMs >= minTimeLeftMs)) {
      const message = `Please give the shop at least ${minTimeLeftMs / 1000} seconds`
      return this.#reject(transfer, 'R02', 'Insufficient Timeout', message)
    }
    return { transfer, client, drops, fulfillment: base64url(fulfillment) }
  }

  #reject(transfer: LedgerTransfer, code: string, name: string, message: string): undefined {
    this.#rejected++
    const line = `    - Payment rejected: ${code} ${name}. ${printable(message)} (${shortCondition(transfer)})`
    if (code !== 'F06' || !this.#sharesAccount) this.#logRejection(line)
    const by = { triggered_by: this.#account, triggered_at: new Date().toISOString() }
    const reason = { code, name, message, ...by, forwarded_by: [], additional_info: {} }
    const rejecting = this.#plugin.rejectIncomingTransfer(transfer.id, reason)
    rejecting.catch(err => console.log(`    - ${describe(err)}`))
  }

  #onPaid(transfer: LedgerTransfer): void {
    const comesLate = this.#givenUp.get(transfer.id)
    if (this.#release(transfer.id) || comesLate) {
      this.#givenUp.delete(transfer.id)
      comesLate?.()
      this.finances.onPaid(transfer)
    } else if (transfer.feeDrops !== undefined && !this.#sharesAccount) {
      // A stranger's fulfillment would have no fee here.
      this.#sharesAccount = true
      notice(
        '    - Another shop uses this account: stop it, or give one of them another account in plugins.ts.\n' +
          '      Its payments are only counted here from now on'
      )
    }
  }

  /** Takes a payment from those that are not final, which makes room for others. */
  #release(id: string): boolean {
    const drops = this.#unpaid.get(id)
    if (drops === undefined) return false
    this.#unpaid.delete(id)
    this.#unpaidDrops -= drops
    this.finances.fees.paid++
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

function parsePacket(ilpPacket: Buffer): { account: string; amount: string } | undefined {
  try {
    return deserializeIlpPayment(ilpPacket)
  } catch {
    return undefined
  }
}
