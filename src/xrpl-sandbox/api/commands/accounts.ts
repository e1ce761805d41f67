import { isValidClassicAddress } from 'ripple-address-codec'
import { directoryEntries } from '../../ledger/directory.ts'
import { indexOf } from '../../ledger/hashes.ts'
import { accountOf, type LedgerEntry, type State } from '../../ledger/state.ts'
import { hasFlag, lsf } from '../../ledger/transactors/transactor.ts'
import { accountQueue } from '../queue.ts'
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
  ledgerByHash,
  ledgerByIndex,
  parseAddress,
  parseHash,
  type Request,
  readAccountText,
  readLedgerHash,
  readLimit,
  readStrictFlag,
  rpcError
} from '../rpc.ts'
import { accountTxItem, entryJson } from '../shapes.ts'
import { entryTypes } from './entries.ts'

// Which flags account_info names otherwise than AccountRoot does. Source: rippled 2.3.0, rpc/handlers/AccountInfo.cpp.
const {
  requireDestTag: requireDestinationTag,
  requireAuth: requireAuthorization,
  disallowXrp: disallowIncomingXRP,
  disableMaster: disableMasterKey,
  ...others
} = lsf
const accountFlags = Object.entries({
  requireDestinationTag,
  requireAuthorization,
  disallowIncomingXRP,
  disableMasterKey,
  ...others
})

/** An account that must be there, in the ledger that is asked; which one that is goes with the refusal of an address. */
function findAccount(request: Request, names = ['account'], refusesWithLedger = true) {
  const text = readAccountText(request.params, ...names)
  const { state, fields } = findLedger(request)
  const account = parseAddress(text, refusesWithLedger ? fields : {})
  if (!accountOf(state, account)) throw rpcError('actNotFound')
  return { account, state, fields }
}

const accountInfo: Command = request => {
  const { params, apiVersion } = request
  const text = readAccountText(params, 'account', 'ident')
  const { state, fields, closed } = findLedger(request)
  const account = parseAddress(text, fields)
  const index = indexOf.account(account)
  const root = accountOf(state, account)
  if (!root) throw rpcError('actNotFound', undefined, { account, ...fields })
  const queue = asFlag(params.queue)
  if (queue && closed) throw rpcError('invalidParams', undefined, fields)
  const account_data: Json = entryJson(state, index)
  const { EmailHash } = root
  if (EmailHash) account_data.urlgravatar = `http://www.gravatar.com/avatar/${EmailHash.toLowerCase()}`
  const account_flags: Json = {}
  for (const [name, flag] of accountFlags) account_flags[name] = hasFlag(root, flag)
  const answer: Json = { account_data, account_flags, ...fields }
  const { signer_lists } = params
  if (apiVersion > 1 && signer_lists !== undefined && typeof signer_lists !== 'boolean')
    throw rpcError('invalidParams', undefined, answer)
  if (asFlag(signer_lists)) (apiVersion === 1 ? account_data : answer).signer_lists = []
  if (queue) answer.queue_data = accountQueue(request.ledger, account)
  return answer
}

/** Kinds that no account can own. */
const ownerless = ['amendments', 'directory', 'fee', 'hashes', 'nunl']
/** Kinds that keep an account from being deleted. */
const blockers =
  `bridge check escrow mpt_issuance mptoken nft_page payment_channel state xchain_owned_claim_id
  xchain_owned_create_account_claim_id`.split(/\s+/)

/** Which entries to list, by their types. */
function readTypes(params: Json): (entry: LedgerEntry) => boolean {
  const { type } = params
  if (asFlag(params.deletion_blockers_only)) {
    const wanted = blockers.filter(name => type === undefined || type === name)
    return ({ LedgerEntryType }) => wanted.some(name => entryTypes[name] === LedgerEntryType)
  }
  if (type === undefined) return () => true
  if (typeof type !== 'string') throw expectedField('type', 'string')
  if (!(type in entryTypes) || ownerless.includes(type)) throw invalidField('type')
  return ({ LedgerEntryType }) => LedgerEntryType === entryTypes[type]
}

const accountObjects: Command = request => {
  const { params } = request
  const { account, state, fields } = findAccount(request)
  const isWanted = readTypes(params)
  const limit = readLimit(params, 200)
  const { marker } = params
  const account_objects: Json[] = []

  // A marker is the page of the directory and the entry in it to go on with.
  let page: string | undefined
  let waiting: string | undefined
  if (marker !== undefined) {
    if (typeof marker !== 'string') throw expectedField('marker', 'string')
    const comma = marker.indexOf(',')
    const [at, first] = [parseHash(marker.slice(0, comma)), parseHash(marker.slice(comma + 1))]
    if (comma < 0 || !at || !first) throw invalidField('marker')
    if (/[1-9A-F]/.test(at)) [page, waiting] = [at, first]
  }
  let count = 0
  for (const { page: at, entry } of directoryEntries(state, account, page)) {
    if (waiting && waiting !== entry) continue
    waiting = undefined
    if (limit > 0 && count === limit)
      return { account, account_objects, limit, marker: `${at},${entry}`, ...fields }
    if (isWanted(state.read(entry) as LedgerEntry)) account_objects.push(entryJson(state, entry))
    count++
  }
  if (waiting) throw invalidField('marker')
  return { account, account_objects, ...fields }
}

