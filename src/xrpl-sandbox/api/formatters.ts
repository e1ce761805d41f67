import { serialize } from '../ledger/codec.ts'
import { toHex } from '../ledger/hashes.ts'
import { type ClosedLedger, fieldsOf, metaOf, type ValidatedTransaction } from '../ledger/history.ts'
import {
  closeTimeResolution,
  headerBytes,
  type Ledger,
  referenceLevel,
  rippleEpoch
} from '../ledger/ledger.ts'
import type { State } from '../ledger/state.ts'
import type { Transaction, TransactionFields } from '../ledger/transaction.ts'
import type { ApiVersion, Json } from './rpc.ts'

/** A time of the ledger as ISO 8601, without the fraction it does not have. */
export const isoTime = (time: number) =>
  new Date((time + rippleEpoch) * 1000).toISOString().replace('.000Z', 'Z')

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** A time in milliseconds of Unix time as rippled writes it for people. */
export function humanTime(unixMs: number, fraction: string): string {
  const date = new Date(unixMs)
  const [day, time] = [date.toISOString().slice(8, 10), date.toISOString().slice(11, 19)]
  return `${date.getUTCFullYear()}-${months[date.getUTCMonth()]}-${day} ${time}.${fraction} UTC`
}

/** The most that a payment delivers is called DeliverMax, and in version 1 Amount as well. */
export function versionedFields(fields: TransactionFields, apiVersion: ApiVersion): Json {
  const { Amount, ...rest } = fields
  if (fields.TransactionType !== 'Payment' || Amount === undefined) return { ...fields }
  return { ...rest, ...(apiVersion === 1 && { Amount }), DeliverMax: Amount }
}

interface Shape {
  apiVersion: ApiVersion
  binary: boolean
  networkId: number
}

/** A transaction that no ledger has yet, as in the list of `ledger`. */
export function openItem({ hash, fields, blob }: Transaction, { apiVersion, binary }: Shape): Json {
  if (binary) return { tx_blob: toHex(blob), ...(apiVersion > 1 && { hash }) }
  const shown = versionedFields(fields, apiVersion)
  return apiVersion === 1 ? { ...shown, hash } : { tx_json: shown, hash, validated: false }
}

/** A transaction that is not validated, as `tx` shows it. */
export function pendingResult(transaction: Transaction, shape: Shape): Json {
  const { apiVersion, binary } = shape
  const { hash, blob } = transaction
  const content = binary
    ? { [apiVersion === 1 ? 'tx' : 'tx_blob']: toHex(blob), hash }
    : openItem(transaction, shape)
  return { ...content, validated: false }
}

/** Ledger, position and network in one identifier. Source: XLS-37, "Concise Transaction Identifier". */
export function ctid(ledgerIndex: number, position: number, networkId: number): Json {
  if (ledgerIndex >= 0x0fffffff || position > 0xffff || networkId >= 0xffff) return {}
  const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0')
  return { ctid: `C${hex(ledgerIndex, 7)}${hex(position, 4)}${hex(networkId, 4)}` }
}

const ctidOf = ({ header, position }: ValidatedTransaction, networkId: number) =>
  ctid(header.ledgerIndex, position, networkId)

const place = ({ hash, header }: ValidatedTransaction) => ({
  hash,
  ledger_index: header.ledgerIndex,
  ledger_hash: header.hash,
  close_time_iso: isoTime(header.closeTime),
  validated: true
})

/** What version 1 mixes in with the fields of a validated transaction. */
export const placeInFields = (transaction: ValidatedTransaction, networkId: number) => ({
  hash: transaction.hash,
  inLedger: transaction.header.ledgerIndex,
  ledger_index: transaction.header.ledgerIndex,
  ...ctidOf(transaction, networkId)
})

/** A transaction as version 2 puts it into `tx_json`. */
const nestedJson = (transaction: ValidatedTransaction, networkId: number): Json => ({
  ...versionedFields(fieldsOf(transaction), 2),
  date: transaction.header.closeTime,
  ledger_index: transaction.header.ledgerIndex,
  ...ctidOf(transaction, networkId)
})

const inBinary = ({ blob, metaBlob }: ValidatedTransaction, apiVersion: ApiVersion) => ({
  tx_blob: toHex(blob),
  [apiVersion === 1 ? 'meta' : 'meta_blob']: toHex(metaBlob)
})

/** As `tx` answers. */
export function txResult(transaction: ValidatedTransaction, { apiVersion, binary, networkId }: Shape): Json {
  if (apiVersion === 1) {
    const content = binary
      ? { tx: toHex(transaction.blob), meta: toHex(transaction.metaBlob) }
      : { ...versionedFields(fieldsOf(transaction), 1), meta: metaOf(transaction) }
    const date = transaction.header.closeTime
    return { ...content, date, ...placeInFields(transaction, networkId), validated: true }
  }
  const content = binary
    ? inBinary(transaction, 2)
    : { tx_json: nestedJson(transaction, networkId), meta: metaOf(transaction) }
  return { ...place(transaction), ...ctidOf(transaction, networkId), ...content }
}

