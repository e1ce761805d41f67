import { type Json, parseObject } from './json.ts'

// What a transaction's memos may take in the ledger's binary format (xrpl.org: Memos Field).
const maxMemosLength = 1024

/** The memo types under which this plugin and its 2017 predecessor write to the ledger, in hex as they stand there. */
export const memoTypes = {
  /** the transfer's ILP packet, base64url */
  ilp: toHex('https://interledger.org/rel/xrpIlp'),
  /** the transfer's id, a UUID */
  id: toHex('https://interledger.org/rel/xrpId'),
  /** a message between two plugins, JSON */
  message: toHex('https://interledger.org/rel/xrpMessage'),
  /** the message's id, where it does not stand in the message */
  messageId: toHex('https://interledger.org/rel/xrpMessageId'),
  /** why the receiver does not want a transfer, JSON; unknown to the predecessor */
  rejection: toHex('https://interledger.org/rel/xrpRejection')
}

/** A transaction's `Memos` field: type and data are UTF-8 in upper-case hex. */
export type Memos = { Memo: { MemoType: string; MemoData: string } }[]

/**
 * Writes memos.
 *
 * @param texts - pairs of memo type (one of `memoTypes`) and data, in their order
 */
export function toMemos(texts: [type: string, data: string][]): Memos {
  return texts.map(([type, data]) => ({ Memo: { MemoType: type, MemoData: toHex(data) } }))
}

/**
 * Reads one memo. Anybody can send any memo: whatever is not the one asked for is passed over.
 *
 * @param memos - a transaction's `Memos` field, or whatever stands in its place
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

/**
 * Reads a memo of JSON.
 *
 * @returns the object in it, or undefined if there is none
 */
export function fromJsonMemo(memos: unknown, type: string): Json | undefined {
  const text = fromMemos(memos, type)
  return text === undefined ? undefined : parseObject(text)
}

/** Whether a transaction has room for these memos. */
export function fitsMemos(memos: Memos): boolean {
  let length = 0
  for (const { Memo } of memos) length += 2 + fieldLength(Memo.MemoType) + fieldLength(Memo.MemoData)
  return length <= maxMemosLength
}

/** A field of bytes has a byte for its name and one or two for its length; around a memo are two bytes more. */
function fieldLength(hex: string): number {
  const length = hex.length / 2
  return 1 + (length > 192 ? 2 : 1) + length
}

function toHex(text: string): string {
  return Buffer.from(text).toString('hex').toUpperCase()
}
