import { isText, isUInt32, type Json, toObject } from './json.ts'
import {
  type Escrow,
  fromJsonMemo,
  fromMemos,
  fromXrplCondition,
  fromXrplFulfillment,
  isBase64url,
  isUuid,
  memoTypes,
  toEscrow,
  toMemos,
  toUnixMs
} from './transactions.ts'
import type { LedgerTransfer, RejectionMessage } from './types.ts'

const tfPartialPayment = 0x00020000
// Set in SponsorFlags if the sponsor pays the fee (XLS-68).
const spfSponsorFee = 1

/** A validated transaction that affects the plugin's account, checked field by field. */
export interface ValidatedTransaction {
  hash: string
  ledgerIndex: number
  /** its place in the ledger */
  index: number
  /** e.g. `EscrowCreate` */
  type: string
  /** e.g. `tesSUCCESS` */
  result: string
  account: string
  /** 0 if it used a ticket instead */
  sequence: number
  /** drops that it cost */
  fee: bigint
  /** the account that paid the fee */
  feePayer: string
  /** what it did, if it succeeded and means anything here */
  effect?: Effect
}

export type Effect =
  | TransferEffect
  | { kind: 'finish'; index: string; fulfillment: string | undefined }
  | { kind: 'cancel'; index: string }
  | { kind: 'message'; payee: string; rejection?: Rejection; message?: WireMessage }

/** A transfer was made. */
export interface TransferEffect {
  kind: 'transfer'
  payee: string
  transfer: LedgerTransfer
  /** see `fingerprintOf` */
  fingerprint: string
  /** undefined for a plain payment */
  escrow?: Escrow
  /** ledger time from which on the escrow can only be canceled */
  cancelAfter: number
}

/** Why a receiver rejects the transfer in the payer's escrow of that sequence. */
export interface Rejection {
  sequence: number
  reason: RejectionMessage
}

/** A message from one plugin to another, as a payment carries it. */
export interface WireMessage {
  id: string
  ilp?: string
  custom?: unknown
  /** whether its sender marks it as a response; plugins of 2017 never do */
  isResponse: boolean
}

/**
 * Reads an entry of `account_tx` or a response of `tx`.
 *
 * @param prefix - the ledger's ILP prefix
 * @returns undefined for anything but a complete validated transaction
 */
export function parseTransaction(entry: unknown, prefix: string): ValidatedTransaction | undefined {
  const outer = toObject(entry)
  const tx = toObject(outer?.tx) ?? outer
  const meta = toObject(outer?.meta)
  if (!outer?.validated || !tx || !meta) return undefined
  const { TransactionIndex: index, TransactionResult: result } = meta
  const { hash, ledger_index: ledgerIndex, TransactionType: type, Account: account } = tx
  const { Sequence: sequence, Fee } = tx
  if (!isText(hash) || !isText(type) || !isText(result) || !isText(account)) return undefined
  if (!isUInt32(ledgerIndex) || !isUInt32(index) || !isUInt32(sequence)) return undefined
  const fee = isText(Fee) && /^\d+$/.test(Fee) ? BigInt(Fee) : 0n
  const feePayer = feePayerOf(tx, account)
  const common = { hash, ledgerIndex, index, type, result, account, sequence, fee, feePayer }
  const effect = result === 'tesSUCCESS' ? effectOf(tx, hash, prefix) : undefined
  return effect ? { ...common, effect } : common
}

/**
 * The transfer in an escrow's ledger entry: all of it but its id and packet, which are in memos of the `EscrowCreate`.
 *
 * @returns undefined unless the entry says its sequence, as servers do for escrows that were made on version 3 or later
 */
export function parseEscrowEntry(entry: Json, index: string, prefix: string): TransferEffect | undefined {
  const Memos = toMemos([[memoTypes.id, ownId(index)]])
  const effect = transferOf({ ...entry, TransactionType: 'EscrowCreate', Memos }, prefix)
  return effect?.escrow?.index === index ? effect : undefined
}

/**
 * What identifies a transfer on the ledger beside its id: two transfers of one id are the same if this is.
 *
 * @param tx - an `EscrowCreate` or `Payment`
 */
export function fingerprintOf(tx: Json): string {
  const { TransactionType, Destination, Amount, Condition, CancelAfter, Memos } = tx
  const ilp = fromMemos(Memos, memoTypes.ilp)
  return JSON.stringify([TransactionType, Destination, Amount, Condition, CancelAfter, ilp])
}