/** As in the list of `account_tx`. */
export function accountTxItem(
  transaction: ValidatedTransaction,
  { apiVersion, binary, networkId }: Shape
): Json {
  const { ledgerIndex, closeTime } = transaction.header
  if (binary) return { ...inBinary(transaction, apiVersion), ledger_index: ledgerIndex, validated: true }
  const meta = metaOf(transaction)
  if (apiVersion === 2) return { ...place(transaction), tx_json: nestedJson(transaction, networkId), meta }
  const fields = versionedFields(fieldsOf(transaction), 1)
  const tx = { ...fields, date: closeTime, ...placeInFields(transaction, networkId) }
  return { tx, meta, validated: true }
}

/** As in the list of `ledger` with `transactions` and `expand`. */
function ledgerItem(transaction: ValidatedTransaction, { apiVersion, binary }: Shape): Json {
  const { hash } = transaction
  if (binary) return { ...inBinary(transaction, apiVersion), ...(apiVersion > 1 && { hash }) }
  const fields = versionedFields(fieldsOf(transaction), apiVersion)
  return apiVersion === 1
    ? { ...fields, hash, metaData: metaOf(transaction) }
    : { ...place(transaction), tx_json: fields, meta: metaOf(transaction) }
}

/** As `transaction_entry` answers: the metadata is the ledger's own, without the amount delivered. */
export function transactionEntry(transaction: ValidatedTransaction, apiVersion: ApiVersion): Json {
  const { delivered_amount: _, ...meta } = metaOf(transaction)
  const tx_json = versionedFields(fieldsOf(transaction), apiVersion)
  return apiVersion === 1
    ? { tx_json: { ...tx_json, hash: transaction.hash }, metadata: meta }
    : { ...place(transaction), tx_json, meta }
}

const byHash = (a: { hash: string }, b: { hash: string }) => (a.hash < b.hash ? -1 : 1)

interface HeaderOptions extends Shape {
  expand: boolean
  transactions: boolean
}

function headerFields(ledger: Ledger, closed: ClosedLedger | undefined, options: HeaderOptions): Json {
  const indexIn = (index: number) => (options.apiVersion === 1 ? String(index) : index)
  if (!closed) {
    const open = { ledger_index: indexIn(ledger.openIndex), parent_hash: ledger.closedHeader.hash }
    return { closed: false, ...(!options.binary && open) }
  }
  const { header } = closed
  if (options.binary) return { closed: true, ledger_data: toHex(headerBytes(header)) }
  const { ledgerIndex, closeTime } = header
  return {
    account_hash: header.accountHash,
    close_flags: 0,
    close_time: closeTime,
    close_time_human: humanTime((closeTime + rippleEpoch) * 1000, '000000000'),
    close_time_iso: isoTime(closeTime),
    close_time_resolution: closeTimeResolution,
    closed: true,
    ledger_hash: header.hash,
    ledger_index: indexIn(ledgerIndex),
    parent_close_time: header.parentCloseTime,
    parent_hash: header.parentHash,
    total_coins: String(header.totalDrops),
    transaction_hash: header.transactionHash
  }
}

function transactionList(ledger: Ledger, closed: ClosedLedger | undefined, options: HeaderOptions) {
  const list = [...(closed?.transactions ?? ledger.openTransactions.values())].sort(byHash)
  if (!options.expand) return list.map(({ hash }) => hash)
  return list.map(one => ('fields' in one ? openItem(one, options) : ledgerItem(one, options)))
}

/** A ledger as `ledger` shows it; `closed` is undefined for the open one. */
export function ledgerJson(
  ledger: Ledger,
  closed: ClosedLedger | undefined,
  options: Partial<HeaderOptions> & { apiVersion: ApiVersion }
): Json {
  const { networkId } = ledger
  const given = { binary: false, expand: false, transactions: false, networkId, ...options }
  const json = headerFields(ledger, closed, given)
  if (given.transactions) json.transactions = transactionList(ledger, closed, given)
  return json
}

/** An entry of the state, in JSON with its index or in binary. */
export function entryJson(state: State, index: string): Json {
  return { ...state.read(index), index }
}

export const entryBlob = (state: State, index: string) => toHex(serialize(state.read(index) as object))

export const dropsPerXrp = 1_000_000

/** What the load costs at this moment, in units of a 256th. */
export function loadLevels({ openLedgerLevel: level }: Ledger) {
  return {
    load_base: referenceLevel,
    load_factor: level,
    load_factor_fee_escalation: level,
    load_factor_fee_queue: referenceLevel,
    load_factor_fee_reference: referenceLevel,
    load_factor_server: referenceLevel
  }
}