/**
 * Where the next page of a list begins, of which nothing is shown: rippled pages through all that an account has.
 * A marker is the last entry seen and the page of the directory in which it stands.
 */
function nextMarker(state: State, account: string, marker: unknown, limit: number, refusal: () => Error) {
  const entries = [...directoryEntries(state, account)].map(({ entry }) => entry)
  let first = 0
  if (marker !== undefined) {
    if (typeof marker !== 'string') throw expectedField('marker', 'string')
    const [index = '', hint = ''] = marker.split(',')
    const hash = parseHash(index)
    if (!hash || !/^\d+$/.test(hint)) throw refusal()
    first = entries.indexOf(hash) + 1
    if (first === 0) throw rpcError('invalidParams')
  }
  if (entries.length - first <= limit) return {}
  const last = entries[first + limit - 1] as string
  const { OwnerNode = '0' } = state.read(last) as { OwnerNode?: string }
  return { limit, marker: `${last},${Number.parseInt(OwnerNode, 16)}` }
}

interface EmptyList {
  /** The list's name in the answer. */
  name: string
  /** A second address that narrows the list. */
  peer?: string
  refusesWithLedger?: boolean
  namesFields?: boolean
}

/** What an account has besides XRP, escrows and tickets: nothing. What differs is how a request is refused. */
const emptyLists: Record<string, EmptyList> = {
  account_channels: { name: 'channels', peer: 'destination_account' },
  account_lines: { name: 'lines', peer: 'peer', refusesWithLedger: true },
  account_offers: { name: 'offers', refusesWithLedger: true, namesFields: true }
}

function emptyList({ name, peer, refusesWithLedger = false, namesFields }: EmptyList): Command {
  return request => {
    const { params } = request
    const { account, state, fields } = findAccount(request, ['account'], refusesWithLedger)
    if (peer && params[peer]) parseAddress(asText(params[peer]), refusesWithLedger ? fields : {})
    const refuse = (field: string) => (namesFields ? invalidField(field) : rpcError('invalidParams'))
    const limit = readLimit(params, 200)
    if (limit === 0) throw refuse('limit')
    const next = nextMarker(state, account, params.marker, limit, () => refuse('marker'))
    return { account, [name]: [], ...next, ...fields }
  }
}

const accountNfts: Command = request => {
  const { account, fields } = findAccount(request, ['account'], false)
  readLimit(request.params, 100)
  const { marker } = request.params
  if (marker !== undefined && typeof marker !== 'string') throw expectedField('marker', 'string')
  if (marker !== undefined) throw invalidField('marker')
  return { account, account_nfts: [], ...fields }
}

const accountCurrencies: Command = request => {
  const { fields } = findAccount(request, ['account', 'ident'])
  return { receive_currencies: [], send_currencies: [], ...fields }
}

const gatewayBalances: Command = request => {
  const { params, apiVersion } = request
  const { state, fields } = findLedger(request)
  if (params.account === undefined && params.ident === undefined) readAccountText(params, 'account')
  const account = parseAddress(asText(params.account ?? params.ident))
  const answer = { account, ...fields }
  if (apiVersion > 1 && !accountOf(state, account)) throw rpcError('actNotFound', undefined, answer)
  const { hotwallet = [] } = params
  const wallets: unknown = typeof hotwallet === 'string' ? [hotwallet] : (hotwallet ?? [])
  const isValid = (wallet: unknown) => typeof wallet === 'string' && isValidClassicAddress(wallet)
  if (!Array.isArray(wallets) || !wallets.every(isValid))
    throw rpcError(apiVersion === 1 ? 'invalidHotWallet' : 'invalidParams', undefined, answer)
  return answer
}

const noRippleCheck: Command = request => {
  const { params, ledger } = request
  for (const name of ['account', 'role']) if (params[name] === undefined) readAccountText(params, name)
  const text = readAccountText(params, 'account')
  const role = asText(params.role)
  if (role !== 'gateway' && role !== 'user') throw invalidField('role')
  readLimit(params, 300)
  const transactions = readStrictFlag(request, 'transactions')
  const { state, fields } = findLedger(request)
  const list: Json[] = []
  const answer = { ...(transactions && { transactions: list }), ...fields }
  const account = parseAddress(text, answer)
  const root = accountOf(state, account)
  if (!root) throw rpcError('actNotFound')
  const problems: string[] = []
  const isRippling = hasFlag(root, lsf.defaultRipple)
  if (isRippling && role === 'user')
    problems.push(
      'You appear to have set your default ripple flag even though you are not a gateway. This is not ' +
        'recommended unless you are experimenting'
    )
  if (!isRippling && role === 'gateway') {
    problems.push('You should immediately set your default ripple flag')
    const set = { TransactionType: 'AccountSet', SetFlag: 8 }
    list.push({ ...set, Sequence: root.Sequence, Account: account, Fee: ledger.fees.base })
  }
  return { ...answer, problems }
}

