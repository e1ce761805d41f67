import { createHash } from 'node:crypto'
import { decodeAccountID } from 'ripple-address-codec'
import { check, InvalidFieldsError, MaximumIlpDataSizeExceededError } from './errors.ts'
import { type Json, parseObject, toObject } from './json.ts'
import type { RejectionMessage, Transfer } from './types.ts'
import { sha512Half, toHex, uint32 } from './wallet.ts'

// Ledger time counts seconds from 2000-01-01T00:00Z.
const rippleEpoch = 946_684_800
const maxUInt32 = 2 ** 32 - 1
const maxUInt64 = 2n ** 64n - 1n
// All the XRP there is.
const maxDrops = 10n ** 17n
// Of memos in the ledger's binary format (xrpl.org: Memos Field).
const maxMemosBytes = 1024
// The namespace of an escrow's ledger entry, "u" (xrpl.org: Escrow, Escrow ID Format).
const escrowSpace = Uint8Array.of(0x00, 0x75)

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const isoShape = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/
// Interledger RFC 0015 (ILP Addresses)
const ilpAddressShape = /^[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)*$/
const bytes32Shape = /^[A-Za-z0-9_-]{43}$/

/**
 * What the fulfillment of an escrow costs, in multiples of the reference transaction's cost: 33, and 1 for every 16 of
 * its 36 bytes (xrpl.org: Transaction Cost).
 */
export const fulfillmentFeeUnits = 33 + Math.floor(36 / 16)

/** What a transaction costs, in the same multiples. */
export function feeUnitsOf({ TransactionType }: Json): number {
  return TransactionType === 'EscrowFinish' ? fulfillmentFeeUnits : 1
}

/**
 * The transaction that makes a transfer: an `EscrowCreate`, or a `Payment` for a transfer without a condition.
 *
 * @param transfer - as the host gave it
 * @param address - classic address of the sender
 * @param prefix - the ledger's ILP prefix
 * @throws InvalidFieldsError with the field and its value
 * @throws MaximumIlpDataSizeExceededError
 */
export function toTransaction(transfer: Transfer, address: string, prefix: string): Json {
  const { id, from, to, ledger, amount, ilp, executionCondition, expiresAt } = toObject(transfer) ?? {}
  check(isUuid(id), `The transfer's id "${id}" is not a UUID`)
  check(
    from === undefined || toClassicAddress(from, prefix) === address,
    `Transfer "${id}" is from "${from}", which is not this plugin's account "${prefix}${address}"`
  )
  check(
    ledger === undefined || ledger === prefix,
    `Transfer "${id}" is for the ledger "${ledger}", this one is "${prefix}"`
  )
  const destination = toClassicAddress(to, prefix)
  checkAmount(id, amount)
  check(
    ilp === undefined || isBase64url(ilp),
    `The packet "${ilp}" of transfer "${id}" is not base64url without padding`
  )
  // The plugin of 2017 fails on a transfer without the packet's memo.
  const Memos = toMemos([
    [memoTypes.ilp, ilp ?? ''],
    [memoTypes.id, id]
  ])
  if (!fitsMemos(Memos))
    throw new MaximumIlpDataSizeExceededError(`The packet of transfer "${id}" is too large for the ledger`)
  const common = { Destination: destination, Amount: amount, Memos }
  if (executionCondition === undefined) return { TransactionType: 'Payment', ...common }
  const condition = parseBytes32(executionCondition)
  check(
    condition,
    `The condition "${executionCondition}" of transfer "${id}" is not 32 bytes of unpadded base64url`
  )
  check(
    expiresAt !== undefined,
    `Transfer "${id}" has a condition but no expiry: its money could be locked for ever`
  )
  return {
    TransactionType: 'EscrowCreate',
    ...common,
    Condition: toXrplCondition(condition),
    CancelAfter: toRippleTime(expiresAt)
  }
}

/** The transaction that pays an incoming transfer out to its receiver. */
export function toEscrowFinish({ owner, sequence }: Escrow, fulfillment: Buffer): Json {
  return {
    TransactionType: 'EscrowFinish',
    Owner: owner,
    OfferSequence: sequence,
    Condition: toXrplCondition(createHash('sha256').update(fulfillment).digest()),
    Fulfillment: `A0228020${toHex(fulfillment)}`
  }
}

/** The transaction that returns an expired transfer to its sender. */
export function toEscrowCancel({ owner, sequence }: Escrow): Json {
  return { TransactionType: 'EscrowCancel', Owner: owner, OfferSequence: sequence }
}

