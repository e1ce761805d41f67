import { accountFlags } from '../../ledger/definitions.ts'
import { directoryEntries } from '../../ledger/directory.ts'
import { indexOf } from '../../ledger/hashes.ts'
import { accountOf, type LedgerEntry } from '../../ledger/state.ts'
import { hasFlag } from '../../ledger/transactors/transactor.ts'
import { expectedField, invalidField, rpcError } from '../errors.ts'
import { findState } from '../find-ledger.ts'
import { entryJson } from '../formatters.ts'
import { asFlag, parseAddress, parseHash, readAccountText, readLimit } from '../params.ts'
import type { Command, Json } from '../rpc.ts'
import { readEntryType } from './entry-types.ts'

/** Which flags account_info names otherwise than AccountRoot does. Source: rippled 3.2.0, AccountInfo.cpp. */
const renamed: Record<string, string> = {
  RequireDestTag: 'requireDestinationTag',
  RequireAuth: 'requireAuthorization',
  DisallowXRP: 'disallowIncomingXRP',
  DisableMaster: 'disableMasterKey'
}
const flagNames = Object.entries(accountFlags).map(([lsfName, flag]) => {
  const name = lsfName.slice('lsf'.length)
  return { name: renamed[name] ?? name.charAt(0).toLowerCase() + name.slice(1), flag }
})

const accountInfo: Command = request => {
  const { params, apiVersion } = request
  const text = readAccountText(params, 'account', 'ident')
  const { state, fields, closed } = findState(request)
  const account = parseAddress(text, fields)
  const index = indexOf.account(account)
  const root = accountOf(state, account)
  if (!root) throw rpcError('actNotFound', undefined, { account, ...fields })
  const queue = asFlag(params.queue)
  if (queue && closed) throw rpcError('invalidParams', undefined, fields)
  const account_data: Json = entryJson(state, index)
  const { EmailHash } = root
  if (EmailHash) account_data.urlgravatar = `https://www.gravatar.com/avatar/${EmailHash.toLowerCase()}`
  const account_flags: Json = {}
  for (const { name, flag } of flagNames) account_flags[name] = hasFlag(root, flag)
  const answer: Json = { account_data, account_flags, ...fields }
  const { signer_lists } = params
  if (apiVersion > 1 && signer_lists !== undefined && typeof signer_lists !== 'boolean')
    throw rpcError('invalidParams', undefined, answer)
  if (asFlag(signer_lists)) (apiVersion === 1 ? account_data : answer).signer_lists = []
  if (queue) {
    const queued = request.ledger.queued.filter(({ fields }) => fields.Account === account)
    answer.queue_data = { txn_count: queued.length }
  }
  return answer
}

/** Types that no account can own. */
const ownerlessTypes = ['Amendments', 'DirectoryNode', 'FeeSettings']

/** Which entries to list. */
function readFilter(params: Json): (entry: LedgerEntry) => boolean {
  if (asFlag(params.deletion_blockers_only)) {
    const { type = 'escrow' } = params
    return ({ LedgerEntryType }) => type === 'escrow' && LedgerEntryType === 'Escrow'
  }
  const type = readEntryType(params)
  if (type && ownerlessTypes.includes(type)) throw invalidField('type')
  return ({ LedgerEntryType }) => type === undefined || LedgerEntryType === type
}

/** Reads a marker: the page of the directory, and the entry in it, to go on with. */
function readMarker({ marker }: Json): { page?: string; first?: string } {
  if (marker === undefined) return {}
  if (typeof marker !== 'string') throw expectedField('marker', 'string')
  const comma = marker.indexOf(',')
  const [page, first] = [parseHash(marker.slice(0, comma)), parseHash(marker.slice(comma + 1))]
  if (comma < 0 || !page || !first) throw invalidField('marker')
  return /[1-9A-F]/.test(page) ? { page, first } : {}
}

const accountObjects: Command = request => {
  const { params } = request
  const text = readAccountText(params, 'account')
  const { state, fields } = findState(request)
  const account = parseAddress(text, fields)
  if (!accountOf(state, account)) throw rpcError('actNotFound')
  const isWanted = readFilter(params)
  const limit = readLimit(params, 200)
  const { page, first } = readMarker(params)
  const account_objects: Json[] = []
  let hasBegun = first === undefined
  let count = 0
  for (const { page: at, entry } of directoryEntries(state, account, page)) {
    hasBegun ||= entry === first
    if (!hasBegun) continue
    if (count++ === limit) return { account, account_objects, limit, marker: `${at},${entry}`, ...fields }
    if (isWanted(state.read(entry) as LedgerEntry)) account_objects.push(entryJson(state, entry))
  }
  if (!hasBegun) throw invalidField('marker')
  return { account, account_objects, ...fields }
}

/** Commands that list what an account never has here, and the names of their lists. */
const lists: Record<string, string[]> = {
  account_channels: ['channels'],
  account_currencies: ['receive_currencies', 'send_currencies'],
  account_lines: ['lines'],
  account_nfts: ['account_nfts'],
  account_offers: ['offers']
}

function emptyLists(names: string[]): Command {
  return request => {
    const { params } = request
    const text = readAccountText(params, 'account')
    const { state, fields } = findState(request)
    const account = parseAddress(text, fields)
    if (!accountOf(state, account)) throw rpcError('actNotFound')
    const isPaged = names.length === 1
    if (isPaged) readLimit(params, 200)
    if (isPaged && params.marker !== undefined) throw invalidField('marker')
    return { ...(isPaged && { account }), ...Object.fromEntries(names.map(name => [name, []])), ...fields }
  }
}

export const accountCommands: Record<string, Command> = {
  account_info: accountInfo,
  account_objects: accountObjects,
  ...Object.fromEntries(Object.entries(lists).map(([command, names]) => [command, emptyLists(names)]))
}
