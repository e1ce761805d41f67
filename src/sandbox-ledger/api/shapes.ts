import { toHex } from '../ledger/hashes.ts'
import { blobOf, fieldsOf, metaBlobOf, metaOf, type ValidatedTransaction } from '../ledger/history.ts'
import { RIPPLE_EPOCH } from '../ledger/ledger.ts'
import type { Transaction, TransactionFields } from '../ledger/transaction.ts'
import type { Json } from './rpc.ts'

/** A time of the ledger as ISO 8601, without the fraction it does not have. */
export const isoTime = (time: number) =>
  new Date((time + RIPPLE_EPOCH) * 1000).toISOString().replace('.000Z', 'Z')

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** A time in milliseconds of Unix time as rippled writes it for people. */
export function humanTime(unixMs: number, fraction: string): string {
  const date = new Date(unixMs)
  const [day, time] = [date.toISOString().slice(8, 10), date.toISOString().slice(11, 19)]
  return `${date.getUTCFullYear()}-${months[date.getUTCMonth()]}-${day} ${time}.${fraction} UTC`
}

/** In API version 2, the Amount of a payment is called DeliverMax. Source: rippled 2.0.0, API-CHANGELOG.md. */
export function versionedFields(fields: TransactionFields, apiVersion: 1 | 2): Json {
  if (apiVersion === 1 || fields.TransactionType !== 'Payment') return { ...fields }
  const { Amount: DeliverMax, ...rest } = fields
  return { ...rest, DeliverMax }
}

/** A transaction that is not validated, as `submit` and `tx` show it. */
export function pendingTransaction({ hash, fields }: Transaction, apiVersion: 1 | 2): Json {
  return { ...versionedFields(fields, apiVersion), hash }
}

const place = ({ hash, ledgerIndex, ledgerHash, closeTime }: ValidatedTransaction) => ({
  hash,
  ledger_index: ledgerIndex,
  ledger_hash: ledgerHash,
  close_time_iso: isoTime(closeTime)
})

/** The fields of a validated transaction with what version 1 of the API mixes in with them. */
function flatJson(transaction: ValidatedTransaction): Json {
  const { hash, ledgerIndex, closeTime } = transaction
  return {
    ...fieldsOf(transaction),
    date: closeTime,
    hash,
    inLedger: ledgerIndex,
    ledger_index: ledgerIndex
  }
}

function nestedJson(transaction: ValidatedTransaction): Json {
  const { ledgerIndex, closeTime } = transaction
  const fields = versionedFields(fieldsOf(transaction), 2)
  return { ...fields, date: closeTime, ledger_index: ledgerIndex }
}

interface Shape {
  apiVersion: 1 | 2
  binary: boolean
}

const binaryJson = (transaction: ValidatedTransaction) => ({
  tx_blob: toHex(blobOf(transaction)),
  meta_blob: toHex(metaBlobOf(transaction))
})

/** As `tx` answers. */
export function txResult(transaction: ValidatedTransaction, { apiVersion, binary }: Shape): Json {
  if (apiVersion === 1 && binary) {
    const { hash, ledgerIndex, closeTime } = transaction
    const { tx_blob: tx, meta_blob: meta } = binaryJson(transaction)
    return {
      tx,
      meta,
      date: closeTime,
      hash,
      inLedger: ledgerIndex,
      ledger_index: ledgerIndex,
      validated: true
    }
  }
  if (apiVersion === 1) return { ...flatJson(transaction), meta: metaOf(transaction), validated: true }
  const content = binary
    ? binaryJson(transaction)
    : { tx_json: nestedJson(transaction), meta: metaOf(transaction) }
  return { ...place(transaction), ...content, validated: true }
}

/** As in the list of `account_tx`. */
export function accountTxItem(transaction: ValidatedTransaction, { apiVersion, binary }: Shape): Json {
  if (binary) {
    const { tx_blob, meta_blob } = binaryJson(transaction)
    const meta = apiVersion === 1 ? { meta: meta_blob } : { meta_blob }
    return { tx_blob, ...meta, ledger_index: transaction.ledgerIndex, validated: true }
  }
  const meta = metaOf(transaction)
  return apiVersion === 1
    ? { tx: flatJson(transaction), meta, validated: true }
    : { ...place(transaction), tx_json: nestedJson(transaction), meta, validated: true }
}

/** As in the list of `ledger` with `transactions` and `expand`. */
export function ledgerItem(transaction: ValidatedTransaction, { apiVersion, binary }: Shape): Json {
  const { hash } = transaction
  if (binary) {
    const { tx_blob, meta_blob } = binaryJson(transaction)
    return apiVersion === 1 ? { tx_blob, meta: meta_blob } : { hash, tx_blob, meta_blob }
  }
  const fields = versionedFields(fieldsOf(transaction), apiVersion)
  return apiVersion === 1
    ? { ...fields, hash, metaData: metaOf(transaction) }
    : { ...place(transaction), tx_json: fields, meta: metaOf(transaction), validated: true }
}
