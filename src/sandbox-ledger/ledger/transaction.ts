import { decode } from 'ripple-binary-codec'
import { hashPrefix, sha512Half, toHex } from './hashes.ts'
import { serialize } from './serialize.ts'
import { verifySignature } from './signatures.ts'

/** The fields of a transaction, in rippled's JSON; which of them are there depends on the type. */
export interface TransactionFields {
  TransactionType: string
  Account: string
  /** Drops. */
  Fee: string
  Sequence: number
  SigningPubKey: string
  TxnSignature?: string
  Flags?: number
  LastLedgerSequence?: number
  AccountTxnID?: string
  NetworkID?: number
  TicketSequence?: number
  Signers?: unknown[]
  Memos?: { Memo?: Record<string, string> }[]

  Destination?: string
  DestinationTag?: number
  SourceTag?: number
  /** Drops, or an object for other currencies than XRP. */
  Amount?: string | object
  SendMax?: unknown
  Paths?: unknown

  Condition?: string
  Fulfillment?: string
  CancelAfter?: number
  FinishAfter?: number
  Owner?: string
  OfferSequence?: number
}

export interface Transaction {
  /** 64 upper-case hex digits. */
  hash: string
  fields: TransactionFields
  blob: Buffer
}

/** Not a transaction that rippled would even try to apply; the message is for `error_exception`. */
export class InvalidTransaction extends Error {}

const MIN_LENGTH = 32
const MAX_LENGTH = 1024 * 1024
const MAX_MEMOS_LENGTH = 1024

const common = 'Account Fee Sequence SigningPubKey'.split(' ')
const commonOptional =
  `TransactionType TxnSignature Flags SourceTag AccountTxnID LastLedgerSequence Memos Signers NetworkID
  TicketSequence PreviousTxnID OperationLimit`.split(/\s+/)

const formats: Record<string, { required: string[]; optional: string[] }> = {
  Payment: {
    required: ['Destination', 'Amount'],
    optional: ['SendMax', 'Paths', 'InvoiceID', 'DestinationTag', 'DeliverMin']
  },
  EscrowCreate: {
    required: ['Destination', 'Amount'],
    optional: ['Condition', 'CancelAfter', 'FinishAfter', 'DestinationTag']
  },
  EscrowFinish: { required: ['Owner', 'OfferSequence'], optional: ['Condition', 'Fulfillment'] },
  EscrowCancel: { required: ['Owner', 'OfferSequence'], optional: [] }
}

function checkFormat(fields: TransactionFields) {
  const format = formats[fields.TransactionType]
  const missing = [...common, ...(format?.required ?? [])].find(name => !(name in fields))
  if (missing) throw new InvalidTransaction(`Field '${missing}' is required but missing.`)
  if (!format) return
  const known = new Set([...common, ...commonOptional, ...format.required, ...format.optional])
  const stray = Object.keys(fields).find(name => !known.has(name))
  if (stray) throw new InvalidTransaction(`Field '${stray}' found in disallowed location.`)
}

// Source: rippled, protocol/impl/STTx.cpp, isMemoOkay.
function checkMemos(memos: NonNullable<TransactionFields['Memos']>) {
  const reject = (reason: string): never => {
    throw new InvalidTransaction(`fails local checks: ${reason}`)
  }
  // The bytes between the array's header and its end marker.
  if (serialize({ Memos: memos }).length - 2 > MAX_MEMOS_LENGTH)
    reject('The memo exceeds the maximum allowed size.')
  for (const { Memo } of memos) {
    if (!Memo) return reject('A memo array may contain only Memo objects.')
    for (const [name, value] of Object.entries(Memo)) {
      if (!['MemoType', 'MemoData', 'MemoFormat'].includes(name))
        reject('A memo may contain only MemoType, MemoData or MemoFormat fields.')
      const text = Buffer.from(value, 'hex').toString('latin1')
      if (name !== 'MemoData' && !/^[\w\-.~:/?#[\]@!$&'()*+,;=%]*$/.test(text))
        reject(
          'The MemoType and MemoFormat fields may only contain characters that are allowed in URLs under RFC 3986.'
        )
    }
  }
}

/**
 * Reads a signed transaction and does the checks that depend on no ledger.
 *
 * `trusted` skips the signature check, for transactions that this ledger has accepted before.
 * Throws InvalidTransaction.
 */
export function parseTransaction(bytes: Buffer, { trusted = false } = {}): Transaction {
  if (bytes.length < MIN_LENGTH || bytes.length > MAX_LENGTH)
    throw new InvalidTransaction('Transaction length invalid')
  let fields: TransactionFields
  let blob: Buffer
  try {
    fields = decode(toHex(bytes)) as unknown as TransactionFields
    blob = serialize(fields)
  } catch (cause) {
    throw new InvalidTransaction(cause instanceof Error ? cause.message : String(cause), { cause })
  }
  checkFormat(fields)
  if (fields.Memos) checkMemos(fields.Memos)
  const hash = toHex(sha512Half(hashPrefix.transactionId, blob))
  if (!trusted && !fields.Signers) {
    const message = Buffer.concat([hashPrefix.signedTransaction, serialize(fields, { forSigning: true })])
    if (!verifySignature(message, fields.TxnSignature ?? '', fields.SigningPubKey))
      throw new InvalidTransaction('fails local checks: Invalid signature.')
  }
  return { hash, fields, blob }
}
