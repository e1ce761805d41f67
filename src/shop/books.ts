import { setTimeout as delay } from 'node:timers/promises'
import type { LedgerTransfer, PluginXrpEscrow, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { printable } from '../terminal/printable.ts'

// What it costs to fulfill a transfer while the ledger is not busy: the 32 bytes have their price.
const usualFeeDrops = 350
// When to warn that the account will soon be unable to pay that.
const fewLetters = 100
// How often to look what the account has, and how long the ledger takes to answer, while there is business.
const msBetweenLooks = 5_000
// Refusals are told once for each kind, and of so many kinds, in so many milliseconds; the others are counted.
const refusalsToldMs = 10_000
const refusalsTold = 20
const rememberedRefusals = 1_000
// From how many open payments on it takes a while to read them all.
const manyPayments = 400
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
  readonly #told = new Set<string>()
  #toldSince = 0
  #untold = 0
  #sharesAccount = false
  // Whether the ledger plugin still finds open payments of earlier, and how many it has found.
  #isReading = false
  #earlier = 0
  readonly #whenBack: (() => void)[] = []
  #isClosed = false

  #sold = 0
  #earnedDrops = 0
  #paidFeeDrops: number | undefined = 0
  #undecided = 0
  #refusedCount = 0
  #forOthers = 0

  /** @param plugin - not connected yet, so that nothing goes unseen */
  constructor(plugin: PluginXrpEscrow, cost: number) {
    this.#plugin = plugin
    this.#cost = cost
    plugin.on('incoming_prepare', () => {
      if (this.#isReading) this.#earlier++
    })
    plugin.on('incoming_fulfill', transfer => this.#onFulfill(transfer))
    plugin.on('reading', progress => this.#onReading(progress))
    plugin.on('connect', () => {
      for (const tryAgain of this.#whenBack.splice(0)) tryAgain()
    })
  }

  /** Opens the books: looks what the account has, and how far away its ledger is. */
  async open(): Promise<void> {
    await Promise.all([this.#look(), this.#look(), this.#look()])
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

  /** Tells the terminal and the ledger plugin why a transfer is refused; the terminal only of some that are alike. */
  async refuse(transfer: LedgerTransfer, reason: RejectionMessage): Promise<void> {
    if (this.#isClosed) return
    this.#refused.add(transfer.id)
    for (const oldest of this.#refused) {
      if (this.#refused.size <= rememberedRefusals) break
      this.#refused.delete(oldest)
    }
    if (reason.code === 'F06' && this.#sharesAccount) this.#forOthers++
    else if (!this.#isReading) this.#tellOfRefusal(transfer, reason)
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
      this.#forOthers && `${count(this.#forOthers, 'payment')} for another shop on this account`,
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

  #tellOfRefusal({ from }: LedgerTransfer, { code, name, message }: RejectionMessage): void {
    this.#refusedCount++
    if (Date.now() - this.#toldSince >= refusalsToldMs) {
      if (this.#untold > 0) console.log(`    - ${count(this.#untold, 'more payment')} refused`)
      this.#untold = 0
      this.#told.clear()
      this.#toldSince = Date.now()
    }
    // Of a client's address the number at its end is of no interest.
    const kind = `${code} ${code === 'F06' ? message.replace(/\.[^.]*$/, '') : from}`
    if (this.#told.has(kind) || this.#told.size >= refusalsTold) {
      this.#untold++
    } else {
      this.#told.add(kind)
      console.log(`    - Payment refused: ${code} ${name}. ${printable(message)}`)
    }
  }

  #onReading({ escrows, read }: { escrows: number; read: number }): void {
    if (!this.#isReading && read < escrows && escrows >= manyPayments)
      console.log(`    - Reading ${escrows} open payments of earlier: the shop sells meanwhile`)
    this.#isReading = read < escrows
    if (this.#isReading || this.#earlier === 0) return
    console.log(
      `    - Found ${count(this.#earlier, 'payment')} of an earlier run, to go back when they expire`
    )
    this.#earlier = 0
  }

  #onFulfill({ id, feeDrops }: LedgerTransfer): void {
    if (this.#accepted.delete(id)) {
      if (feeDrops !== undefined) this.#feeDrops = Math.max(usualFeeDrops, Number(feeDrops))
      const isKnown = feeDrops !== undefined && this.#paidFeeDrops !== undefined
      this.#paidFeeDrops = isKnown ? (this.#paidFeeDrops ?? 0) + Number(feeDrops) : undefined
    } else if (this.#refused.has(id) && feeDrops !== undefined && !this.#sharesAccount) {
      // It was this account that paid for it: a stranger can fulfill what he has sent himself.
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

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
