import { directoryEntries } from '../../ledger/directory.ts'
import { indexOf } from '../../ledger/hashes.ts'
import { type LedgerEntry, readAccount } from '../../ledger/state.ts'
import {
  type Command,
  findLedger,
  type Json,
  type Request,
  readAddress,
  readFlag,
  readLimit,
  rpcError
} from '../rpc.ts'
import { accountTxItem } from '../shapes.ts'

function notFound(account: string, fields: Json) {
  return rpcError('actNotFound', undefined, { account, ...fields })
}

export const accountInfo: Command = request => {
  const { params } = request
  const name = params.account === undefined && params.ident !== undefined ? 'ident' : 'account'
  const account = readAddress(params, name)
  const { state, fields, closed } = findLedger(request)
  const index = indexOf.account(account)
  const root = readAccount(state, index)
  if (!root) throw notFound(account, fields)
  const account_data: Json = { ...root, index }
  if (readFlag(request, 'signer_lists')) account_data.signer_lists = []
  if (readFlag(request, 'queue')) {
    if (closed) throw rpcError('invalidParams')
    return { account_data, queue_data: { txn_count: 0 }, ...fields }
  }
  return { account_data, ...fields }
}

/** Object types that can be asked for; an account here owns no other than escrows. */
const objectTypes = new Set(
  `account amendments amm bridge check credential delegate deposit_preauth did directory escrow fee hashes
  mpt_issuance mptoken nft_offer nft_page offer oracle payment_channel permissioned_domain signer_list state
  ticket vault`.split(/\s+/)
)

export const accountObjects: Command = request => {
  const { params } = request
  const account = readAddress(params, 'account')
  const { state, fields } = findLedger(request)
  if (!readAccount(state, indexOf.account(account))) throw notFound(account, fields)
  const { type, marker } = params
  if (type !== undefined && (typeof type !== 'string' || !objectTypes.has(type)))
    throw rpcError('invalidParams', "Invalid field 'type'.")
  const limit = readLimit(params, { standard: 200, max: 400 })
  const account_objects: Json[] = []
  const wanted = type === undefined || type === 'escrow'

  // A marker is the page of the directory and the entry in it to go on with.
  const [, page, first] =
    (typeof marker === 'string' && /^([0-9A-F]{1,10}),([0-9A-F]{64})$/.exec(marker)) || []
  if (marker !== undefined && !first) throw rpcError('invalidParams', "Invalid field 'marker'.")
  let waiting = first
  for (const { page: at, entry } of directoryEntries(state, account, Number.parseInt(page ?? '0', 16))) {
    if (waiting && waiting !== entry) continue
    waiting = undefined
    if (account_objects.length === limit) {
      const next = `${at.toString(16).toUpperCase()},${entry}`
      return { account, account_objects, limit, marker: next, ...fields }
    }
    if (wanted) account_objects.push({ ...(state.read(entry) as LedgerEntry), index: entry })
  }
  if (waiting) throw rpcError('invalidParams', "Invalid field 'marker'.")
  return { account, account_objects, ...fields }
}

/** A list of what an account has, where no account can have any. */
function emptyList(name: string): Command {
  return request => {
    const account = readAddress(request.params, 'account')
    const { state, fields } = findLedger(request)
    if (!readAccount(state, indexOf.account(account))) throw notFound(account, fields)
    return { account, [name]: [], ...fields }
  }
}

export const accountLines = emptyList('lines')
export const accountOffers = emptyList('offers')

/** A bound of the ledgers to search: -1 or nothing means as far as there are any. */
function bound(params: Json, name: string, whole: number): number {
  const value = params[name]
  if (value === undefined || value === -1) return whole
  if (typeof value !== 'number' || !Number.isInteger(value)) throw rpcError('invalidParams')
  return value
}

function ledgerRange(request: Request): { min: number; max: number } {
  const { params, ledger } = request
  if (params.ledger_index !== undefined || params.ledger_hash !== undefined) {
    const { closed } = findLedger(request)
    if (!closed) throw rpcError('lgrNotFound')
    return { min: closed.header.ledgerIndex, max: closed.header.ledgerIndex }
  }
  const first = ledger.history.first.header.ledgerIndex
  const last = ledger.closedHeader.ledgerIndex
  const min = bound(params, 'ledger_index_min', first)
  const max = bound(params, 'ledger_index_max', last)
  if (min > max) throw rpcError(request.apiVersion === 1 ? 'lgrIdxsInvalid' : 'invalidLgrRange')
  return { min: Math.max(min, first), max: Math.min(max, last) }
}

export const accountTx: Command = request => {
  const { params, ledger, apiVersion } = request
  const account = readAddress(params, 'account')
  const { min, max } = ledgerRange(request)
  const limit = readLimit(params, { standard: 200, max: 1000 })
  const marker = params.marker as Json | undefined
  const isMarker = (value: unknown) => typeof value === 'number' && Number.isInteger(value)
  if (marker !== undefined && !(isMarker(marker?.ledger) && isMarker(marker?.seq)))
    throw rpcError(
      'invalidParams',
      'invalid marker. Provide ledger index via ledger field, and transaction sequence number via seq field'
    )
  const { transactions, next } = ledger.history.accountTransactions(account, {
    min,
    max,
    limit,
    forward: readFlag(request, 'forward'),
    from: marker && { ledgerIndex: Number(marker.ledger), position: Number(marker.seq) }
  })
  const binary = readFlag(request, 'binary')
  return {
    account,
    ledger_index_min: min,
    ledger_index_max: max,
    limit,
    ...(next && { marker: { ledger: next.ledgerIndex, seq: next.position } }),
    transactions: transactions.map(transaction => accountTxItem(transaction, { apiVersion, binary })),
    validated: true
  }
}
