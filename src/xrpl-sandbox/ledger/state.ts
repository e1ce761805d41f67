import { indexOf, zeroHash } from './hashes.ts'

/** What an account says of itself. */
export interface AccountSettings {
  RegularKey?: string | undefined
  EmailHash?: string | undefined
  WalletLocator?: string | undefined
  MessageKey?: string | undefined
  Domain?: string | undefined
  TransferRate?: number | undefined
  TickSize?: number | undefined
  NFTokenMinter?: string | undefined
}

/** What an escrow is about; times are seconds since 2000-01-01T00:00Z, like every time on the ledger. */
export interface EscrowTerms {
  Condition?: string | undefined
  CancelAfter?: number | undefined
  FinishAfter?: number | undefined
  SourceTag?: number | undefined
  DestinationTag?: number | undefined
}

/** What entries have that transactions change. */
interface Threaded {
  Flags: number
  /** The last transaction that changed the entry, and its ledger. */
  PreviousTxnID: string
  PreviousTxnLgrSeq: number
}

/** The entries of the ledger's state, in rippled's JSON. Entries are never changed in place, only replaced. */
export interface AccountRoot extends Threaded, AccountSettings {
  LedgerEntryType: 'AccountRoot'
  Account: string
  /** Drops. */
  Balance: string
  OwnerCount: number
  Sequence: number
  TicketCount?: number | undefined
  /** The account's last transaction, if it wants that to be kept. */
  AccountTxnID?: string | undefined
}

export interface Escrow extends Threaded, EscrowTerms {
  LedgerEntryType: 'Escrow'
  Account: string
  Destination: string
  /** Drops. */
  Amount: string
  OwnerNode: string
  DestinationNode?: string
  /** Of the transaction that made it; its ticket, if it used one. */
  Sequence: number
}

/** A sequence set aside for a transaction out of order. */
export interface Ticket extends Threaded {
  LedgerEntryType: 'Ticket'
  Account: string
  OwnerNode: string
  TicketSequence: number
}

/** A page of the list of what an account owns or can receive. */
export interface DirectoryNode extends Threaded {
  LedgerEntryType: 'DirectoryNode'
  Owner: string
  RootIndex: string
  Indexes: string[]
  IndexNext?: string
  IndexPrevious?: string
}

export interface Amendments {
  LedgerEntryType: 'Amendments'
  Flags: number
  /** Ids (hex). */
  Amendments: string[]
}

/** Amounts in drops. */
export interface FeeSettings {
  LedgerEntryType: 'FeeSettings'
  Flags: number
  BaseFeeDrops: string
  ReserveBaseDrops: string
  ReserveIncrementDrops: string
}

export type LedgerEntry = AccountRoot | Escrow | Ticket | DirectoryNode | Amendments | FeeSettings

export interface State {
  /** The entry at an index (64 upper-case hex digits), if there is one. */
  read(index: string): LedgerEntry | undefined
  /** Where there are entries, in order. */
  indexes(): string[]
}

/** What an index held before a change, and what it holds after it. */
export interface Change {
  before: LedgerEntry | undefined
  after: LedgerEntry | undefined
}

/** A layer of changes over a state: reads fall through, writes stay here until they are committed. */
export class View implements State {
  readonly #parent: State
  readonly #written = new Map<string, LedgerEntry | undefined>()

  constructor(parent: State) {
    this.#parent = parent
  }

  read(index: string): LedgerEntry | undefined {
    return this.#written.has(index) ? this.#written.get(index) : this.#parent.read(index)
  }

  indexes(): string[] {
    const all = new Set([...this.#parent.indexes(), ...this.#written.keys()])
    return [...all].filter(index => this.read(index)).sort()
  }

  write(index: string, entry: LedgerEntry) {
    this.#written.set(index, entry)
  }

  erase(index: string) {
    this.#written.set(index, undefined)
  }

  /** What this layer changes, by index. */
  *changes(): Generator<[string, Change]> {
    for (const [index, after] of this.#written) {
      const before = this.#parent.read(index)
      if (before !== after) yield [index, { before, after }]
    }
  }

  /** Moves the changes into a layer below. */
  commitTo(target: View) {
    for (const [index, entry] of this.#written) target.#written.set(index, entry)
  }
}

/** What entries begin with; metadata then says which transaction has touched them last. */
export const untouched = { Flags: 0, PreviousTxnID: zeroHash, PreviousTxnLgrSeq: 0 }

export const newAccount = (Account: string, Balance: string, Sequence: number): AccountRoot => ({
  LedgerEntryType: 'AccountRoot',
  Account,
  Balance,
  OwnerCount: 0,
  Sequence,
  ...untouched
})

/** The entry at an index, if there is one of this type. */
export function readEntry<Type extends LedgerEntry['LedgerEntryType']>(
  state: State,
  type: Type,
  index: string
): Extract<LedgerEntry, { LedgerEntryType: Type }> | undefined {
  const entry = state.read(index)
  return entry?.LedgerEntryType === type ? (entry as never) : undefined
}

export const accountOf = (state: State, address: string) =>
  readEntry(state, 'AccountRoot', indexOf.account(address))