/** The payment that carries a receiver's reason to the payer, with the escrow's sequence, since ids are ambiguous. */
export function toRejectionPayment({ owner, sequence }: Escrow, reason: RejectionMessage): Json {
  const Memos = toMemos([[memoTypes.rejection, JSON.stringify({ sequence, reason })]])
  return { TransactionType: 'Payment', Destination: owner, Amount: '1', Memos }
}

/** An escrow on the ledger. */
export interface Escrow {
  /** of its ledger entry: what an escrow is looked up by */
  index: string
  /** classic address of the account whose money it holds */
  owner: string
  /** the sequence or ticket of its `EscrowCreate` */
  sequence: number
}

/** An escrow, from what its ledger entry's index is made of (xrpl.org: Escrow, Escrow ID Format). */
export function toEscrow(owner: string, sequence: number): Escrow {
  return { index: toHex(sha512Half(escrowSpace, decodeAccountID(owner), uint32(sequence))), owner, sequence }
}

// Conditions and fulfillments are PREIMAGE-SHA-256 crypto-conditions in DER, with a preimage of 32 bytes
// (draft-thomas-crypto-conditions-02, 8.1).
const conditionHex = /^A0258020([0-9A-F]{64})810120$/

/**
 * Reads 32 bytes of unpadded base64url. Its last character has two bits more than there are bytes: they are ignored.
 *
 * @returns the bytes, or undefined for anything else
 */
export function parseBytes32(text: unknown): Buffer | undefined {
  return typeof text === 'string' && bytes32Shape.test(text) ? Buffer.from(text, 'base64url') : undefined
}

/**
 * The condition of an `EscrowCreate`. Only the canonical form counts: `EscrowFinish` has to repeat its bytes.
 *
 * @returns 32 bytes, base64url; undefined for a condition of another kind or form
 */
export function fromXrplCondition(condition: unknown): string | undefined {
  const digits = typeof condition === 'string' ? conditionHex.exec(condition)?.[1] : undefined
  return digits && Buffer.from(digits, 'hex').toString('base64url')
}

/**
 * The fulfillment of an `EscrowFinish`, in any form that rippled accepts: lengths may be in the long form, with up to
 * eight bytes and zeros in front.
 *
 * @returns 32 bytes, base64url; undefined for a fulfillment of another kind
 */
export function fromXrplFulfillment(fulfillment: unknown): string | undefined {
  if (typeof fulfillment !== 'string' || !/^([0-9A-F]{2})+$/i.test(fulfillment)) return undefined
  const preimage = contentOf(0x80, contentOf(0xa0, Buffer.from(fulfillment, 'hex')))
  return preimage?.length === 32 ? preimage.toString('base64url') : undefined
}

/** The content of a DER value that takes all of the bytes and has that tag. */
function contentOf(tag: number, der: Buffer | undefined): Buffer | undefined {
  if (!der || der.length < 2 || der[0] !== tag) return undefined
  const first = der.readUInt8(1)
  const lengthBytes = first & 0x80 ? first & 0x7f : 0
  if (first === 0x80 || lengthBytes > 8 || der.length < 2 + lengthBytes) return undefined
  const length = lengthBytes ? BigInt(`0x${der.toString('hex', 2, 2 + lengthBytes)}`) : BigInt(first)
  const content = der.subarray(2 + lengthBytes)
  return length === BigInt(content.length) ? content : undefined
}

/** Whether a fulfillment hashes to a condition: each 32 bytes, base64url. */
export function meetsCondition(fulfillment: unknown, condition: unknown): fulfillment is string {
  const preimage = parseBytes32(fulfillment)
  if (!preimage) return false
  return isSameBytes32(createHash('sha256').update(preimage).digest('base64url'), condition)
}

/** Whether two texts stand for the same 32 bytes: a host need not write the last character as the ledger's is read. */
export function isSameBytes32(one: unknown, other: unknown): boolean {
  return parseBytes32(one)?.toString('hex') === parseBytes32(other)?.toString('hex')
}

function toXrplCondition(condition: Buffer): string {
  return `A0258020${toHex(condition)}810120`
}

/** Unix time in milliseconds of a ledger time in seconds. */
export function toUnixMs(rippleSeconds: number): number {
  return (rippleSeconds + rippleEpoch) * 1000
}

/**
 * The ledger time of an ISO 8601 time, rounded down: money never comes back later than the host asked for.
 *
 * @throws InvalidFieldsError if the text is not an ISO 8601 time, or one that the ledger cannot express
 */
