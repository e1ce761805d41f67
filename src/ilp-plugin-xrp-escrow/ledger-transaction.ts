import { fromXrplFulfillment } from './condition.ts'
import { isUInt32, type Json, toObject } from './json.ts'
import { fromJsonMemo, fromMemos, memoTypes } from './memos.ts'
import { fromTransaction, termsOf } from './transfer.ts'
import type { LedgerTransfer, RejectionMessage } from './types.ts'

/** A transaction in a validated ledger that touches the plugin's account, in a shape that can be believed. */
export interface ValidatedTransaction {
  hash: string
  ledgerIndex: number
  /** its place in the ledger */
  index: number
  /** e.g. `tesSUCCESS` */
  result: string
  account: string
  /** 0 for one that used a ticket in place of a sequence */
  sequence: number
  /** what it has cost its sender, drops */
  fee: bigint
  /** what it says or does, if it succeeded and means anything here */
  content?: Content
}

export type Content =
  | TransferContent
  | { kind: 'finish'; escrow: string; fulfillment: string }
  | { kind: 'cancel'; escrow: string }
  | { kind: 'payment'; payee: string; rejection?: Rejection; message?: WireMessage }

/** A transfer that a transaction has made. */
export interface TransferContent {
  kind: 'transfer'
  payee: string
  transfer: LedgerTransfer
  /** see `termsOf` */
  terms: string
  /** none for a plain payment */
  escrow?: Escrow
  /** ledger time after which only a cancel is possible */
  cancelAfter: number
}

/** The name of an escrow on the ledger: who locked the money, and the sequence or ticket that it took. */
export interface Escrow {
  owner: string
  sequence: number
}

/** Why a receiver does not want the payer's transfer in the escrow of that sequence. */
export interface Rejection {
  sequence: number
  reason: RejectionMessage
}

/** What a payment carries from one plugin to another. */
export interface WireMessage {
  id: string
  ilp?: string
  custom?: unknown
  /** whether its sender calls it an answer; plugins of 2017 say nothing about that */
  isResponse: boolean
}

export function nameOf({ owner, sequence }: Escrow): string {
  return `${owner}:${sequence}`
}

/**
 * Reads an entry of `account_tx`, or an answer of `tx`, in version 1 or 2 of the API. This is the one place where
 * what others have put on the ledger becomes something that the plugin goes by.
 *
 * @param prefix - the ledger's ILP prefix
 * @returns undefined for what is not a validated transaction with all that belongs to it
 */
export function parseTransaction(entry: unknown, prefix: string): ValidatedTransaction | undefined {
  const outer = toObject(entry)
  const tx = toObject(outer?.tx_json ?? outer?.tx) ?? outer
  const meta = toObject(outer?.meta)
  if (!outer?.validated || !tx || !meta) return undefined
  const hash = outer.hash ?? tx.hash
  const ledgerIndex = outer.ledger_index ?? tx.ledger_index
  const { TransactionIndex: index, TransactionResult: result } = meta
  const { Account: account, Sequence: sequence, Fee } = tx
  if (typeof hash !== 'string' || typeof result !== 'string' || typeof account !== 'string') return undefined
  if (!isUInt32(ledgerIndex) || !isUInt32(index) || !isUInt32(sequence)) return undefined
  const fee = isText(Fee) && /^\d+$/.test(Fee) ? BigInt(Fee) : 0n
  const common = { hash, ledgerIndex, index, result, account, sequence, fee }
  const content = result === 'tesSUCCESS' ? contentOf(tx, hash, prefix) : undefined
  return content ? { ...common, content } : common
}

function contentOf(tx: Json, hash: string, prefix: string): Content | undefined {
  const { TransactionType, Account, Destination, Owner, OfferSequence } = tx
  switch (TransactionType) {
    case 'EscrowCreate':
    case 'Payment': {
      if (typeof Destination !== 'string') return undefined
      const transfer = fromTransaction(tx, prefix)
      if (!transfer) return TransactionType === 'Payment' ? paymentOf(tx, hash, Destination) : undefined
      const common = { kind: 'transfer', payee: Destination, transfer, terms: termsOf(tx) } as const
      if (TransactionType === 'Payment') return { ...common, cancelAfter: Number.POSITIVE_INFINITY }
      const sequence = tx.Sequence || tx.TicketSequence
      // What cannot be named can be neither finished nor cancelled.
      if (!isUInt32(sequence)) return undefined
      const escrow = { owner: String(Account), sequence }
      return { ...common, escrow, cancelAfter: Number(tx.CancelAfter) }
    }
    case 'EscrowFinish':
    case 'EscrowCancel': {
      if (typeof Owner !== 'string' || !isUInt32(OfferSequence)) return undefined
      const escrow = nameOf({ owner: Owner, sequence: OfferSequence })
      if (TransactionType === 'EscrowCancel') return { kind: 'cancel', escrow }
      const fulfillment = fromXrplFulfillment(tx.Fulfillment)
      return fulfillment ? { kind: 'finish', escrow, fulfillment } : undefined
    }
    default:
      return undefined
  }
}

function paymentOf({ Memos }: Json, hash: string, payee: string): Content | undefined {
  const rejection = toRejection(fromJsonMemo(Memos, memoTypes.rejection))
  const id = fromMemos(Memos, memoTypes.messageId)
  const message = toMessage(fromJsonMemo(Memos, memoTypes.message), id, hash)
  if (!rejection && !message) return undefined
  return { kind: 'payment', payee, ...(rejection && { rejection }), ...(message && { message }) }
}

function toRejection(content: Json | undefined): Rejection | undefined {
  const reason = toObject(content?.reason)
  if (!isUInt32(content?.sequence) || !reason) return undefined
  const { code, name, message, triggered_by, triggered_at, additional_info } = reason
  // Before it was a list, the interface had one address here, and ilp-compat-plugin still does.
  const forwarded_by = isText(reason.forwarded_by)
    ? [reason.forwarded_by].filter(Boolean)
    : reason.forwarded_by
  if (![code, name, message].every(isText)) return undefined
  if (![triggered_by, triggered_at].every(text => text === undefined || isText(text))) return undefined
  if (forwarded_by !== undefined && !(Array.isArray(forwarded_by) && forwarded_by.every(isText)))
    return undefined
  if (additional_info !== undefined && !toObject(additional_info)) return undefined
  return { sequence: content.sequence, reason: { ...reason, forwarded_by } as unknown as RejectionMessage }
}

function toMessage(
  content: Json | undefined,
  idBeside: string | undefined,
  hash: string
): WireMessage | undefined {
  if (!content) return undefined
  const { id = idBeside, ilp, custom, isResponse } = content
  // The plugin of 2017 sends what its host gave it, and nothing else.
  if (id === undefined) return { id: ownId(hash), custom: content, isResponse: false }
  if (!isText(id)) return undefined
  return {
    id,
    ...(isText(ilp) && { ilp }),
    ...(custom !== undefined && { custom }),
    isResponse: isResponse === true
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/**
 * An id of this plugin's own making, from a transaction's hash: a UUID of version 8, "custom" (RFC 9562), which no
 * sender's word is taken for.
 */
export function ownId(hash: string): string {
  const text = hash.toLowerCase()
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-8${text.slice(13, 16)}-a${text.slice(17, 20)}-${text.slice(20, 32)}`
}

/** Whether an id has the shape of those that only this plugin gives. */
export function isOwnId(id: string): boolean {
  return /^.{14}8/.test(id)
}
