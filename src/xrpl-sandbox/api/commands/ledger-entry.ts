import { indexOf, isAddress } from '../../ledger/hashes.ts'
import { zeroAccount } from '../../ledger/transactors/transactor.ts'
import { RpcError, rpcError } from '../errors.ts'
import { findState } from '../find-ledger.ts'
import { entryBlob, entryJson } from '../formatters.ts'
import { asFlag, asUint, isObject, parseHash } from '../params.ts'
import type { Command, Json } from '../rpc.ts'
import { absentTypes } from './entry-types.ts'

/** What `ledger_entry` says of what does not name an entry. */
const refusal = (error: string, error_message: string) =>
  new RpcError({ error, error_code: 31, error_message })

const expected = (error: string, field: string, type: string) =>
  refusal(error, `Invalid field '${field}', not ${type}.`)

function readHash(value: unknown, field: string, type = 'hex string or object', error = 'malformedRequest') {
  const hash = parseHash(value)
  if (!hash) throw expected(error, field, type)
  return hash
}

function readAccount(value: unknown, field: string, error = 'malformedAddress'): string {
  if (!isAddress(value) || value === zeroAccount) throw expected(error, field, 'AccountID')
  return value
}

/** The value of a field that must be there. */
function required(params: Json, field: string): unknown {
  if (params[field] === undefined || params[field] === null)
    throw refusal('malformedRequest', `Missing field '${field}'.`)
  return params[field]
}

function readSequence(params: Json, field: string, error: string): number {
  const value = required(params, field)
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : ''
  if (!/^\d{1,10}$/.test(text) || Number(text) >= 2 ** 32) throw expected(error, field, 'number')
  return Number(text)
}

function directoryPage(value: unknown, field: string): string {
  if (!isObject(value)) return readHash(value, field)
  const { sub_index = 0, dir_root, owner } = value
  if (typeof sub_index !== 'number' || sub_index < 0)
    throw expected('malformedRequest', 'sub_index', 'number')
  if ((dir_root === undefined) === (owner === undefined))
    throw refusal('malformedRequest', 'Must have exactly one of `owner` and `dir_root` fields.')
  const root =
    owner === undefined
      ? readHash(dir_root, 'dir_root', 'hash', 'malformedDirRoot')
      : indexOf.ownerDirectory(readAccount(owner, 'owner'))
  return indexOf.directoryPage(root, asUint(sub_index))
}

function escrow(value: unknown, field: string): string {
  if (!isObject(value)) return readHash(value, field)
  const owner = readAccount(required(value, 'owner'), 'owner', 'malformedOwner')
  return indexOf.escrow(owner, readSequence(value, 'seq', 'malformedSeq'))
}

function ticket(value: unknown, field: string): string {
  if (!isObject(value)) return readHash(value, field)
  const owner = readAccount(required(value, 'account'), 'account')
  return indexOf.ticket(owner, readSequence(value, 'ticket_seq', 'malformedRequest'))
}

/** An entry of which there is one: it is asked for with `true`. */
function single(index: string) {
  return (value: unknown, field: string) => {
    if (value === false) throw expected('invalidParams', field, 'true')
    return value === true ? index : readHash(value, field, 'hex string')
  }
}

const accountRoot = (value: unknown, field: string) => indexOf.account(readAccount(value, field))

interface Selector {
  /** Finds the index in the value of the selector, or throws a refusal. */
  read(value: unknown, field: string): string
  /** The type that the entry must have. */
  type?: string
}

/** What a request can name an entry by. Source: rippled 3.2.0, rpc/handlers/ledger/LedgerEntry.cpp. */
const selectors: Record<string, Selector> = {
  index: { read: (value, field) => readHash(value, field, 'hex string') },
  account: { read: accountRoot, type: 'AccountRoot' },
  account_root: { read: accountRoot, type: 'AccountRoot' },
  amendments: { read: single(indexOf.amendments), type: 'Amendments' },
  directory: { read: directoryPage, type: 'DirectoryNode' },
  escrow: { read: escrow, type: 'Escrow' },
  fee: { read: single(indexOf.feeSettings), type: 'FeeSettings' },
  ticket: { read: ticket, type: 'Ticket' }
}

export const ledgerEntry: Command = request => {
  const { params, apiVersion } = request
  const named = [...Object.keys(selectors), ...absentTypes].filter(name => params[name] !== undefined)
  if (named.length > 1) throw rpcError('invalidParams', 'Too many fields provided.')
  const { state, fields } = findState(request)
  const [name] = named
  if (!name && apiVersion === 1) throw new RpcError({ error: 'unknownOption', ...fields })
  if (!name) throw rpcError('invalidParams', 'No ledger_entry params provided.')
  const { read, type } = selectors[name] ?? {}
  const index = read?.(params[name], name) ?? parseHash(params[name])
  const entry = index && read ? state.read(index) : undefined
  if (!index || !entry) throw rpcError('entryNotFound', undefined, { index, ...fields })
  if (type && entry.LedgerEntryType !== type)
    throw rpcError('unexpectedLedgerType', undefined, { index, ...fields })
  const content = asFlag(params.binary)
    ? { node_binary: entryBlob(state, index) }
    : { node: entryJson(state, index) }
  return { index, ...content, ...fields }
}
