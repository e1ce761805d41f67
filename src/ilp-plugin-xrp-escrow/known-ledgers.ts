import type { Json } from './json.ts'
import type { Ask } from './server-socket.ts'

/** A closed ledger. */
export interface ClosedLedger {
  index: number
  /** ledger time, seconds since 2000-01-01T00:00Z */
  closeTime: number
}

// How many of the newest ledgers to remember.
const remembered = 64

/** The ledgers that were seen, by which a ledger is told from another that has taken its place. */
export class KnownLedgers {
  readonly #byIndex = new Map<number, { hash: string; closeTime: number }>()
  #oldest: { index: number; hash: string } | undefined
  #newest: ClosedLedger = { index: 0, closeTime: 0 }

  get newest(): ClosedLedger {
    return this.#newest
  }

  add(ledger: ClosedLedger, hash: string): void {
    this.#newest = ledger
    this.#byIndex.set(ledger.index, { hash, closeTime: ledger.closeTime })
    const [first] = this.#byIndex.keys()
    if (this.#byIndex.size > remembered) this.#byIndex.delete(first as number)
  }

  clear(): void {
    this.#byIndex.clear()
    this.#oldest = undefined
    this.#newest = { index: 0, closeTime: 0 }
  }

  /** Whether another ledger was seen in this one's place. */
  contradicts(index: number, hash: unknown): boolean {
    const known = this.#byIndex.get(index)
    return known !== undefined && known.hash !== hash
  }

  /** A ledger, with the time up to which everything is known when everything up to it is. */
  upTo(index: number): ClosedLedger {
    const known = [...this.#byIndex].filter(([other]) => other <= index).at(-1)
    return { index, closeTime: known?.[1].closeTime ?? 0 }
  }

  /**
   * Takes note of the server's oldest ledger too: a test ledger that was restarted is soon past that, and long not
   * yet where it was before.
   */
  async addOldest(ask: Ask, completeLedgers: unknown): Promise<void> {
    const [first] = /^\d+/.exec(String(completeLedgers)) ?? []
    const index = Number(first)
    const hash = first === undefined ? undefined : await hashOf(ask, index)
    this.#oldest = hash === undefined ? undefined : { index, hash }
  }

  /**
   * Asks a server whether it has other ledgers than were seen before. Only another hash is proof of that: a server may
   * be behind, or have no past.
   *
   * @param newest - the server's newest ledger
   */
  async areOthers(ask: Ask, newest: number): Promise<boolean> {
    const seen = [...this.#byIndex].map(([index, { hash }]) => ({ index, hash }))
    const known = (this.#oldest ? [this.#oldest, ...seen] : seen)
      .filter(({ index }) => index <= newest)
      .at(-1)
    const hash = known && (await hashOf(ask, known.index))
    return hash !== undefined && hash !== known?.hash
  }
}

async function hashOf(ask: Ask, ledger_index: number): Promise<string | undefined> {
  const { ledger_hash } = await ask({ command: 'ledger', ledger_index }).catch((): Json => ({}))
  return typeof ledger_hash === 'string' ? ledger_hash : undefined
}
