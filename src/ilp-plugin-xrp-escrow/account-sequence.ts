import { isUInt32, toObject } from './json.ts'
import type { LedgerConnection } from './ledger-connection.ts'

/** The numbers that an account's transactions bear: which it has used, and which is the next. */
export class AccountSequence {
  readonly #connection: LedgerConnection
  readonly #address: string
  // No lower one is free, as far as is known; undefined: ask the server.
  #firstFree: number | undefined
  // The lowest that the ledgers which were read leave free.
  #lowestFree = 0

  constructor(connection: LedgerConnection, address: string) {
    this.#connection = connection
    this.#address = address
  }

  /** The lowest that neither a ledger nor a transaction on its way has taken. */
  async next(isTaken: (sequence: number) => boolean): Promise<number> {
    this.#firstFree ??= await this.#ask('current')
    let sequence = Math.max(this.#firstFree, this.#lowestFree)
    while (isTaken(sequence)) sequence++
    this.#firstFree = sequence
    return sequence
  }

  /**
   * The lowest that the account has not used as of a validated ledger.
   *
   * @throws Error if the server answers for another ledger, or does not have it
   */
  async freeAsOf(ledgerIndex: number): Promise<number> {
    const free = await this.#ask(ledgerIndex)
    this.use(free - 1)
    return free
  }

  /** A ledger has it. */
  use(sequence: number): void {
    this.#lowestFree = Math.max(this.#lowestFree, sequence + 1)
  }

  /** What is known may be wrong: the server is asked again. */
  doubt(): void {
    this.#firstFree = undefined
  }

  /** The ledger is another one. */
  reset(): void {
    this.#firstFree = undefined
    this.#lowestFree = 0
  }

  async #ask(ledger_index: 'current' | number): Promise<number> {
    const request = { command: 'account_info', account: this.#address, ledger_index }
    const { account_data, ledger_index: answered, validated } = await this.#connection.request(request)
    const sequence = toObject(account_data)?.Sequence
    const isOfLedger = ledger_index === 'current' || (answered === ledger_index && validated === true)
    if (!isOfLedger || !isUInt32(sequence)) throw new Error('The server answers what it was not asked')
    return sequence
  }
}