export function toRippleTime(iso: unknown): number {
  const unixMs = typeof iso === 'string' && isoShape.test(iso) ? Date.parse(iso) : Number.NaN
  const seconds = Math.floor(unixMs / 1000) - rippleEpoch
  check(
    !Number.isNaN(seconds),
    `The expiry "${iso}" is not an ISO 8601 time such as "2017-10-31T12:00:00.000Z"`
  )
  check(seconds <= maxUInt32, `The expiry "${iso}" lies beyond what the ledger can express (the year 2136)`)
  return seconds
}

/**
 * The classic address at the head of the local part of an ILP address.
 *
 * @throws InvalidFieldsError if the address is not one on this ledger
 */
export function toClassicAddress(ilpAddress: unknown, prefix: string): string {
  check(
    typeof ilpAddress === 'string' && ilpAddress.length <= 1023 && ilpAddressShape.test(ilpAddress),
    `"${ilpAddress}" is not an ILP address`
  )
  check(
    ilpAddress.startsWith(prefix),
    `The address "${ilpAddress}" is not on this ledger: it must begin with "${prefix}"`
  )
  const address = ilpAddress.slice(prefix.length).split('.')[0] ?? ''
  try {
    decodeAccountID(address)
    return address
  } catch {
    throw new InvalidFieldsError(`The address "${ilpAddress}" names no XRP Ledger account after "${prefix}"`)
  }
}

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuidShape.test(value)
}

export function isBase64url(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]*$/.test(value)
}

function checkAmount(id: string, amount: unknown): asserts amount is string {
  check(
    typeof amount === 'string' && /^(0|[1-9]\d{0,19})$/.test(amount) && BigInt(amount) <= maxUInt64,
    `The amount "${amount}" of transfer "${id}" is not a string of an integer from 0 to 2^64 - 1 (in drops)`
  )
  check(amount !== '0', `The amount "0" of transfer "${id}" cannot be sent on the XRP Ledger`)
  check(
    BigInt(amount) <= maxDrops,
    `The amount "${amount}" of transfer "${id}" is more XRP than there is (10^17 drops)`
  )
}

/** The memo types of this plugin and its predecessor of 2017, in hex as on the ledger. */
export const memoTypes = {
  /** the transfer's ILP packet, base64url */
  ilp: hexOf('https://interledger.org/rel/xrpIlp'),
  /** the transfer's id, a UUID */
  id: hexOf('https://interledger.org/rel/xrpId'),
  /** a message between two plugins, JSON */
  message: hexOf('https://interledger.org/rel/xrpMessage'),
  /** the message's id, where it does not stand in the message */
  messageId: hexOf('https://interledger.org/rel/xrpMessageId'),
  /** why the receiver rejects a transfer, JSON; unknown to the predecessor */
  rejection: hexOf('https://interledger.org/rel/xrpRejection')
}

/** A transaction's `Memos` field, UTF-8 in upper-case hex. */
export type Memos = { Memo: { MemoType: string; MemoData: string } }[]

/** @param texts - pairs of memo type (one of `memoTypes`) and data */
export function toMemos(texts: [type: string, data: string][]): Memos {
  return texts.map(([type, data]) => ({ Memo: { MemoType: type, MemoData: hexOf(data) } }))
}

/**
 * Reads one memo of a transaction from anyone.
 *
 * @param memos - the transaction's `Memos` field, or whatever stands in its place
 * @returns the data of the first memo of that type, as text
 */
export function fromMemos(memos: unknown, type: string): string | undefined {
  if (!Array.isArray(memos)) return undefined
  for (const entry of memos) {
    const memo = entry?.Memo
    if (typeof memo?.MemoType === 'string' && memo.MemoType.toUpperCase() === type) {
      return typeof memo.MemoData === 'string' ? Buffer.from(memo.MemoData, 'hex').toString() : undefined
    }
  }
  return undefined
}

/** The same for a memo that holds a JSON object. */
export function fromJsonMemo(memos: unknown, type: string): Json | undefined {
  const text = fromMemos(memos, type)
  return text === undefined ? undefined : parseObject(text)
}

/** Whether the ledger accepts memos of this size. */
export function fitsMemos(memos: Memos): boolean {
  let length = 0
  for (const { Memo } of memos) length += 2 + fieldLength(Memo.MemoType) + fieldLength(Memo.MemoData)
  return length <= maxMemosBytes
}

/** A field of bytes takes one byte for its name and one or two for its length; a memo takes two more. */
function fieldLength(hex: string): number {
  const length = hex.length / 2
  return 1 + (length > 192 ? 2 : 1) + length
}

/** Upper-case hex of a text's UTF-8. */
function hexOf(text: string): string {
  return toHex(Buffer.from(text))
}
