import { type Deserialized, deserialize, serialize } from './codec.ts'
import { definitions } from './definitions.ts'
import { hashPrefix, sha512Half, toHex } from './hashes.ts'
import { verifySignature } from './signatures.ts'
import type { AccountSettings, EscrowTerms } from './state.ts'

/** The fields of a transaction, in rippled's JSON; which of them are there depends on the type. */
export interface TransactionFields extends AccountSettings, EscrowTerms {
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
  PreviousTxnID?: string
  Memos?: { Memo?: Record<string, string> }[]

  Destination?: string
  /** Drops, or an object for other currencies than XRP. */
  Amount?: string | object
  SendMax?: string | object
  DeliverMin?: string | object
  Paths?: unknown[]
  CredentialIDs?: string[]
  DomainID?: string
  Delegate?: string

  Fulfillment?: string
  Owner?: string
  OfferSequence?: number

  TicketCount?: number

  SetFlag?: number
  ClearFlag?: number
}

export interface Transaction {
  /** 64 upper-case hex digits. */
  hash: string
  fields: TransactionFields
  blob: Buffer
}

/** Not a transaction that rippled would even try to apply; the message is for `error_exception`. */
export class InvalidTransaction extends Error {}

const minTransactionBytes = 32
const maxTransactionBytes = 1024 * 1024
const maxMemosBytes = 1024

const { common, ...ownFields } = definitions.TRANSACTION_FORMATS
/** Of the fields that all types have, those that rippled 3.2.0 knows: the sponsors' came later. */
const commonFields = common.filter(({ name }) => !name.startsWith('Sponsor'))

/** The fields of each type: those that must be there, and all. */
const formats = new Map(
  Object.entries(ownFields).map(([type, own]) => {
    const all = [...commonFields, ...own]
    const required = all.filter(({ optionality }) => optionality === 0).map(({ name }) => name)
    return [type, { required, known: new Set(all.map(({ name }) => name)) }]
  })
)

function checkFormat(fields: TransactionFields) {
  const { required, known } = formats.get(fields.TransactionType) ?? { required: ['TransactionType'] }
  const missing = required.find(name => !(name in fields))
  if (missing) throw new InvalidTransaction(`Field '${missing}' is required but missing.`)
  for (const name in fields)
    if (!known?.has(name)) throw new InvalidTransaction(`Field '${name}' found in disallowed location.`)
  if (fields.Paths?.length === 0)
    throw new InvalidTransaction("Field 'Paths' may not be explicitly set to default.")
}

function reject(reason: string): never {
  throw new InvalidTransaction(`fails local checks: ${reason}`)
}

// Source: rippled, protocol/impl/STTx.cpp, isMemoOkay.
function checkMemos(memos: NonNullable<TransactionFields['Memos']>) {
  // The bytes between the array's header and its end marker.
  if (serialize({ Memos: memos }).length - 2 > maxMemosBytes)
    reject('The memo exceeds the maximum allowed size.')
  for (const { Memo } of memos) {
    if (!Memo) return reject('A memo array may contain only Memo objects.')
    for (const [name, value] of Object.entries(Memo)) {
      if (!['MemoType', 'MemoData', 'MemoFormat'].includes(name))
        reject('A memo may contain only MemoType, MemoData or MemoFormat fields.')
      const text = name === 'MemoData' ? '' : Buffer.from(value, 'hex').toString('latin1')
      if (!/^[\w\-.~:/?#[\]@!$&'()*+,;=%]*$/.test(text))
        reject(
          'The MemoType and MemoFormat fields may only contain characters that are allowed in URLs under RFC 3986.'
        )
    }
  }
}

// Source: rippled, protocol/impl/STTx.cpp, passesLocalChecks.
function checkLocally(fields: TransactionFields) {
  const { Memos, Account, Destination, Owner, RegularKey, NFTokenMinter } = fields
  if (Memos) checkMemos(Memos)
  if ([Account, Destination, Owner, RegularKey, NFTokenMinter].includes(''))
    reject('An account field is invalid.')
}

function checkSignature(
  { SigningPubKey, TxnSignature = '', Signers }: TransactionFields,
  signedBytes: Buffer
) {
  if (SigningPubKey === '' && Signers) return // of no account here: it is refused for that
  if (Signers) reject('Cannot both single- and multi-sign.')
  const message = Buffer.concat([hashPrefix.signedTransaction, signedBytes])
  if (!verifySignature(message, TxnSignature, SigningPubKey)) reject('Invalid signature.')
}

/**
 * Reads a signed transaction and does the checks that depend on no ledger.
 *
 * @param options.trusted - skip the checks, for a transaction that a ledger has accepted before
 * @throws InvalidTransaction
 */
export function parseTransaction(bytes: Buffer, { trusted = false } = {}): Transaction {
  if (bytes.length < minTransactionBytes || bytes.length > maxTransactionBytes)
    throw new InvalidTransaction('Transaction length invalid')
  let read: Deserialized
  try {
    read = deserialize(bytes)
  } catch (cause) {
    throw new InvalidTransaction(cause instanceof Error ? cause.message : String(cause), { cause })
  }
  const { blob, signedBytes } = read
  const fields = read.fields as unknown as TransactionFields
  checkFormat(fields)
  if (!trusted) {
    checkSignature(fields, signedBytes)
    checkLocally(fields)
  }
  return { hash: toHex(sha512Half(hashPrefix.transactionId, blob)), fields, blob }
}
