import { isValidClassicAddress } from 'ripple-address-codec'
import { indexOf } from '../../ledger/hashes.ts'
import type { LedgerEntry } from '../../ledger/state.ts'
import { ZERO_ACCOUNT } from '../../ledger/transactors/transactor.ts'
import {
  asFlag,
  asInt,
  asText,
  asUint,
  type Command,
  expectedField,
  type FoundLedger,
  findLedger,
  invalidField,
  type Json,
  parseHash,
  type Request,
  RpcError
} from '../rpc.ts'
import { entryBlob, entryJson, ledgerJson } from '../shapes.ts'
import { isCurrency, isObject } from './markets.ts'

/** The kinds of entries by the names they are asked for. Source: rippled 2.3.0, rpc/detail/RPCHelpers.cpp. */
export const entryTypes: Record<string, string> = {
  account: 'AccountRoot',
  amendments: 'Amendments',
  amm: 'AMM',
  bridge: 'Bridge',
  check: 'Check',
  credential: 'Credential',
  deposit_preauth: 'DepositPreauth',
  did: 'DID',
  directory: 'DirectoryNode',
  escrow: 'Escrow',
  fee: 'FeeSettings',
  hashes: 'LedgerHashes',
  mpt_issuance: 'MPTokenIssuance',
  mptoken: 'MPToken',
  nft_offer: 'NFTokenOffer',
  nft_page: 'NFTokenPage',
  nunl: 'NegativeUNL',
  offer: 'Offer',
  oracle: 'Oracle',
  payment_channel: 'PayChannel',
  signer_list: 'SignerList',
  state: 'RippleState',
  ticket: 'Ticket',
  xchain_owned_claim_id: 'XChainOwnedClaimID',
  xchain_owned_create_account_claim_id: 'XChainOwnedCreateAccountClaimID'
}

/** The type of entry that `type` in a request names, if there is one. */
export function readEntryType({ type }: Json): string | undefined {
  if (type === undefined) return undefined
  if (typeof type !== 'string') throw expectedField('type', 'string')
  if (!Object.hasOwn(entryTypes, type)) throw invalidField('type')
  return entryTypes[type]
}

/** Why a request for an entry is refused, in a word. */
class Refusal extends Error {}
const refuse = (word = 'malformedRequest'): never => {
  throw new Refusal(word)
}

/** Reads a part of what names an entry, or refuses it. */
type Read = (value: unknown) => string

const isIntegral = (value: unknown) => Number.isInteger(value) || typeof value === 'boolean'

const hash: Read = value => parseHash(asText(value)) ?? refuse()
const mptId: Read = value => parseHash(asText(value), 48) ?? refuse()
const text: Read = value => (typeof value === 'string' ? value : refuse())
const uint: Read = value => (isIntegral(value) ? String(asUint(value)) : refuse())

function matching(isRight: (text: string) => boolean, word?: string): Read {
  return value => (isRight(asText(value)) ? asText(value) : refuse(word))
}

const account = matching(isValidClassicAddress, 'malformedAddress')
const owner = matching(isValidClassicAddress, 'malformedOwner')
/** The address of an account that there can be: not that of none at all. */
const ownAccount: Read = value =>
  account(value) === ZERO_ACCOUNT ? refuse('malformedAddress') : account(value)
const accountPair: Read = value => {
  const pair = Array.isArray(value) ? value.map(text) : []
  return pair.length === 2 && pair[0] !== pair[1] ? pair.map(account).join() : refuse()
}

const asset: Read = value => {
  const { currency, issuer } = isObject(value) ? value : {}
  const isXrp = currency === 'XRP' && issuer === undefined
  const isToken = currency !== 'XRP' && isCurrency(text(currency)) && isValidClassicAddress(text(issuer))
  return isXrp || isToken ? '' : refuse()
}

/** An index at which nothing stands: for the kinds that are not there. */
const NOWHERE = 'F'.repeat(64)

/** Reads an object with these fields, or the index itself. */
function by(fields: Record<string, Read>, at = (_: Record<string, string>) => NOWHERE): Read {
  return value => {
    if (!isObject(value)) return hash(value)
    const all = Object.entries(fields)
    if (all.some(([name]) => value[name] === undefined)) return refuse()
    return at(Object.fromEntries(all.map(([name, read]) => [name, read(value[name])])))
  }
}

const trustLine = by({ accounts: accountPair, currency: matching(isCurrency, 'malformedCurrency') })

const directoryPage: Read = value => {
  if (value === null) return refuse()
  if (!isObject(value)) return hash(value)
  const { sub_index = 0, dir_root, owner } = value
  if (!isIntegral(sub_index) || (dir_root === undefined) === (owner === undefined)) return refuse()
  const root = dir_root === undefined ? indexOf.ownerDirectory(account(owner)) : hash(dir_root)
  return indexOf.directoryPage(root, asUint(sub_index))
}

