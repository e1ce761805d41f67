import { isUInt32, toObject } from './json.ts'
import type { ClosedLedger } from './known-ledgers.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { errorCode } from './server-socket.ts'
import type { Transfers } from './transfers.ts'

const objectsPerPage = 400
// Escrows that were made within so many ledgers are looked for together.
const ledgersAtOnce = 20
// What cannot be read is asked for again, ever less often.
const maxLedgersToWait = 256
const lookupsAtOnce = 20

/** An escrow that is open as of some ledger. */
interface OpenEscrow {
  /** of the transaction that made it, and where that is */
  hash: string
  ledgerIndex: number
  isOwn: boolean
}

/** What is done with the escrows that are found. */
interface Listener {
  /** gets ready for transactions that are about to be taken up */
  expect(transactions: ValidatedTransaction[]): Promise<void>
  /** takes up the transaction that made an escrow */
  takeUp(transaction: ValidatedTransaction): void
  onProgress(progress: { escrows: number; read: number }): void
}

/**
 * Finds the escrows from and to an account that are open on the ledger: at first, and whenever ledgers were missed.
 * Those of others may be any number: they are read in the background, after the account's own.
 */
export class Stock {
  readonly #connection: LedgerConnection
  readonly #address: string
  readonly #transfers: Transfers
  readonly #listener: Listener
  // How often everything had to be looked at, and up to which of these times it was.
  #generation = 0
  #taken = 0
  #isBusy = false
  // Those that the server could not tell of, and when to ask again.
  readonly #unread = new Map<string, OpenEscrow>()
  #askAgainIn = 0
  #patience = 1

  /** whether all escrows of earlier were known once */
  isKnown = false
  /** resolves when the account's own are */
  readonly ownKnown: Promise<void>
  #resolveOwn: () => void = () => {}

  constructor(connection: LedgerConnection, address: string, transfers: Transfers, listener: Listener) {
    this.#connection = connection
    this.#address = address
    this.#transfers = transfers
    this.#listener = listener
    this.ownKnown = new Promise(resolve => {
      this.#resolveOwn = resolve
    })
  }

  /** Something may have changed that nobody told of: everything has to be looked at again. */
  invalidate(): void {
    this.#generation++
    this.#transfers.beginTakingUp()
  }

  /**
   * Looks at what is open, if that is not known.
   *
   * @param ledger - one up to which everything was told
   */
  async onRead(ledger: ClosedLedger): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    try {
      if (this.#taken !== this.#generation) await this.#take(ledger)
      else if (ledger.index >= this.#askAgainIn) await this.#lookUpUnread(ledger)
      if (this.#taken === this.#generation && this.#unread.size === 0) this.#transfers.endTakingUp()
    } catch {
      // Without a connection, or without that ledger: the next one is as good.
    } finally {
      this.#isBusy = false
    }
  }

  async #take(ledger: ClosedLedger): Promise<void> {
    const generation = this.#generation
    const all = await this.#list(ledger.index)
    // Whatever is still open is among these.
    this.#unread.clear()
    const known = this.#transfers.compare(new Set(all.map(({ hash }) => hash)), ledger)
    const unknown = all.filter(({ hash }) => !known.has(hash)).sort((a, b) => a.ledgerIndex - b.ledgerIndex)
    const own = unknown.filter(({ isOwn }) => isOwn)
    const others = unknown.filter(({ isOwn }) => !isOwn)
    await this.#read(own, all.length, unknown.length)
    await this.#lookUpUnread(ledger)
    this.#resolveOwn()
    await this.#read(others, all.length, others.length)
    this.#patience = 1
    await this.#lookUpUnread(ledger)
    this.#taken = generation
    this.isKnown = true
  }

  /** The escrows that are open as of a ledger. */
  async #list(ledger_index: number): Promise<OpenEscrow[]> {
    const all: OpenEscrow[] = []
    let marker: unknown
    do {
      const page = await this.#connection.patiently({
        command: 'account_objects',
        account: this.#address,
        type: 'escrow',
        ledger_index,
        limit: objectsPerPage,
        marker
      })
      // A server that is behind takes the number for that of its open ledger, where nothing is certain yet.
      const isOfLedger = page.ledger_index === ledger_index && page.validated === true
      if (!isOfLedger || !Array.isArray(page.account_objects))
        throw new Error('The server answers what it was not asked')
      for (const object of page.account_objects) {
        // An escrow is never changed, so the last transaction that touched it is the one that made it.
        const { PreviousTxnID: hash, PreviousTxnLgrSeq: ledgerIndex, Account } = toObject(object) ?? {}
        if (typeof hash === 'string' && isUInt32(ledgerIndex))
          all.push({ hash, ledgerIndex, isOwn: Account === this.#address })
      }
      marker = page.marker
      this.#listener.onProgress({ escrows: all.length, read: 0 })
    } while (marker !== undefined)
    return all
  }

  /**
   * Finds the transactions that made escrows in the account's history: those of many at a time.
   *
   * @param escrows - the oldest first
   * @param all - how many there are in all, and how many of them have not been read, these included
   */
  async #read(escrows: OpenEscrow[], all: number, unread: number): Promise<void> {
    let left = unread
    while (escrows.length > 0) {
      const first = (escrows[0] as OpenEscrow).ledgerIndex
      const next = escrows.findIndex(({ ledgerIndex }) => ledgerIndex >= first + ledgersAtOnce)
      const some = escrows.splice(0, next < 0 ? escrows.length : next)
      const wanted = new Map(some.map(escrow => [escrow.hash, escrow]))
      const last = (some.at(-1) as OpenEscrow).ledgerIndex
      const generation = this.#generation
      try {
        for await (const { transactions } of this.#connection.history(first, last)) {
          const found = transactions.filter(({ hash }) => wanted.delete(hash))
          await this.#takeUp(found, generation)
          this.#listener.onProgress({ escrows: all, read: all - left + some.length - wanted.size })
          if (wanted.size === 0) break
        }
      } catch (err) {
        // What a server refuses to tell is asked for in another way, or later.
        if (errorCode(err) === undefined) throw err
      }
      left -= some.length
      for (const [hash, escrow] of wanted) this.#unread.set(hash, escrow)
      this.#listener.onProgress({ escrows: all, read: all - left })
    }
  }

  /** Asks for what was not in the history, one by one. */
  async #lookUpUnread({ index }: ClosedLedger): Promise<void> {
    for (const [hash, escrow] of [...this.#unread].slice(0, lookupsAtOnce)) {
      const generation = this.#generation
      const transaction = await this.#connection.lookUp(hash)
      // Whoever cannot be told of now comes last the next time.
      this.#unread.delete(hash)
      if (transaction) await this.#takeUp([transaction], generation)
      else this.#unread.set(hash, escrow)
    }
    if (this.#unread.size === 0) return
    this.#askAgainIn = index + this.#patience
    this.#patience = Math.min(2 * this.#patience, maxLedgersToWait)
  }

  /** @throws Error if ledgers were missed since these were asked for: somebody may have closed them in those */
  async #takeUp(transactions: ValidatedTransaction[], generation: number): Promise<void> {
    await this.#listener.expect(transactions)
    if (generation !== this.#generation) throw new Error('What is open has to be looked at again')
    for (const transaction of transactions) this.#listener.takeUp(transaction)
  }
}
