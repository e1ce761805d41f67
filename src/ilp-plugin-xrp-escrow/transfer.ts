import { fromXrplCondition, parseBytes32, toXrplCondition } from './condition.ts'
import { encodeAccount } from './encode.ts'
import { InvalidFieldsError, MaximumIlpDataSizeExceededError } from './errors.ts'
import { check, isUInt32, type Json, toObject } from './json.ts'
import { fitsMemos, fromMemos, memoTypes, toMemos } from './memos.ts'
import type { LedgerTransfer, Transfer } from './types.ts'

// Ledger time counts seconds from 2000-01-01T00:00Z.
const rippleEpoch = 946_684_800
const maxUInt32 = 2 ** 32 - 1
const maxUInt64 = 2n ** 64n - 1n
const tfPartialPayment = 0x00020000
// All the XRP there is.
const maxDrops = 10n ** 17n

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const isoShape = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/
// Interledger RFC 0015 (ILP Addresses)
const ilpAddressShape = /^[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)*$/
const base64urlShape = /^[A-Za-z0-9_-]*$/

/** Unix time in milliseconds of a ledger time in seconds. */
export function toUnixMs(rippleSeconds: number): number {
  return (rippleSeconds + rippleEpoch) * 1000
}

/**
 * The ledger time of an ISO 8601 time, rounded down: money never comes back later than it was said to.
 *
 * @throws InvalidFieldsError if the text is no ISO 8601 time or the ledger cannot express it
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
    encodeAccount(address)
    return address
  } catch {
    throw new InvalidFieldsError(`The address "${ilpAddress}" names no XRP Ledger account after "${prefix}"`)
  }
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
  check(typeof id === 'string' && uuidShape.test(id), `The transfer's id "${id}" is not a UUID`)
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
    ilp === undefined || (typeof ilp === 'string' && base64urlShape.test(ilp)),
    `The packet "${ilp}" of transfer "${id}" is not base64url`
  )
  // The 2017 plugin stumbles over a transfer without the packet's memo, so it is always there.
  const Memos = toMemos([
    [memoTypes.ilp, ilp ?? ''],
    [memoTypes.id, id]
  ])
  if (!fitsMemos(Memos))
    throw new MaximumIlpDataSizeExceededError(
      `The packet of transfer "${id}" has no room in a memo of the ledger`
    )
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

/**
 * The transfer that a validated `EscrowCreate` or `Payment` makes.
 *
 * @param tx - the transaction, from anyone
 * @param prefix - the ledger's ILP prefix
 * @returns undefined for a transaction that is no Interledger transfer: one without the memo of an id, one
 *   that is not paid in XRP, or an escrow that nobody could fulfill or cancel as a transfer
 */
export function fromTransaction(tx: Json, prefix: string): LedgerTransfer | undefined {
  const id = fromMemos(tx.Memos, memoTypes.id)
  // API version 2 calls a Payment's amount DeliverMax.
  const amount = tx.Amount ?? tx.DeliverMax
  if (!id || !uuidShape.test(id) || typeof amount !== 'string' || !/^\d{1,20}$/.test(amount)) return undefined
  const ilp = fromMemos(tx.Memos, memoTypes.ilp) ?? ''
  const transfer: LedgerTransfer = {
    id,
    from: `${prefix}${tx.Account}`,
    to: `${prefix}${tx.Destination}`,
    ledger: prefix,
    amount,
    // Whatever is no packet is none, rather than something for a host to stumble over.
    ilp: base64urlShape.test(ilp) ? ilp : ''
  }
  if (tx.TransactionType === 'Payment') {
    // A partial payment may deliver next to nothing of its amount (xrpl.org: Partial Payments).
    return Number(tx.Flags ?? 0) & tfPartialPayment ? undefined : transfer
  }
  const executionCondition = fromXrplCondition(tx.Condition)
  if (!executionCondition || !isUInt32(tx.CancelAfter) || tx.FinishAfter !== undefined) return undefined
  return { ...transfer, executionCondition, expiresAt: new Date(toUnixMs(tx.CancelAfter)).toISOString() }
}

/**
 * What the ledger keeps of a transfer: two transfers of one id are the same if this is.
 *
 * @param tx - an `EscrowCreate` or `Payment` of this plugin
 */
export function termsOf(tx: Json): string {
  const { TransactionType, Destination, Amount, DeliverMax, Condition, CancelAfter, Memos } = tx
  const ilp = fromMemos(Memos, memoTypes.ilp)
  return JSON.stringify([TransactionType, Destination, Amount ?? DeliverMax, Condition, CancelAfter, ilp])
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
