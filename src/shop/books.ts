import { setTimeout as delay } from 'node:timers/promises'
import type { LedgerTransfer, PluginXrpEscrow, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { printable } from '../terminal/printable.ts'

// What it costs to fulfill a transfer while the ledger is not busy: the 32 bytes have their price.
const usualFeeDrops = 350
// When to warn that the account will soon be unable to pay that.
const fewLetters = 100
// How often to look what the account has, and how long the ledger takes to answer, while there is business.
const msBetweenLooks = 5_000
// How often to tell of refusals of one kind, and how many of them to remember.
const msBetweenRefusals = 10_000
const rememberedRefusals = 1_000
// How long the end waits for what the ledger has not decided yet.
const maxMsToClose = 1_000

/** A shop's books: what it sells, takes and refuses, what that costs in fees, and what it can still afford. */
export class Books {
  readonly #plugin: PluginXrpEscrow
  readonly #cost: number
  // Drops that the account can still spend, as far as is known, and what fulfilling a transfer has cost last.
  #funds = 0
  #feeDrops = usualFeeDrops
  #roundTripMs = 0
  #lookedAt = 0
  #isLooking = false
  #warnedOf = Number.POSITIVE_INFINITY

  readonly #underWay = new Set<Promise<void>>()
  // Ids of the transfers that the shop has accepted and the ledger has not told of.
  readonly #accepted = new Set<string>()
  readonly #refused = new Set<string>()
  readonly #refusals = new Map<string, { since: number; untold: number }>()
  #sharesAccount = false
  readonly #whenBack: (() => void)[] = []
  #isClosed = false

  #sold = 0
  #earnedDrops = 0
  #paidFeeDrops: number | undefined = 0
  #undecided = 0
  #refusedCount = 0

  /** Opens the books: looks what the account has, and how far away its ledger is. */
  static async open(plugin: PluginXrpEscrow, cost: number): Promise<Books> {
    const books = new Books(plugin, cost)
    await Promise.all([books.#look(), books.#look(), books.#look()])
    return books
  }

  private constructor(plugin: PluginXrpEscrow, cost: number) {
    this.#plugin = plugin
    this.#cost = cost
    plugin.on('incoming_fulfill', transfer => this.#onFulfill(transfer))
    plugin.on('connect', () => {
      for (const tryAgain of this.#whenBack.splice(0)) tryAgain()
    })
  }

  /** Whether the account can pay for one more payment to be taken. */
  canPayFee(): boolean {
    if (Date.now() - this.#lookedAt >= msBetweenLooks) this.#look().catch(() => {})
    return this.#funds >= this.#feeDrops
  }

  /** How long it may take until the ledger has been told to take what was accepted so far. */
  collectMs(): number {
    const answerIsDueMs = this.#isLooking ? Date.now() - this.#lookedAt : 0
    return 2 * this.#underWay.size * Math.max(this.#roundTripMs, answerIsDueMs)
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
    this.#underWay.add(collecting)
    const forget = () => this.#underWay.delete(collecting)
    collecting.then(forget, forget)
    return collecting
  }

  /** Tells the terminal and the ledger plugin why a transfer is refused: of many alike, the terminal only a few times. */
  async refuse(transfer: LedgerTransfer, reason: RejectionMessage): Promise<void> {
    if (this.#isClosed) return
    const { code, name, message } = reason
    this.#refusedCount++
    this.#refused.add(transfer.id)
    forgetOldest(this.#refused)
    // The number at the end of a client's address is of no interest.
    const kind = `${code} ${code === 'F06' ? message.replace(/\.[^.]*$/, '') : transfer.from}`
    const told = this.#refusals.get(kind)
    if (code === 'F06' && this.#sharesAccount) {
      // Another shop's business.
    } else if (told && Date.now() - told.since < msBetweenRefusals) {
      told.untold++
    } else {
      const more = told?.untold ? ` (and ${told.untold} more like it)` : ''
      console.log(`    - Payment refused: ${code} ${name}. ${printable(message)}${more}`)
      this.#refusals.set(kind, { since: Date.now(), untold: 0 })
      forgetOldest(this.#refusals)
    }
    await this.#plugin
      .rejectIncomingTransfer(transfer.id, reason)
      .catch(err => console.log(`    - ${err.message}`))
  }

  /** Closes the books. @returns what it all came to, as far as the ledger has told. */
  async close(): Promise<string> {
    this.#isClosed = true
    for (const giveUp of this.#whenBack.splice(0)) giveUp()
    await Promise.race([Promise.allSettled(this.#underWay), delay(maxMsToClose)])
    const undecided = this.#undecided + this.#underWay.size
    const fees = this.#paidFeeDrops ?? 'an unknown number of'
    const rest = [
      this.#refusedCount && `${count(this.#refusedCount, 'payment')} refused`,
      undecided && `${count(undecided, 'payment')} undecided, on the way to the ledger when the shop ended`
    ].filter(Boolean)
    return [
      `${count(this.#sold, 'letter')} sold, ${count(this.#earnedDrops, 'drop')} earned, ${fees} drops of fees`,
      ...rest
    ].join('\n')
  }

  async #collect({ id, amount }: LedgerTransfer, fulfill: () => Promise<void>): Promise<void> {
    this.#accepted.add(id)
    this.#funds -= this.#feeDrops
    this.#warn()
    try {
      await this.#untilReached(fulfill)
      this.#funds += Number(amount)
      this.#earnedDrops += Number(amount)
    } catch (err) {
      if (isUnreachable(err)) this.#undecided++
      else this.#accepted.delete(id)
      throw err
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

  #onFulfill({ id, feeDrops }: LedgerTransfer & { feeDrops?: string }): void {
    if (this.#accepted.delete(id)) {
      if (feeDrops !== undefined) this.#feeDrops = Math.max(usualFeeDrops, Number(feeDrops))
      const isKnown = feeDrops !== undefined && this.#paidFeeDrops !== undefined
      this.#paidFeeDrops = isKnown ? (this.#paidFeeDrops ?? 0) + Number(feeDrops) : undefined
    } else if (this.#refused.has(id) && !this.#sharesAccount) {
      this.#sharesAccount = true
      console.log(
        '    - Another shop takes payments on this account too: they are counted from here on, not told'
      )
    }
  }

  async #look(): Promise<void> {
    this.#lookedAt = Date.now()
    this.#isLooking = true
    const began = performance.now()
    try {
      const balance = Number(await this.#plugin.getBalance())
      this.#roundTripMs = Math.max(performance.now() - began, 0.9 * this.#roundTripMs)
      this.#funds = balance - this.#underWay.size * this.#feeDrops
    } finally {
      this.#isLooking = false
    }
    if (this.#lettersLeft() >= 2 * fewLetters) this.#warnedOf = Number.POSITIVE_INFINITY
    this.#warn()
  }

  /** Each letter costs a fee and brings in its price. */
  #lettersLeft(): number {
    const spare = this.#funds - this.#feeDrops
    return spare < 0 ? 0 : 1 + Math.floor(spare / Math.max(1, this.#feeDrops - this.#cost))
  }

  #warn(): void {
    const left = this.#lettersLeft()
    if (left >= fewLetters || (this.#warnedOf < fewLetters && left > 0) || this.#warnedOf === 0) return
    this.#warnedOf = left
    const consequence = left
      ? `The account can pay the fees of ${count(left, 'more letter')}: fund it in time`
      : 'The account cannot pay the fee of one more payment: nothing is sold until it is funded'
    console.log(`    - ${consequence}`)
  }
}

function isUnreachable(err: unknown): boolean {
  return (err as Error).name === 'UnreachableError'
}

function forgetOldest(remembered: Set<string> | Map<string, unknown>): void {
  for (const oldest of remembered.keys()) {
    if (remembered.size <= rememberedRefusals) break
    remembered.delete(oldest)
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
