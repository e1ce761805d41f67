import { readdirSync, readFileSync } from 'node:fs'
import { decode, encode, encodeForSigning } from 'ripple-binary-codec'
import { sign } from 'ripple-keypairs'
import { describe, expect, test } from 'vitest'
import { deserialize } from '../../src/xrpl-sandbox/ledger/codec.ts'
import { toHex } from '../../src/xrpl-sandbox/ledger/hashes.ts'
import { parseTransaction } from '../../src/xrpl-sandbox/ledger/transaction.ts'
import { customer, shop } from './support.ts'

const folder = new URL('../fixtures/rippled-3.2.0/api-2/', import.meta.url)
const blobs: string[] = readdirSync(folder).flatMap(name => {
  const text = readFileSync(new URL(name, folder), 'utf8')
  return [...text.matchAll(/"(?:tx_blob|meta_blob)":"([0-9A-F]{80,})"/g)].map(([, blob]) => blob as string)
})

const USD = { currency: 'USD', issuer: shop.address, value: '1.5' }
const fields = {
  TransactionType: 'Payment',
  Account: customer.address,
  Destination: shop.address,
  Amount: '1',
  Fee: '10',
  Sequence: 4,
  SigningPubKey: customer.publicKey,
  Memos: [{ Memo: { MemoType: '61', MemoData: 'CD'.repeat(300) } }]
}
const signed = (more: object = {}) => {
  const unsigned = { ...fields, ...more }
  return { ...unsigned, TxnSignature: sign(encodeForSigning(unsigned), customer.privateKey) }
}

describe('deserialize', () => {
  test('reads what ripple-binary-codec reads', () => {
    expect(blobs.length).toBeGreaterThan(50)
    for (const blob of blobs) {
      try {
        decode(blob)
      } catch {
        continue // cut off on purpose
      }
      expect(deserialize(Buffer.from(blob, 'hex')).fields).toEqual(decode(blob))
    }
  })

  test('leaves types that the sandbox does not use to ripple-binary-codec', () => {
    const more = {
      SendMax: USD,
      Paths: [[{ account: shop.address }, { currency: 'EUR', issuer: shop.address }]],
      DeliverMin: { mpt_issuance_id: 'AB'.repeat(24), value: '7' },
      CredentialIDs: ['AB'.repeat(32)],
      EmailHash: 'AB'.repeat(16),
      Asset: { currency: 'XRP' }
    }
    const blob = encode(signed(more))
    expect(deserialize(Buffer.from(blob, 'hex')).fields).toEqual(decode(blob))
  })

  test.each([
    ['nothing that is a field', 'FFFF'],
    ['a field cut off', '2400'],
    ['a field twice', '24000000012400000002'],
    ['an end without a beginning', '2400000001E1'],
    ['an array with something else in it', 'F92400000001F1'],
    ['an account of nineteen bytes', `8113${'AB'.repeat(19)}`],
    ['a drop less than none', '610000000000000000'],
    ['an unknown type', '12FFF0'],
    ['objects in objects without end', 'EA'.repeat(20)]
  ])('refuses %s', (_, hex) => {
    expect(() => deserialize(Buffer.from(hex, 'hex'))).toThrow(Error)
  })
})

describe('a transaction', () => {
  test('is known by its fields in their order, in whatever order they come', () => {
    const bytes = Buffer.from(encode(signed()), 'hex')
    // TransactionType and Sequence, which come first, come last.
    const backwards = Buffer.concat([bytes.subarray(8), bytes.subarray(0, 8)])
    const { hash, blob, fields } = parseTransaction(backwards)
    expect({ hash, fields, blob: toHex(blob) }).toEqual({
      hash: parseTransaction(bytes).hash,
      fields: decode(toHex(bytes)),
      blob: toHex(bytes)
    })
  })
})
