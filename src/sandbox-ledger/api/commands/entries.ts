import { isValidClassicAddress } from 'ripple-address-codec'
import { indexOf } from '../../ledger/hashes.ts'
import { ZERO_ACCOUNT } from '../../ledger/transactors/transactor.ts'
import {
  asFlag,
  asInt,
  asText,
  asUint,
  type Command,
  expectedField,
  findLedger,
  invalidField,
  type Json,
  parseHash,
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

const hashIn = (value: unknown, digits = 64): string => parseHash(asText(value), digits) ?? refuse()

function addressIn(value: unknown, word: string): string {
  const text = asText(value)
  return isValidClassicAddress(text) ? text : refuse(word)
}

/** The address of an account that there can be: not that of none at all. */
function ownAddressIn(value: unknown): string {
  const address = addressIn(value, 'malformedAddress')
  return address === ZERO_ACCOUNT ? refuse('malformedAddress') : address
}

const isIntegral = (value: unknown) => Number.isInteger(value) || typeof value === 'boolean'

/** An index at which nothing stands: for the kinds that are not there. */
const NOWHERE = 'F'.repeat(64)

const nothing = (_value: Json) => NOWHERE

/** Reads a hash, or an object with these fields. */
const byHashOr =
  (fields: (value: Json) => boolean, read: (value: Json) => string) =>
  (value: unknown): string => {
    if (!isObject(value)) return hashIn(value)
    return fields(value) ? read(value) : refuse()
  }

/** The same for kinds that take nothing else for a hash than a string. */
const byTextOr: typeof byHashOr = (fields, read) => value =>
  typeof value === 'string' || isObject(value) ? byHashOr(fields, read)(value) : refuse()

const byText = byTextOr(() => false, nothing)

const has = (value: Json, ...names: string[]) => names.every(name => value[name] !== undefined)
const areTexts = (value: Json, ...names: string[]) => names.every(name => typeof value[name] === 'string')

function preauthorized({ owner, authorized, authorized_credentials }: Json): string {
  addressIn(owner, 'malformedOwner')
  if (authorized !== undefined) addressIn(authorized, 'malformedAuthorized')
  else if ((authorized_credentials as unknown[]).length === 0) refuse('malformedAuthorizedCredentials')
  return NOWHERE
}

function isAsset(value: unknown): boolean {
  if (!isObject(value) || typeof value.currency !== 'string') return false
  const { currency, issuer } = value
  if (currency === 'XRP') return issuer === undefined
  return isCurrency(currency) && typeof issuer === 'string' && isValidClassicAddress(issuer)
}

function trustLine(value: unknown): string {
  if (!isObject(value)) return refuse()
  const { currency, accounts } = value
  const pair = Array.isArray(accounts) ? accounts : []
  if (currency === undefined || pair.length !== 2 || pair[0] === pair[1]) return refuse()
  if (pair.some(account => typeof account !== 'string')) return refuse()
  for (const account of pair) addressIn(account, 'malformedAddress')
  return isCurrency(asText(currency)) ? NOWHERE : refuse('malformedCurrency')
}

function directoryPage(value: unknown): string {
  if (value === null) return refuse()
  if (!isObject(value)) return hashIn(value)
  const { sub_index = 0, dir_root, owner } = value
  if (!isIntegral(sub_index) || (dir_root === undefined) === (owner === undefined)) return refuse()
  const page = asUint(sub_index)
  const root =
    dir_root === undefined ? indexOf.ownerDirectory(addressIn(owner, 'malformedAddress')) : hashIn(dir_root)
  return indexOf.directoryPage(root, page)
}

/** What a request can name an entry by, in the order in which it is looked for: its type, and where it stands. */
const selectors: Record<string, { type?: string; find(value: unknown): string }> = {
  index: { find: hashIn },
  account_root: {
    type: 'AccountRoot',
    find: value => indexOf.account(ownAddressIn(value))
  },
  check: { type: 'Check', find: hashIn },
  deposit_preauth: {
    type: 'DepositPreauth',
    find: byTextOr(
      value =>
        areTexts(value, 'owner') &&
        (value.authorized === undefined) !== (value.authorized_credentials === undefined) &&
        (areTexts(value, 'authorized') || Array.isArray(value.authorized_credentials)),
      preauthorized
    )
  },
  directory: { type: 'DirectoryNode', find: directoryPage },
  escrow: {
    type: 'Escrow',
    find: byHashOr(
      value => has(value, 'owner', 'seq') && isIntegral(value.seq),
      ({ owner, seq }) => indexOf.escrow(addressIn(owner, 'malformedOwner'), asUint(seq))
    )
  },
  offer: {
    type: 'Offer',
    find: byHashOr(
      value => has(value, 'account', 'seq') && isIntegral(value.seq),
      ({ account, seq }) => nothing({ account: addressIn(account, 'malformedAddress'), seq: asUint(seq) })
    )
  },
  payment_channel: { type: 'PayChannel', find: hashIn },
  ripple_state: { type: 'RippleState', find: trustLine },
  ticket: {
    type: 'Ticket',
    find: byHashOr(
      value => has(value, 'account', 'ticket_seq') && isIntegral(value.ticket_seq),
      ({ account, ticket_seq }) => indexOf.ticket(addressIn(account, 'malformedAddress'), asUint(ticket_seq))
    )
  },
  nft_page: {
    type: 'NFTokenPage',
    find: byText
  },
  amm: { type: 'AMM', find: byHashOr(({ asset, asset2 }) => isAsset(asset) && isAsset(asset2), nothing) },
  bridge: { type: 'Bridge', find: () => refuse() },
  xchain_owned_claim_id: { type: 'XChainOwnedClaimID', find: byText },
  xchain_owned_create_account_claim_id: {
    type: 'XChainOwnedCreateAccountClaimID',
    find: byText
  },
  did: { type: 'DID', find: value => ownAddressIn(value) && NOWHERE },
  oracle: {
    type: 'Oracle',
    find: byHashOr(
      value => has(value, 'oracle_document_id', 'account'),
      ({ account, oracle_document_id }) => {
        addressIn(account, 'malformedAddress')
        return /^\d+$/.test(asText(oracle_document_id)) ? NOWHERE : refuse('malformedDocumentID')
      }
    )
  },
  credential: {
    type: 'Credential',
    find: byTextOr(
      value => areTexts(value, 'subject', 'issuer', 'credential_type'),
      ({ subject, issuer, credential_type }) => {
        for (const account of [subject, issuer]) addressIn(account, 'malformedRequest')
        return /^([0-9A-Fa-f]{2})+$/.test(asText(credential_type)) ? NOWHERE : refuse()
      }
    )
  },
  mpt_issuance: {
    type: 'MPTokenIssuance',
    find: value => (typeof value === 'string' && hashIn(value, 48) ? NOWHERE : refuse())
  },
  mptoken: {
    type: 'MPToken',
    find: byHashOr(
      value => has(value, 'mpt_issuance_id', 'account'),
      ({ mpt_issuance_id, account }) => {
        hashIn(mpt_issuance_id, 48)
        return addressIn(account, 'malformedAddress') && NOWHERE
      }
    )
  }
}

export const ledgerEntry: Command = request => {
  const { params, apiVersion } = request
  const { state, fields } = findLedger(request)
  const name = Object.keys(selectors).find(candidate => params[candidate] !== undefined)
  const fail = (error: string) => new RpcError({ error, ...fields })
  if (!name) throw fail(apiVersion === 1 ? 'unknownOption' : 'invalidParams')
  const { type, find } = selectors[name] as (typeof selectors)[string]
  let index: string
  try {
    index = find(params[name])
  } catch (error) {
    if (error instanceof Refusal) throw fail(error.message)
    if (error instanceof RpcError && apiVersion > 1) throw fail('invalidParams')
    throw error
  }
  if (/^0+$/.test(index)) return fields
  const entry = state.read(index)
  if (!entry) throw fail('entryNotFound')
  if (type && entry.LedgerEntryType !== type) throw fail('unexpectedLedgerType')
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
export function accountState(
  { params, ledger }: Parameters<Command>[0],
  { state, closed }: ReturnType<typeof findLedger>
) {
  const type = readEntryType(params)
  const indexes = ledger.indexes(closed).filter(index => {
    const entry = state.read(index)
    return entry && (!type || entry.LedgerEntryType === type)
  })
  if (asFlag(params.binary)) return indexes.map(index => ({ hash: index, tx_blob: entryBlob(state, index) }))
  return asFlag(params.expand) || asFlag(params.full)
    ? indexes.map(index => entryJson(state, index))
    : indexes
}