/** What a request can name an entry by, in the order in which it is looked for, and where the entry stands. */
const selectors: Record<string, Read> = {
  index: hash,
  account_root: value => indexOf.account(ownAccount(value)),
  check: hash,
  deposit_preauth: by({ owner, authorized: matching(isValidClassicAddress, 'malformedAuthorized') }),
  directory: directoryPage,
  escrow: by({ seq: uint, owner }, ({ owner = '', seq }) => indexOf.escrow(owner, Number(seq))),
  offer: by({ seq: uint, account }),
  payment_channel: hash,
  ripple_state: value => (isObject(value) ? trustLine(value) : refuse()),
  ticket: by({ ticket_seq: uint, account }, ({ account = '', ticket_seq }) =>
    indexOf.ticket(account, Number(ticket_seq))
  ),
  nft_page: value => hash(text(value)),
  amm: by({ asset, asset2: asset }),
  bridge: () => refuse(),
  xchain_owned_claim_id: value => hash(text(value)),
  xchain_owned_create_account_claim_id: value => hash(text(value)),
  did: value => ownAccount(value) && NOWHERE,
  oracle: by({ account, oracle_document_id: matching(text => /^\d+$/.test(text), 'malformedDocumentID') }),
  credential: by({
    subject: matching(isValidClassicAddress),
    issuer: matching(isValidClassicAddress),
    credential_type: matching(text => /^([0-9A-F]{2})+$/i.test(text))
  }),
  mpt_issuance: value => mptId(text(value)) && NOWHERE,
  mptoken: by({ mpt_issuance_id: mptId, account })
}

const typesBySelector: Record<string, string> = {
  ...entryTypes,
  account_root: 'AccountRoot',
  ripple_state: 'RippleState'
}

export const ledgerEntry: Command = request => {
  const { params, apiVersion } = request
  const { state, fields } = findLedger(request)
  const name = Object.keys(selectors).find(candidate => params[candidate] !== undefined)
  const fail = (error: string) => new RpcError({ error, ...fields })
  if (!name) throw fail(apiVersion === 1 ? 'unknownOption' : 'invalidParams')
  let index: string
  try {
    index = (selectors[name] as Read)(params[name])
  } catch (error) {
    if (error instanceof Refusal) throw fail(error.message)
    if (error instanceof RpcError && apiVersion > 1) throw fail('invalidParams')
    throw error
  }
  if (/^0+$/.test(index)) return fields
  const entry = state.read(index)
  if (!entry) throw fail('entryNotFound')
  const type = typesBySelector[name] ?? entry.LedgerEntryType
  if (entry.LedgerEntryType !== type) throw fail('unexpectedLedgerType')
  const content = asFlag(params.binary)
    ? { node_binary: entryBlob(state, index) }
    : { node: entryJson(state, index) }
  return { index, ...content, ...fields }
}

const PAGE = { json: 256, binary: 2048 }

export const ledgerData: Command = request => {
  const { params, ledger, apiVersion } = request
  const { state, closed, fields } = findLedger(request)
  const { marker, limit } = params
  const after = typeof marker === 'string' ? parseHash(marker) : undefined
  if (marker !== undefined && !after) throw expectedField('marker', 'valid')
  const binary = asFlag(params.binary)
  if (limit !== undefined && !isIntegral(limit)) throw expectedField('limit', 'integer')
  const wanted = limit === undefined ? -1 : asInt(limit)
  const most = wanted < 0 ? (binary ? PAGE.binary : PAGE.json) : wanted
  const type = readEntryType(params)
  const answer: Json = {
    ledger_hash: ledger.closedHeader.hash,
    ledger_index: ledger.openIndex,
    ...fields
  }
  if (!after) answer.ledger = ledgerJson(ledger, closed, { apiVersion, binary })
  const indexes = ledger.indexes(closed).filter(index => state.read(index) && (!after || index > after))
  const isWanted = (index: string) => !type || state.read(index)?.LedgerEntryType === type
  answer.state = indexes
    .slice(0, most)
    .filter(isWanted)
    .map(index => (binary ? { data: entryBlob(state, index), index } : entryJson(state, index)))
  const next = indexes[most]
  if (next) answer.marker = (BigInt(`0x${next}`) - 1n).toString(16).toUpperCase().padStart(64, '0')
  return answer
}

/** All entries of a ledger as `ledger` with `accounts` lists them. */
export function accountState({ params, ledger }: Request, { state, closed }: FoundLedger) {
  const type = readEntryType(params)
  const isWanted = (entry: LedgerEntry | undefined) => entry && (!type || entry.LedgerEntryType === type)
  const indexes = ledger.indexes(closed).filter(index => isWanted(state.read(index)))
  if (asFlag(params.binary)) return indexes.map(index => ({ hash: index, tx_blob: entryBlob(state, index) }))
  return asFlag(params.expand) || asFlag(params.full)
    ? indexes.map(index => entryJson(state, index))
    : indexes
}
