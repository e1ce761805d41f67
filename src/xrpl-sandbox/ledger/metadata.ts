import { indexOf } from './hashes.ts'
import type { AccountRoot, Change, LedgerEntry, View } from './state.ts'

interface AffectedNode {
  LedgerEntryType: string
  LedgerIndex: string
  PreviousTxnID?: string
  PreviousTxnLgrSeq?: number
  NewFields?: Record<string, unknown>
  FinalFields?: Record<string, unknown>
  PreviousFields?: Record<string, unknown>
}

export interface Metadata {
  AffectedNodes: { CreatedNode?: AffectedNode; ModifiedNode?: AffectedNode; DeletedNode?: AffectedNode }[]
  TransactionIndex: number
  TransactionResult: string
  /** Drops; of successful payments. Not part of the serialized metadata. */
  delivered_amount?: string
}

/** Where in the ledger's history the changes stand. */
export interface Place {
  hash: string
  ledgerIndex: number
}

/** Fields that metadata leaves out, besides those that it shows in a place of their own. */
const hidden = new Set(['LedgerEntryType', 'Indexes'])
const threading = new Set(['PreviousTxnID', 'PreviousTxnLgrSeq'])

type Pick = (name: string, value: unknown) => boolean

function pick(entry: LedgerEntry, wanted: Pick): Record<string, unknown> {
  const fields = entry as unknown as Record<string, unknown>
  const picked: Record<string, unknown> = {}
  for (const name in fields) {
    const value = fields[name]
    if (value !== undefined && !hidden.has(name) && wanted(name, value)) picked[name] = value
  }
  return picked
}

const isDefault = (value: unknown) => value === 0 || value === '0' || value === ''

/** The accounts on whose root a creation or deletion leaves its trace. */
function owners(entry: LedgerEntry): string[] {
  if (entry.LedgerEntryType === 'Ticket') return [entry.Account]
  return entry.LedgerEntryType === 'Escrow' ? [entry.Account, entry.Destination] : []
}

/**
 * Threads the transaction: every account root that it changed, and those of the owners of what it created or
 * deleted, now name this transaction as the last one, and the metadata names the one before it.
 */
function thread(view: View, { hash: PreviousTxnID, ledgerIndex: PreviousTxnLgrSeq }: Place) {
  const threaded = new Set<string>()
  for (const [index, { before, after }] of view.changes()) {
    if (after) threaded.add(index)
    if (!before || !after) {
      for (const owner of owners((before ?? after) as LedgerEntry)) threaded.add(indexOf.account(owner))
    }
  }
  for (const index of threaded) {
    const entry = view.read(index)
    if (entry) view.write(index, { ...(entry as AccountRoot), PreviousTxnID, PreviousTxnLgrSeq })
  }
}

function affectedNode(index: string, { before, after }: Change): Metadata['AffectedNodes'][number] {
  const node = { LedgerEntryType: ((after ?? before) as LedgerEntry).LedgerEntryType, LedgerIndex: index }
  if (!before) {
    const wanted: Pick = (name, value) => !threading.has(name) && !isDefault(value)
    return { CreatedNode: { ...node, NewFields: pick(after as LedgerEntry, wanted) } }
  }
  if (!after) return { DeletedNode: { ...node, FinalFields: pick(before, () => true) } }
  const { PreviousTxnID, PreviousTxnLgrSeq } = before as AccountRoot
  const previous = PreviousTxnLgrSeq > 0 && { PreviousTxnID, PreviousTxnLgrSeq }
  const old = before as unknown as Record<string, unknown>
  const now = after as unknown as Record<string, unknown>
  const changed = Object.keys(pick(before, name => !threading.has(name) && old[name] !== now[name]))
  const appeared = Object.keys(now).some(name => now[name] !== undefined && old[name] === undefined)
  if (changed.length === 0 && after.LedgerEntryType === 'AccountRoot') {
    return { ModifiedNode: { ...node, ...previous } } // only threaded
  }
  return {
    ModifiedNode: {
      ...node,
      ...previous,
      FinalFields: pick(after, name => !threading.has(name)),
      // What was not there before is told by an object without it.
      ...((changed.length > 0 || appeared) && {
        PreviousFields: pick(before, name => changed.includes(name))
      })
    }
  }
}

/**
 * What a transaction did, as rippled tells it, from the layer of its changes. Threads the transaction in that
 * layer as well. Source: rippled, ledger/detail/ApplyStateTable.cpp; xrpl.org "Transaction Metadata".
 */
export function buildMetadata(
  view: View,
  place: Place,
  outcome: { TransactionIndex: number; TransactionResult: string }
): Metadata {
  thread(view, place)
  const AffectedNodes = [...view.changes()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([index, change]) => affectedNode(index, change))
  return { AffectedNodes, ...outcome }
}

/**
 * The accounts that a transaction affected: those whose subscribers hear of it and whose account_tx lists it.
 * Source: rippled, protocol/impl/TxMeta.cpp, getAffectedAccounts.
 */
export function affectedAccounts({ AffectedNodes }: Metadata): string[] {
  const found = new Set<string>()
  for (const { CreatedNode, ModifiedNode, DeletedNode } of AffectedNodes) {
    const fields = CreatedNode?.NewFields ?? (ModifiedNode ?? DeletedNode)?.FinalFields ?? {}
    for (const name of ['Account', 'Destination', 'Owner']) {
      if (typeof fields[name] === 'string') found.add(fields[name])
    }
  }
  return [...found]
}
