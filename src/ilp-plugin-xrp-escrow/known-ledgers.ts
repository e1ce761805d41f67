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
  #anchor: { index: number; hash: string } | undefined

  add({ index, closeTime }: ClosedLedger, hash: string): void {
    this.#byIndex.set(index, { hash, closeTime })
    const [oldest] = this.#byIndex.keys()
    if (this.#byIndex.size > remembered) this.#byIndex.delete(oldest as number)
  }

  clear(): void {
    this.#byIndex.clear()
    this.#anchor = undefined
  }

  /** Whether another ledger was seen in this one's place. */
  contradicts(index: number, hash: unknown): boolean {
    const known = this.#byIndex.get(index)
    return known !== undefined && known.hash !== hash
  }

  /** The time up to which everything is known when everything up to a ledger is. */
  closeTimeAt(index: number): number {
    const upTo = [...this.#byIndex].filter(([known]) => known <= index)
    return upTo.at(-1)?.[1].closeTime ?? 0
  }

  /**
   * Takes note of the server's oldest ledger too: a test ledger that was restarted is soon past that, and long not
   * yet where it was before.
   */
  async anchor(ask: Ask, completeLedgers: unknown): Promise<void> {
    const index = Number(/^\d+/.exec(String(completeLedgers))?.[0] ?? Number.NaN)
    const hash = Number.isNaN(index) ? undefined : await hashOf(ask, index).catch(() => undefined)
    this.#anchor = hash === undefined ? undefined : { index, hash }
  }

  /**
   * Asks a server whether it has the ledgers that were seen before.
   *
   * @param newest - the server's newest ledger
   * @returns only another hash is proof of another ledger: a server may be behind, or have no past
   */
  async judge(ask: Ask, newest: number): Promise<'same' | 'another' | 'unknown'> {
    const candidates = [...this.#byIndex].map(([index, { hash }]) => ({ index, hash }))
    if (this.#anchor) candidates.unshift(this.#anchor)
    const known = candidates.filter(({ index }) => index <= newest).at(-1)
    if (!known) return 'unknown'
    const hash = await hashOf(ask, known.index).catch(() => undefined)
    if (hash === undefined) return 'unknown'
    return hash === known.hash ? 'same' : 'another'
  }
}

async function hashOf(ask: Ask, ledger_index: number): Promise<string | undefined> {
  const { ledger_hash }: Json = await ask({ command: 'ledger', ledger_index })
  return typeof ledger_hash === 'string' ? ledger_hash : undefined
}
