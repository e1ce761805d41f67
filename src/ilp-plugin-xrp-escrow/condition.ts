import { createHash } from 'node:crypto'

// PREIMAGE-SHA-256 crypto-conditions over a preimage of 32 bytes, the only kind Interledger uses:
// the DER encoding around the bytes is always the same (draft-thomas-crypto-conditions-02, 8.1).
const conditionHex = /^A0258020([0-9A-F]{64})810120$/
const fulfillmentHex = /^A0228020([0-9A-F]{64})$/
const bytes32 = /^[A-Za-z0-9_-]{43}$/

/**
 * Reads 32 bytes of unpadded base64url. Its last character has two bits more than there are bytes: they are ignored.
 *
 * @returns the bytes, or undefined for anything else
 */
export function parseBytes32(text: unknown): Buffer | undefined {
  return typeof text === 'string' && bytes32.test(text) ? Buffer.from(text, 'base64url') : undefined
}

/** The crypto-condition of an `EscrowCreate` (upper-case hex) for a condition of 32 bytes. */
export function toXrplCondition(condition: Buffer): string {
  return `A0258020${hex(condition)}810120`
}

/** The crypto-condition's fulfillment of an `EscrowFinish` (upper-case hex) for a fulfillment of 32 bytes. */
export function toXrplFulfillment(fulfillment: Buffer): string {
  return `A0228020${hex(fulfillment)}`
}

/** The condition (32 bytes, base64url) in a crypto-condition, or undefined if it is of another kind. */
export function fromXrplCondition(condition: unknown): string | undefined {
  return unwrap(conditionHex, condition)
}

/** The fulfillment (32 bytes, base64url) in a crypto-condition's fulfillment, or undefined likewise. */
export function fromXrplFulfillment(fulfillment: unknown): string | undefined {
  return unwrap(fulfillmentHex, fulfillment)
}

/** The condition (base64url) that a fulfillment of 32 bytes opens. */
export function conditionOf(fulfillment: Buffer): string {
  return createHash('sha256').update(fulfillment).digest('base64url')
}

function unwrap(shape: RegExp, text: unknown): string | undefined {
  const digits = typeof text === 'string' ? shape.exec(text)?.[1] : undefined
  return digits && Buffer.from(digits, 'hex').toString('base64url')
}

function hex(bytes: Buffer): string {
  return bytes.toString('hex').toUpperCase()
}
