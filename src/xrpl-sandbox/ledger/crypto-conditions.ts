import { createHash } from 'node:crypto'

/** Source: rippled 3.2.0, conditions/detail/PreimageSha256.h. */
const maxPreimageBytes = 128
const fingerprintBytes = 32

/** The tags of what conditions and fulfillments consist of: the element around all, and those in it. */
const outerTag = 0xa0
const firstTag = 0x80
const costTag = 0x81

export interface Condition {
  fingerprint: Buffer
  /** For a preimage: its length in bytes. */
  cost: number
}

/**
 * Reads a DER element as rippled does: its length may have up to eight bytes, zeros in front as well.
 *
 * @returns the content and what follows it; undefined if the bytes do not begin with such an element
 * Source: rippled 3.2.0, conditions/detail/utils.h, parsePreamble
 */
function readElement(bytes: Buffer, tag: number): { content: Buffer; rest: Buffer } | undefined {
  if (bytes.length < 2 || bytes[0] !== tag) return undefined
  let length = bytes[1] as number
  let start = 2
  if (length >= 0x80) {
    const lengthBytes = length & 0x7f
    start += lengthBytes
    if (lengthBytes === 0 || lengthBytes > 8 || start > bytes.length) return undefined
    length = Number(`0x${bytes.toString('hex', 2, start)}`)
    if (length === 0) return undefined
  }
  const end = start + length
  if (end > bytes.length) return undefined
  return { content: bytes.subarray(start, end), rest: bytes.subarray(end) }
}

/** Reads a cost: an unsigned number of 32 bits, in up to five bytes of which the first may be zero. */
function readCost(bytes: Buffer): number | undefined {
  if (bytes.length === 0 || bytes.length > 5 || (bytes[0] as number) >= 0x80) return undefined
  if (bytes.length === 5 && bytes[0] !== 0) return undefined
  return bytes.readUIntBE(0, bytes.length)
}

/**
 * Reads a PREIMAGE-SHA-256 condition, the only type that the XRP Ledger knows.
 *
 * @param hex - the condition in hexadecimal
 * @returns undefined if rippled would refuse it
 * Source: draft-thomas-crypto-conditions-04, 8.1; rippled 3.2.0, conditions/Condition.cpp
 */
export function parseCondition(hex: string): Condition | undefined {
  const outer = readElement(Buffer.from(hex, 'hex'), outerTag)
  const first = outer?.rest.length === 0 ? readElement(outer.content, firstTag) : undefined
  const second = first?.content.length === fingerprintBytes ? readElement(first.rest, costTag) : undefined
  const cost = second?.rest.length === 0 ? readCost(second.content) : undefined
  if (!first || cost === undefined || cost > maxPreimageBytes) return undefined
  return { fingerprint: first.content, cost }
}

/** Reads the preimage in a PREIMAGE-SHA-256 fulfillment; undefined if rippled would refuse it. */
function parseFulfillment(hex: string): Buffer | undefined {
  const outer = readElement(Buffer.from(hex, 'hex'), outerTag)
  const first = outer?.rest.length === 0 ? readElement(outer.content, firstTag) : undefined
  if (first?.rest.length !== 0 || first.content.length > maxPreimageBytes) return undefined
  return first.content
}

/** Whether the fulfillment (hex) fulfills the condition (hex). */
export function fulfills(fulfillment: string, condition: string): boolean {
  const wanted = parseCondition(condition)
  const preimage = parseFulfillment(fulfillment)
  if (!wanted || !preimage || wanted.cost !== preimage.length) return false
  return createHash('sha256').update(preimage).digest().equals(wanted.fingerprint)
}
