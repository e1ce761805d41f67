import { serialize } from '../ledger/codec.ts'
import { toHex } from '../ledger/hashes.ts'
import { type ClosedLedger, ValidatedTransaction } from '../ledger/history.ts'
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
}

/** A transaction that no ledger has yet, as in the list of `ledger`. */
export function openItem({ hash, fields, blob }: Transaction, { apiVersion, binary }: Shape): Json {
  if (binary) return { tx_blob: toHex(blob), ...(apiVersion > 1 && { hash }) }
  const shown = versionedFields(fields, apiVersion)
  return apiVersion === 1 ? { ...shown, hash } : { tx_json: shown, hash, validated: false }
}

/** A transaction that is not validated, as `tx` shows it. */
export function pendingResult(transaction: Transaction, shape: Shape): Json {
  const { hash, blob } = transaction
  const blobName = shape.apiVersion === 1 ? 'tx' : 'tx_blob'
  const content = shape.binary ? { [blobName]: toHex(blob), hash } : openItem(transaction, shape)
  return { ...content, validated: false }
}

/** Ledger, position and network in one identifier. Source: XLS-37, "Concise Transaction Identifier". */
export function ctid({ header, position }: ValidatedTransaction): Json {
  const { ledgerIndex, networkId } = header
  if (ledgerIndex >= 0x0fffffff || position > 0xffff || networkId >= 0xffff) return {}
  const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0')
  return { ctid: `C${hex(ledgerIndex, 7)}${hex(position, 4)}${hex(networkId, 4)}` }
}

/** What version 2 says of a validated transaction, beside its fields. */
const place = ({ hash, header }: ValidatedTransaction) => ({
  hash,
  ledger_index: header.ledgerIndex,
  ledger_hash: header.hash,
  close_time_iso: isoTime(header.closeTime),
  validated: true
})

/** What is said of a validated transaction among its fields. */
export function placeInFields(transaction: ValidatedTransaction, apiVersion: ApiVersion): Json {
  const { hash, header } = transaction
  const { ledgerIndex } = header
  return {
    ...(apiVersion === 1 && { hash, inLedger: ledgerIndex }),
    ledger_index: ledgerIndex,
    ...ctid(transaction)
  }
}

/** The fields of a validated transaction, with its place among them. */
function placedFields(transaction: ValidatedTransaction, apiVersion: ApiVersion): Json {
  const fields = versionedFields(transaction.fields, apiVersion)
  return { ...fields, date: transaction.header.closeTime, ...placeInFields(transaction, apiVersion) }
}

const inBinary = ({ blob, metaBlob }: ValidatedTransaction, apiVersion: ApiVersion) => ({
  tx_blob: toHex(blob),
  [apiVersion === 1 ? 'meta' : 'meta_blob']: toHex(metaBlob)
})

/** As `tx` answers. */
export function txResult(transaction: ValidatedTransaction, { apiVersion, binary }: Shape): Json {
  if (apiVersion === 1 && binary) {
    const { tx_blob, ...meta } = inBinary(transaction, 1)
    const { closeTime } = transaction.header
    const place = placeInFields(transaction, 1)
    return { tx: tx_blob, ...meta, date: closeTime, ...place, validated: true }
  }
  if (apiVersion === 1) return { ...placedFields(transaction, 1), meta: transaction.meta, validated: true }
  const content = binary
    ? inBinary(transaction, 2)
    : { tx_json: placedFields(transaction, 2), meta: transaction.meta }
  return { ...place(transaction), ...ctid(transaction), ...content }
}

/** As in the list of `account_tx`. */
export function accountTxItem(transaction: ValidatedTransaction, { apiVersion, binary }: Shape): Json {
  const ledger_index = transaction.header.ledgerIndex
  if (binary) return { ...inBinary(transaction, apiVersion), ledger_index, validated: true }
  const [fields, meta] = [placedFields(transaction, apiVersion), transaction.meta]
  return apiVersion === 1
    ? { tx: fields, meta, validated: true }
    : { ...place(transaction), tx_json: fields, meta }
}

/** As in the list of `ledger` with `transactions` and `expand`. */
function ledgerItem(transaction: ValidatedTransaction, { apiVersion, binary }: Shape): Json {
  const { hash } = transaction
  if (binary) return { ...inBinary(transaction, apiVersion), ...(apiVersion > 1 && { hash }) }
  const fields = versionedFields(transaction.fields, apiVersion)
  return apiVersion === 1
    ? { ...fields, hash, metaData: transaction.meta }
    : { ...place(transaction), tx_json: fields, meta: transaction.meta }
}

/** As `transaction_entry` answers: the metadata is the ledger's own, without the amount delivered. */
export function transactionEntry(transaction: ValidatedTransaction, apiVersion: ApiVersion): Json {
  const { delivered_amount: _, ...meta } = transaction.meta
  const tx_json = versionedFields(transaction.fields, apiVersion)
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
  return list.map(one =>
    one instanceof ValidatedTransaction ? ledgerItem(one, options) : openItem(one, options)
  )
}

/** A ledger as `ledger` shows it; `closed` is undefined for the open one. */
export function ledgerJson(
  ledger: Ledger,
  closed: ClosedLedger | undefined,
  options: Partial<HeaderOptions> & { apiVersion: ApiVersion }
): Json {
  const given = { binary: false, expand: false, transactions: false, ...options }
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
