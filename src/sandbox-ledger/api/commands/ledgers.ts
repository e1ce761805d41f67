import { indexOf, toHex } from '../../ledger/hashes.ts'
import type { ClosedLedger } from '../../ledger/history.ts'
import { RIPPLE_EPOCH } from '../../ledger/ledger.ts'
import { serialize } from '../../ledger/serialize.ts'
import { type Command, findLedger, type Json, type Request, RpcError, readAddress, readFlag } from '../rpc.ts'
import { humanTime, isoTime, ledgerItem, pendingTransaction } from '../shapes.ts'

function headerJson({ header }: ClosedLedger, apiVersion: 1 | 2): Json {
  const index = apiVersion === 1 ? String(header.ledgerIndex) : header.ledgerIndex
  const total = String(header.totalDrops)
  return {
    account_hash: header.accountHash,
    close_flags: 0,
    close_time: header.closeTime,
    close_time_human: humanTime((header.closeTime + RIPPLE_EPOCH) * 1000, '000000000'),
    close_time_resolution: 10,
    closed: true,
    ledger_hash: header.hash,
    ledger_index: index,
    parent_close_time: header.parentCloseTime,
    parent_hash: header.parentHash,
    total_coins: total,
    transaction_hash: header.transactionHash,
    ...(apiVersion === 1
      ? { accepted: true, hash: header.hash, seqNum: index, totalCoins: total }
      : { close_time_iso: isoTime(header.closeTime) })
  }
}

function openHeaderJson({ ledger, apiVersion }: Request): Json {
  return {
    closed: false,
    ledger_index: apiVersion === 1 ? String(ledger.openIndex) : ledger.openIndex,
    parent_hash: ledger.closedHeader.hash
  }
}

function transactionList(request: Request, closed: ClosedLedger | undefined): unknown[] {
  const { ledger, apiVersion } = request
  const binary = readFlag(request, 'binary')
  const byHash = (a: { hash: string }, b: { hash: string }) => (a.hash < b.hash ? -1 : 1)
  if (closed) {
    const list = [...closed.transactions].sort(byHash)
    if (!readFlag(request, 'expand')) return list.map(({ hash }) => hash)
    return list.map(transaction => ledgerItem(transaction, { apiVersion, binary }))
  }
  const list = [...ledger.openTransactions.values()].sort(byHash)
  if (!readFlag(request, 'expand')) return list.map(({ hash }) => hash)
  return list.map(transaction => {
    if (binary) return { tx_blob: toHex(transaction.blob) }
    const { hash, ...tx_json } = pendingTransaction(transaction, apiVersion)
    return apiVersion === 1 ? { ...tx_json, hash } : { tx_json, hash, validated: false }
  })
}

export const ledger: Command = request => {
  const { params } = request
  const { ledger_index, ledger_hash } = params
  if (ledger_index === undefined && ledger_hash === undefined)
    return {
      closed: { ledger: headerJson(request.ledger.history.last, request.apiVersion) },
      open: { ledger: openHeaderJson(request) }
    }
  const { closed, fields } = findLedger(request)
  const header = closed ? headerJson(closed, request.apiVersion) : openHeaderJson(request)
  if (readFlag(request, 'transactions')) header.transactions = transactionList(request, closed)
  return { ledger: header, ...fields }
}

export const ledgerCurrent: Command = ({ ledger }) => ({ ledger_current_index: ledger.openIndex })

export const ledgerClosed: Command = ({ ledger }) => ({
  ledger_hash: ledger.closedHeader.hash,
  ledger_index: ledger.closedHeader.ledgerIndex
})

export const ledgerAccept: Command = ({ ledger }) => {
  ledger.close()
  return { ledger_current_index: ledger.openIndex }
}

/** The index of the entry that a `ledger_entry` asks for. */
function entryIndex(params: Json): string {
  const { index, account_root, escrow, directory } = params
  const named = index ?? (typeof escrow === 'string' ? escrow : undefined)
  if (named !== undefined) {
    if (typeof named !== 'string' || !/^[0-9A-Fa-f]{64}$/.test(named))
      throw new RpcError({ error: 'malformedRequest' })
    return named.toUpperCase()
  }
  if (account_root !== undefined) return indexOf.account(readAddress(params, 'account_root'))
  if (typeof escrow === 'object' && escrow !== null) {
    const { owner, seq } = escrow as Json
    if (typeof owner !== 'string' || typeof seq !== 'number' || !Number.isInteger(seq))
      throw new RpcError({ error: 'malformedRequest' })
    if (seq < 0 || seq > 0xffffffff) throw new RpcError({ error: 'malformedRequest' })
    return indexOf.escrow(readAddress(escrow as Json, 'owner'), seq)
  }
  if (typeof directory === 'object' && directory !== null) {
    const { sub_index: page = 0 } = directory as Json
    if (typeof page !== 'number' || !Number.isSafeInteger(page) || page < 0)
      throw new RpcError({ error: 'malformedRequest' })
    return indexOf.directoryPage(indexOf.ownerDirectory(readAddress(directory as Json, 'owner')), page)
  }
  throw new RpcError({ error: 'unknownOption' })
}

export const ledgerEntry: Command = request => {
  const { state, fields } = findLedger(request)
  const index = entryIndex(request.params)
  const entry = state.read(index)
  if (!entry) throw new RpcError({ error: 'entryNotFound', ...fields })
  const content = readFlag(request, 'binary')
    ? { node_binary: toHex(serialize(entry)) }
    : { node: { ...entry, index } }
  return { index, ...content, ...fields }
}