const depositAuthorized: Command = request => {
  const { params } = request
  const [source_account, destination_account] = ['source_account', 'destination_account'].map(name => {
    if (params[name] !== undefined && typeof params[name] !== 'string') throw expectedField(name, 'a string')
    return parseAddress(readAccountText(params, name))
  }) as [string, string]
  const { state, fields } = findLedger(request)
  if (!accountOf(state, source_account)) throw rpcError('srcActNotFound', undefined, fields)
  const destination = accountOf(state, destination_account)
  if (!destination) throw rpcError('dstActNotFound', undefined, fields)
  const { credentials } = params
  if (credentials !== undefined) {
    const refuse = (wanted: string) => expectedField('credentials', wanted)
    if (!Array.isArray(credentials) || credentials.length === 0)
      throw refuse('is non-empty array of CredentialID(hash256)')
    if (credentials.length > 8) throw refuse('array too long')
    if (!credentials.every(id => typeof id === 'string' && parseHash(id)))
      throw refuse('an array of CredentialID(hash256)')
    throw rpcError('badCredentials', "credentials don't exist", fields)
  }
  const deposit_authorized = source_account === destination_account || !hasFlag(destination, lsf.depositAuth)
  return { source_account, destination_account, deposit_authorized, ...fields }
}

/** The ledgers to search, from the bounds or the one ledger in a request; all, if it names none. */
function readRange({ params, apiVersion, ledger }: Request): { min: number; max: number } {
  const { ledger_index_min, ledger_index_max, ledger_index, ledger_hash } = params
  const first = ledger.history.first.header.ledgerIndex
  const last = ledger.closedHeader.ledgerIndex
  const hasBounds = ledger_index_min !== undefined || ledger_index_max !== undefined
  if (apiVersion > 1 && hasBounds && (ledger_index !== undefined || ledger_hash !== undefined))
    throw rpcError('invalidParams', 'invalidParams')
  if (hasBounds) {
    const bound = (value: unknown, open: number) =>
      value === undefined || asInt(value) < 0 ? open : asUint(value)
    const min = bound(ledger_index_min, 0)
    const max = bound(ledger_index_max, 2 ** 32 - 1)
    const isBeyond = (max > last && max < 2 ** 32 - 1) || (min < first && min !== 0)
    if (apiVersion > 1 && isBeyond) throw rpcError('lgrIdxMalformed')
    const range = { min: Math.max(min, first), max: Math.min(max, last) }
    if (range.max < range.min) throw rpcError(apiVersion === 1 ? 'lgrIdxsInvalid' : 'invalidLgrRange')
    return range
  }
  if (ledger_hash !== undefined) return rangeOf(ledgerByHash(ledger, readLedgerHash(ledger_hash)))
  if (ledger_index === undefined) return { min: first, max: last }
  const isNumeric = typeof ledger_index === 'number' || typeof ledger_index === 'boolean'
  const index = isNumeric ? asUint(ledger_index) : asText(ledger_index)
  if (typeof index === 'string' && !['', 'current', 'closed', 'validated'].includes(index))
    throw rpcError('invalidParams', 'ledger_index string malformed')
  return rangeOf(ledgerByIndex(ledger, index))
}

function rangeOf({ closed }: FoundLedger) {
  if (!closed) throw rpcError('lgrNotValidated')
  return { min: closed.header.ledgerIndex, max: closed.header.ledgerIndex }
}

const isUint = (value: unknown) =>
  value === null || typeof value === 'boolean' || (typeof value === 'number' && value >= 0)

const accountTx: Command = request => {
  const { params, ledger, apiVersion } = request
  const binary = readStrictFlag(request, 'binary')
  const forward = readStrictFlag(request, 'forward')
  const limit = asUint(params.limit)
  const account = parseAddress(readAccountText(params, 'account'))
  const marker = params.marker as Json | undefined
  if (marker !== undefined && !(isUint(marker?.ledger) && isUint(marker?.seq)))
    throw rpcError(
      'invalidParams',
      'invalid marker. Provide ledger index via ledger field, and transaction sequence number via seq field'
    )
  const { min, max } = readRange(request)
  const { transactions, next } = ledger.history.accountTransactions(account, {
    min,
    max,
    limit: limit || (binary ? 500 : 200),
    forward,
    from: marker && { ledgerIndex: asUint(marker.ledger), position: asUint(marker.seq) }
  })
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

export const accountCommands: Record<string, Command> = {
  ...Object.fromEntries(Object.entries(emptyLists).map(([command, list]) => [command, emptyList(list)])),
  account_currencies: accountCurrencies,
  account_info: accountInfo,
  account_nfts: accountNfts,
  account_objects: accountObjects,
  account_tx: accountTx,
  deposit_authorized: depositAuthorized,
  gateway_balances: gatewayBalances,
  noripple_check: noRippleCheck
}
