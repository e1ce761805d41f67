import { createHash } from 'node:crypto'

// The limits of rippled's PREIMAGE-SHA-256. Source: rippled, conditions/impl/PreimageSha256.h.
const MAX_PREIMAGE_LENGTH = 128
const MAX_CONDITION_LENGTH = 128
const MAX_FULFILLMENT_LENGTH = 256

export interface Condition {
  fingerprint: Buffer
  cost: number
}

/** Reads one DER element with the given tag; returns its content if it fills `bytes` up to the end given. */
function element(bytes: Buffer, tag: number): { content: Buffer; rest: Buffer } | undefined {
  if (bytes.length < 2 || bytes[0] !== tag) return undefined
  let length = bytes[1] as number
  let start = 2
  if (length === 0x81 && bytes.length > 2) {
    length = bytes[2] as number
    start = 3
    if (length < 0x80) return undefined
  } else if (length > 0x7f) return undefined
  if (bytes.length < start + length) return undefined
  return { content: bytes.subarray(start, start + length), rest: bytes.subarray(start + length) }
}

/**
 * Reads a PREIMAGE-SHA-256 condition (hex); undefined if it is malformed or of another type, which the
 * XRP Ledger does not know. Source: draft-thomas-crypto-conditions-04, 8.1.
 */
export function parseCondition(hex: string): Condition | undefined {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length > MAX_CONDITION_LENGTH) return undefined
  const outer = element(bytes, 0xa0)
  const fingerprint = outer?.rest.length === 0 ? element(outer.content, 0x80) : undefined
  const cost = fingerprint?.content.length === 32 ? element(fingerprint.rest, 0x81) : undefined
  if (!fingerprint || !cost || cost.rest.length !== 0 || !cost.content.length || cost.content.length > 4) {
    return undefined
  }
  const value = cost.content.readUIntBE(0, cost.content.length)
  return value <= MAX_PREIMAGE_LENGTH ? { fingerprint: fingerprint.content, cost: value } : undefined
}

/** Reads the preimage in a PREIMAGE-SHA-256 fulfillment (hex); undefined if it is malformed. */
function parseFulfillment(hex: string): Buffer | undefined {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length > MAX_FULFILLMENT_LENGTH) return undefined
  const outer = element(bytes, 0xa0)
  const preimage = outer?.rest.length === 0 ? element(outer.content, 0x80) : undefined
  if (preimage?.rest.length !== 0 || preimage.content.length > MAX_PREIMAGE_LENGTH) return undefined
  return preimage.content
}

/** Whether the fulfillment (hex) fulfills the condition (hex). */
export function fulfills(fulfillment: string, condition: string): boolean {
  const parsed = parseCondition(condition)
  const preimage = parseFulfillment(fulfillment)
  if (!parsed || !preimage) return false
  const fingerprint = createHash('sha256').update(preimage).digest()
  return parsed.cost === preimage.length && parsed.fingerprint.equals(fingerprint)
}
