import { NotAcceptedError } from './errors.ts'
import { toObject } from './json.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { Ask } from './server-socket.ts'

// What a fulfillment costs, in multiples of the simplest transaction's cost: 33, and one for every 16 of its 36 bytes
// (xrpl.org: Transaction Cost).
export const finishFeeUnits = 33 + Math.floor(36 / 16)
// A little on top of what the network asks for, since others pay that too.
const margin = 1.1
const leastRaise = 1.5

/** What transactions cost just now: more than at rest while a network is busy. */
export class NetworkFees {
  readonly #connection: LedgerConnection
  readonly #maxDrops: number
  #factor = 1
  #raising: Promise<void> | undefined
  #finishing: { ledger: number; drops: Promise<number> } | undefined

  /** @param maxDrops - the most that one transaction may cost */
  constructor(connection: LedgerConnection, maxDrops: number) {
    this.#connection = connection
    this.#maxDrops = maxDrops
  }

  /** how much dearer than at rest the network is held to be */
  get factor(): number {
    return this.#factor
  }

  get isRaising(): boolean {
    return this.#raising !== undefined
  }

  /** @param units - multiples of the simplest transaction's cost */
  drops(units = 1): number {
    return this.#drops(units, this.#factor)
  }

  /** Says that something is too dear just now; undefined if it is not. */
  tooDear(what: string, drops: number): string | undefined {
    const isTooDear = drops > this.#maxDrops
    return isTooDear
      ? `${what} ${drops} drops just now, more than maxFeeDrops allows (${this.#maxDrops})`
      : undefined
  }

  /**
   * What a fulfillment would cost just now, in drops: asked once per ledger.
   *
   * @throws NotAcceptedError if that is more than the options allow
   */
  async ofFulfillment(): Promise<number> {
    const { index } = this.#connection.validated
    if (this.#finishing?.ledger !== index) {
      const asked = this.#ask(request => this.#connection.patiently(request))
      this.#finishing = { ledger: index, drops: asked.then(factor => this.#drops(finishFeeUnits, factor)) }
    }
    const drops = await this.#finishing.drops
    const problem = this.tooDear('A fulfillment costs', drops)
    if (problem) throw Object.assign(new NotAcceptedError(problem), { code: 'NETWORK_BUSY' })
    return drops
  }

  /** Another ledger is another chance. */
  onLedger(): void {
    this.#factor = 1
  }

  /** A transaction was refused that paid so many times the cost at rest: asks the network what it wants. */
  async raiseAbove(factor: number): Promise<void> {
    if (factor < this.#factor) return
    this.#raising ??= this.#raise().finally(() => {
      this.#raising = undefined
    })
    await this.#raising
  }

  async #raise(): Promise<void> {
    const asked = await this.#ask(request => this.#connection.request(request)).catch(() => 1)
    this.#factor = Math.max(asked * margin, this.#factor * leastRaise)
  }

  /** How many times the cost at rest the network asks for. */
  async #ask(ask: Ask): Promise<number> {
    const { drops } = await ask({ command: 'fee' })
    const { open_ledger_fee, base_fee } = toObject(drops) ?? {}
    return Math.max(1, Number(open_ledger_fee) / Number(base_fee)) || 1
  }

  #drops(units: number, factor: number): number {
    return Math.ceil(this.#connection.baseFee * units * factor)
  }
}
