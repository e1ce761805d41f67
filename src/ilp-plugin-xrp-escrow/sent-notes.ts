import type { Version } from './job.ts'
import { parseObject, toObject } from './json.ts'
import type { Store } from './types.ts'

/** What a program must not forget of a transfer that it has sent, or is about to send. */
export interface SentNote {
  /** see `termsOf` */
  terms: string
  /** all that may still be applied; none for a transfer that is on the ledger */
  versions: Version[]
  noteToSelf?: unknown
}

/** Notes of an account's outgoing transfers in the host's store, for the next run of the program. */
export class SentNotes {
  readonly #store: Store | undefined
  readonly #address: string

  constructor(store: Store | undefined, address: string) {
    this.#store = store
    this.#address = address
  }

  get isKept(): boolean {
    return this.#store !== undefined
  }

  async get(id: string): Promise<SentNote | undefined> {
    const text = await this.#store?.get(this.#key(id))
    const { terms, versions, noteToSelf } = (typeof text === 'string' && parseObject(text)) || {}
    if (typeof terms !== 'string' || !Array.isArray(versions)) return undefined
    return { terms, versions: versions.filter(isVersion), noteToSelf }
  }

  async put(id: string, note: SentNote): Promise<void> {
    await this.#store?.put(this.#key(id), JSON.stringify(note))
  }

  async del(id: string): Promise<void> {
    await this.#store?.del(this.#key(id))
  }

  #key(id: string): string {
    return `ilp-plugin-xrp-escrow:${this.#address}:${id}`
  }
}

function isVersion(value: unknown): value is Version {
  const { hash, blob, sequence, lastLedger } = toObject(value) ?? {}
  return (
    [hash, blob].every(text => typeof text === 'string') && [sequence, lastLedger].every(Number.isInteger)
  )
}
