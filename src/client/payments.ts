import { Transform } from 'node:stream'
import type { PluginXrpEscrow, Transfer } from 'ilp-plugin-xrp-escrow'
import { describe, end } from '../terminal/ending.ts'

// How far a client trusts a shop: payments of so many seconds may be without their letter.
const maxSecondsAtRisk = 30

/** Reads the time between two payments, or ends the script with a sentence. */
export function toIntervalMs(text: string): number {
  const intervalMs = Number(text)
  // Beyond 2^31 milliseconds a timer of Node.js fires at once.
  if (Number.isInteger(intervalMs) && intervalMs >= 1 && intervalMs < 2 ** 31) return intervalMs
  throw new Error(
    `INTERVAL_MS="${text}" is not a number of milliseconds: choose 1 or more, for example INTERVAL_MS=1000`
  )
}

/** A client's own account of what it pays and what it gets for it. */
export class Payments {
  readonly #plugin: PluginXrpEscrow
  readonly #maxAtRisk: number
  readonly #balanceBefore: bigint
  // Sent, and neither taken by the shop nor come back; and those of them whose money has left the account.
  readonly #open = new Map<string, Transfer>()
  readonly #inEscrow = new Set<Transfer>()
  #sent = 0
  #taken = 0
  #letters = 0
  // Drops that an earlier run had left in escrow and that came back during this one.
  #returned = 0n

  /** Begins to watch the payments that a connected plugin makes every so many milliseconds. */
  static async watch(plugin: PluginXrpEscrow, intervalMs: number): Promise<Payments> {
    return new Payments(plugin, intervalMs, await plugin.getBalance())
  }

  private constructor(plugin: PluginXrpEscrow, intervalMs: number, balance: string) {
    this.#plugin = plugin
    this.#maxAtRisk = Math.max(1, Math.ceil((maxSecondsAtRisk * 1000) / intervalMs))
    this.#balanceBefore = BigInt(balance)
    plugin.on('outgoing_prepare', ({ id }) => {
      const transfer = this.#open.get(id)
      if (transfer) this.#inEscrow.add(transfer)
    })
    plugin.on('outgoing_cancel', ({ id, amount }) => {
      if (this.#close(id)) this.#sent--
      else this.#returned += BigInt(amount)
    })
  }

  /**
   * Takes note of a payment.
   *
   * @param sending - what `sendTransfer` gave: a payment that cannot be made ends the script
   */
  async add(transfer: Transfer, sending: Promise<void>): Promise<void> {
    this.#open.set(transfer.id, transfer)
    this.#sent++
    try {
      await sending
    } catch (err) {
      if (this.#close(transfer.id)) this.#sent--
      const { name } = err as Error
      if (name === 'UnreachableError') return
      const advice =
        name === 'InsufficientBalanceError'
          ? '\nFund the account, or wait for what is in escrow to come back'
          : ''
      end(1, describe(err) + advice)
    }
  }

  /**
   * Takes note that a payment was fulfilled.
   *
   * @returns false for a payment of another run of this account
   */
  taken(transfer: Transfer): boolean {
    const isOurs = this.#close(transfer.id)
    if (isOurs) this.#taken++
    return isOurs
  }

  /**
   * Takes note of letters that came.
   *
   * @returns false if they are far more than could have been paid for: that ends the script
   */
  received(letters: number): boolean {
    this.#letters += letters
    if (this.#letters <= this.#sent + this.#maxAtRisk) return true
    end(1, 'The shop sends far more than was paid for: that is no letter shop')
    return false
  }

  /**
   * Whether to pay once more: not while the ledger is out of reach, and never again once the shop takes no payments,
   * or gives no letters for them. The latter ends the script.
   */
  mayPay(): boolean {
    if (!this.#plugin.isConnected()) return false
    const atRisk = this.#sent - Math.min(this.#taken, this.#letters)
    if (atRisk < this.#maxAtRisk) return true
    const fault = this.#taken <= this.#letters ? 'has not taken' : 'has given no letters for'
    end(1, `Stopped paying: the shop ${fault} the payments of the last ${maxSecondsAtRisk} seconds`)
    return false
  }

  /** What it all came to, in one line. */
  async summary(): Promise<string> {
    const open = [...this.#open.values()]
    const inEscrow = [...this.#inEscrow].reduce((sum, { amount }) => sum + BigInt(amount), 0n)
    const spent = await this.#plugin.getBalance().then(
      balance => this.#toUnits(this.#balanceBefore + this.#returned - BigInt(balance) - inEscrow),
      () => 'an unknown amount (the ledger cannot be asked)'
    )
    const last = Math.max(...open.map(({ expiresAt }) => Date.parse(expiresAt ?? '')))
    const waiting = open.length
      ? `; ${count(open.length, 'payment')} still in escrow: what the shop does not take, the next run of a client ` +
        `fetches back after ${new Date(last).toLocaleTimeString()}`
      : ''
    return `${count(this.#sent, 'payment')}, ${count(this.#letters, 'letter')}, ${spent} spent with fees${waiting}`
  }

  #close(id: string): boolean {
    const transfer = this.#open.get(id)
    if (transfer) this.#inEscrow.delete(transfer)
    return this.#open.delete(id)
  }

  #toUnits(drops: bigint): string {
    const { currencyCode, currencyScale } = this.#plugin.getInfo()
    return `${Number(drops) / 10 ** currencyScale} ${currencyCode}`
  }
}

/** Lets letters through to the terminal, each counted; whatever else a shop sends becomes a question mark. */
export function lettersOnly(payments: Payments): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (payments.received(chunk.length)) this.push(chunk.toString('latin1').replace(/[^A-Z]/g, '?'))
      done()
    }
  })
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