/** A UUID of version 8 (RFC 9562, "custom") from a transaction's hash: only this plugin gives such ids. */
export function ownId(hash: string): string {
  const text = hash.toLowerCase()
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-8${text.slice(13, 16)}-a${text.slice(17, 20)}-${text.slice(20, 32)}`
}

/** Whether an id has the form of those that only this plugin gives. */
export function isOwnId(id: string): boolean {
  return /^.{14}8/.test(id)
}

/** Who pays a transaction's fee: its account, unless it is sponsored (XLS-68) or delegated (XLS-75). */
function feePayerOf({ Sponsor, SponsorFlags, Delegate }: Json, account: string): string {
  if (isText(Sponsor) && Number(SponsorFlags) & spfSponsorFee) return Sponsor
  return isText(Delegate) ? Delegate : account
}

function effectOf(tx: Json, hash: string, prefix: string): Effect | undefined {
  switch (tx.TransactionType) {
    case 'EscrowCreate':
    case 'Payment':
      return transferOf(tx, prefix) ?? messageOf(tx, hash)
    case 'EscrowFinish':
    case 'EscrowCancel': {
      const escrow = escrowOf(tx.Owner, tx.OfferSequence)
      if (!escrow) return undefined
      const { index } = escrow
      if (tx.TransactionType === 'EscrowCancel') return { kind: 'cancel', index }
      return { kind: 'finish', index, fulfillment: fromXrplFulfillment(tx.Fulfillment) }
    }
    default:
      return undefined
  }
}

/**
 * The transfer that an `EscrowCreate` or `Payment` from anyone makes.
 *
 * @returns undefined unless it carries an id, is paid in XRP, and can be fulfilled or canceled if it is an escrow
 */
function transferOf(tx: Json, prefix: string): TransferEffect | undefined {
  const { TransactionType, Account, Destination, Condition, CancelAfter, FinishAfter, Memos } = tx
  const id = fromMemos(Memos, memoTypes.id)
  const { Amount: amount } = tx
  if (!isUuid(id) || !isText(Destination) || !isText(amount) || !/^\d{1,20}$/.test(amount)) return undefined
  const ilp = fromMemos(Memos, memoTypes.ilp)
  const transfer: LedgerTransfer = {
    id,
    from: `${prefix}${Account}`,
    to: `${prefix}${Destination}`,
    ledger: prefix,
    amount,
    ilp: isBase64url(ilp) ? ilp : ''
  }
  const common = { kind: 'transfer', payee: Destination, fingerprint: fingerprintOf(tx) } as const
  if (TransactionType === 'Payment') {
    // A partial payment may deliver next to nothing of its amount (xrpl.org: Partial Payments).
    const isPartial = Number(tx.Flags ?? 0) & tfPartialPayment
    return isPartial ? undefined : { ...common, transfer, cancelAfter: Number.POSITIVE_INFINITY }
  }
  const executionCondition = fromXrplCondition(Condition)
  const escrow = escrowOf(Account, tx.Sequence || tx.TicketSequence)
  if (!executionCondition || !escrow || !isUInt32(CancelAfter) || FinishAfter !== undefined) return undefined
  const expiresAt = new Date(toUnixMs(CancelAfter)).toISOString()
  return {
    ...common,
    transfer: { ...transfer, executionCondition, expiresAt },
    escrow,
    cancelAfter: CancelAfter
  }
}

function escrowOf(owner: unknown, sequence: unknown): Escrow | undefined {
  try {
    return isText(owner) && isUInt32(sequence) ? toEscrow(owner, sequence) : undefined
  } catch {
    // The owner is not an account.
    return undefined
  }
}

function messageOf({ TransactionType, Destination, Memos }: Json, hash: string): Effect | undefined {
  if (TransactionType !== 'Payment' || !isText(Destination)) return undefined
  const rejection = toRejection(fromJsonMemo(Memos, memoTypes.rejection))
  const id = fromMemos(Memos, memoTypes.messageId)
  const message = toMessage(fromJsonMemo(Memos, memoTypes.message), id, hash)
  if (!rejection && !message) return undefined
  return {
    kind: 'message',
    payee: Destination,
    ...(rejection && { rejection }),
    ...(message && { message })
  }
}

function toRejection(content: Json | undefined): Rejection | undefined {
  const reason = toObject(content?.reason)
  if (!isUInt32(content?.sequence) || !reason) return undefined
  const { code, name, message, triggered_by, triggered_at, forwarded_by, additional_info } = reason
  if (![code, name, message].every(isText)) return undefined
  if (![triggered_by, triggered_at].every(text => text === undefined || isText(text))) return undefined
  // Before it was a list, the interface had one address here, and ilp-compat-plugin still does.
  const forwarders = isText(forwarded_by) ? [forwarded_by].filter(Boolean) : forwarded_by
  if (forwarders !== undefined && !(Array.isArray(forwarders) && forwarders.every(isText))) return undefined
  if (additional_info !== undefined && !toObject(additional_info)) return undefined
  const complete = { ...reason, ...(forwarders !== undefined && { forwarded_by: forwarders }) }
  return { sequence: content.sequence, reason: complete as unknown as RejectionMessage }
}

/** @param idMemo - the message's id where it stands in a memo of its own */
function toMessage(
  content: Json | undefined,
  idMemo: string | undefined,
  hash: string
): WireMessage | undefined {
  if (!content) return undefined
  const { id = idMemo, ilp, custom, isResponse } = content
  // The plugin of 2017 sends what its host passes, and nothing else.
  if (id === undefined) return { id: ownId(hash), custom: content, isResponse: false }
  if (!isText(id)) return undefined
  return {
    id,
    ...(isText(ilp) && { ilp }),
    ...(custom !== undefined && { custom }),
    isResponse: isResponse === true
  }
}
