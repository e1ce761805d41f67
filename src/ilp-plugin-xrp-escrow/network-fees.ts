import { toObject } from './json.ts'
import type { LedgerConnection } from './ledger-connection.ts'

// A little on top of what the network asks for, since others pay that too.
const margin = 1.1
const leastRaise = 1.5

/** What transactions cost just now: more than at rest while a network is busy. */
export class NetworkFees {
  readonly #connection: LedgerConnection
  #factor = 1
  #raising: Promise<void> | undefined

  constructor(connection: LedgerConnection) {
    this.#connection = connection
  }

  /** how much dearer than at rest the network is held to be */
  get factor(): number {
    return this.#factor
  }

  get isRaising(): boolean {
    return this.#raising !== undefined
  }

  /** @param units - multiples of the simplest transaction's cost */
  drops(units: number): number {
    return Math.ceil(this.#connection.baseFee * units * this.#factor)
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
    const { drops } = await this.#connection.request({ command: 'fee' }).catch(() => ({ drops: undefined }))
    const { open_ledger_fee, base_fee } = toObject(drops) ?? {}
    const asked = Number(open_ledger_fee) / Number(base_fee)
    this.#factor = Math.max(asked > 0 ? asked * margin : 0, this.#factor * leastRaise)
  }
}
