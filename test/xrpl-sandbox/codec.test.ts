import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { decode, encode, encodeForSigning } from 'ripple-binary-codec'
import { sign, verify } from 'ripple-keypairs'
import { describe, expect, test } from 'vitest'
import { accounts } from '../../src/xrpl-sandbox/accounts.ts'
import { deserialize, serialize } from '../../src/xrpl-sandbox/ledger/codec.ts'
import { fulfills, parseCondition } from '../../src/xrpl-sandbox/ledger/crypto-conditions.ts'
import { describeResult } from '../../src/xrpl-sandbox/ledger/engine-results.ts'
import { toHex } from '../../src/xrpl-sandbox/ledger/hashes.ts'
import { ShaMap } from '../../src/xrpl-sandbox/ledger/sha-map.ts'
import { signPublicly, verifySignature } from '../../src/xrpl-sandbox/ledger/signatures.ts'
import { parseTransaction } from '../../src/xrpl-sandbox/ledger/transaction.ts'
import type { Message } from './client.ts'
import { customer, genesis, lock, sha256, shop } from './support.ts'

const folder = new URL('../fixtures/rippled-3.2.0/api-1/', import.meta.url)
const recordings = readdirSync(folder).map(name => JSON.parse(readFileSync(new URL(name, folder), 'utf8')))

/** Everything in a value that `wanted` picks, however deep. */
function* find(value: Message, wanted: (value: Message) => boolean): Generator<Message> {
  if (typeof value !== 'object' || value === null) return
  if (wanted(value)) yield value
  for (const inner of Object.values(value)) yield* find(inner, wanted)
}

describe('serialize', () => {
  test('gives the bytes of ripple-binary-codec for every recorded transaction, metadata and entry', () => {
    const transactions = [...find(recordings, ({ TransactionType }) => TransactionType)].map(
      ({ DeliverMax, ...fields }) => fields
    )
    const metadata = [...find(recordings, ({ AffectedNodes }) => AffectedNodes)]
    const entries = [...find(recordings, ({ LedgerEntryType, index }) => LedgerEntryType && index)]
    for (const found of [transactions, metadata, entries]) {
      expect(found.length).toBeGreaterThan(5)
      for (const value of found) expect(toHex(serialize(value))).toBe(encode(value))
    }
    for (const value of transactions)
      expect(`53545800${toHex(serialize(value, { forSigning: true }))}`).toBe(encodeForSigning(value))
  })

  test.each([192, 193, 12_480, 12_481, 100_000])('prefixes %i bytes with their length', length => {
    const value = { MemoData: 'AB'.repeat(length) }
    expect(toHex(serialize(value))).toBe(encode(value))
  })

  test('writes fields of any length', () => {
    const Memos = Array.from({ length: 3_000 }, () => ({
      Memo: { MemoType: 'AB', MemoData: 'CD'.repeat(30) }
    }))
    const value = { Account: shop.address, Fee: '10', Memos }
    expect(toHex(serialize(value))).toBe(encode(value))
  })
})

describe('a signature', () => {
  const message = Buffer.from('pay one letter')
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

  test.each([genesis, shop])(
    'by $classicAddress is good for its message and its key only',
    ({ privateKey, publicKey }) => {
      const signature = sign(toHex(message), privateKey)
      expect(verifySignature(message, signature, publicKey)).toBe(true)
      expect(verifySignature(Buffer.from('pay two letters'), signature, publicKey)).toBe(false)
      const other = publicKey === shop.publicKey ? genesis : shop
      expect(verifySignature(message, signature, other.publicKey)).toBe(false)
    }
  )

  // "npm run soak" takes ten thousand, which take the library in JavaScript half a minute to verify.
  const numRuns = import.meta.env.MODE === 'soak' ? 10_000 : 100

  test.each([genesis, shop])(
    `by $classicAddress is good where the library finds it good, for ${numRuns} messages, whichever of its bits is changed`,
    ({ privateKey, publicKey }) => {
      const verifyInJavaScript = (text: string, signature: string) => {
        try {
          return verify(text, signature, publicKey)
        } catch {
          return false
        }
      }
      const message = fc.uint8Array({ minLength: 1, maxLength: 300 }).map(bytes => Buffer.from(bytes))
      fc.assert(
        fc.property(message, fc.option(fc.nat({ max: 72 * 8 })), (message, changed) => {
          const signature = Buffer.from(sign(toHex(message), privateKey), 'hex')
          const at = changed === null ? signature.length : (changed >> 3) % signature.length
          if (changed !== null) signature[at] = (signature[at] as number) ^ (1 << (changed & 7))
          const isGood = verifySignature(message, toHex(signature), publicKey)
          expect(isGood).toBe(changed === null)
          expect(verifyInJavaScript(toHex(message), toHex(signature))).toBe(isGood)
        }),
        { numRuns }
      )
    },
    600_000
  )

  /** The parts of a DER signature, put together anew. */
  const der = (r: string, s: string) => {
    const integers = [r, s]
      .map(value => `02${(value.length / 2).toString(16).padStart(2, '0')}${value}`)
      .join('')
    return `30${(integers.length / 2).toString(16).padStart(2, '0')}${integers}`.toUpperCase()
  }
  const parts = (signature: string): [string, string] => {
    const lengthR = Number.parseInt(signature.slice(6, 8), 16) * 2
    return [signature.slice(8, 8 + lengthR), signature.slice(8 + lengthR + 4)]
  }

  test("made here under the genesis account's key is good", () => {
    for (let count = 0; count < 300; count++) {
      const message = Buffer.from(`pay ${count} letters`)
      const signature = signPublicly(message, accounts.genesis.privateKey)
      expect(verifySignature(message, signature, genesis.publicKey)).toBe(true)
    }
  })

  test('with the high S is rejected', () => {
    const signature = sign(toHex(message), genesis.privateKey)
    const [r, s] = parts(signature)
    expect(der(r, s)).toBe(signature)
    const highS = (order - BigInt(`0x${s}`)).toString(16).padStart(64, '0')
    expect(verifySignature(message, der(r, `00${highS}`), genesis.publicKey)).toBe(false)
  })

  test('of Ed25519 with S beyond the order of the curve is rejected', () => {
    const signature = Buffer.from(sign(toHex(message), shop.privateKey), 'hex')
    const orderOfCurve = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + orderOfCurve
    const malleated = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
    const changed = toHex(Buffer.concat([signature.subarray(0, 32), malleated]))
    expect(verifySignature(message, changed, shop.publicKey)).toBe(false)
  })

  test('in non-canonical DER is rejected', () => {
    const [r, s] = parts(sign(toHex(message), genesis.privateKey))
    for (const bad of [
      der(`00${r}`, s),
      der(r, `00${s}`),
      `${der(r, s)}00`,
      der('', s),
      der(r, '00'),
      '30',
      ''
    ]) {
      expect(verifySignature(message, bad, genesis.publicKey)).toBe(false)
    }
  })

  test('under an invalid key is rejected', () => {
    const signature = sign(toHex(message), genesis.privateKey)
    for (const key of ['', 'ED', `02${'FF'.repeat(32)}`, `04${genesis.publicKey.slice(2)}`])
      expect(verifySignature(message, signature, key)).toBe(false)
  })
})

describe('a crypto-condition', () => {
  const { Condition, Fulfillment } = lock('letter')
  // The first test vector of draft-thomas-crypto-conditions-04: an empty preimage.
  const empty = {
    condition: 'A0258020E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855810100',
    fulfillment: 'A0028000'
  }

  test('is fulfilled by its preimage and by no other', () => {
    expect(fulfills(Fulfillment, Condition)).toBe(true)
    expect(fulfills(empty.fulfillment, empty.condition)).toBe(true)
    expect(fulfills(lock('another').Fulfillment, Condition)).toBe(false)
    expect(fulfills(empty.fulfillment, Condition)).toBe(false)
  })

  test.each([
    ['cut off', Condition.slice(0, -2)],
    ['followed by something', `${Condition}00`],
    ['of another type', Condition.replace('A0', 'A1')],
    ['with a short fingerprint', `A02480 1F${'00'.repeat(31)}810120`.replace(' ', '')],
    ['with too high a cost', `${Condition.slice(0, -6)}810181`],
    ['without a cost', `A0228020${'00'.repeat(32)}`],
    ['empty', '']
  ])('that is %s is malformed', (_, condition) => {
    expect(parseCondition(condition)).toBeUndefined()
  })

  test.each([
    ['cut off', Fulfillment.slice(0, -2)],
    ['followed by something', `${Fulfillment}00`],
    ['of another length', lock('letter').Fulfillment.replace('A0228020', 'A0238021')]
  ])('is not fulfilled by a fulfillment that is %s', (_, fulfillment) => {
    expect(fulfills(fulfillment, Condition)).toBe(false)
  })

  const hash = toHex(sha256(sha256('letter')))
  const preimage = toHex(sha256('letter'))
  // As rippled 3.2.0 reads them: lengths have up to eight bytes, a cost up to five.
  test.each([
    ['A0258020HASH810120', true],
    ['A081258020HASH810120', true],
    ['A08200258020HASH810120', true],
    ['A02681 0020'.replace(' ', ''), false],
    ['A026808120HASH810120', true],
    ['A02D80880000000000000020HASH810120', true],
    ['A02E8089000000000000000020HASH810120', false],
    ['A0258020HASH8180', false],
    ['A0268020HASH81810120', true],
    ['A02F8020HASH8188000000000000000120', false],
    ['A02D8020HASH8188000000000000000120', true],
    ['A0268020HASH81020020', true],
    ['A0298020HASH81050000000020', true],
    ['A0298020HASH81050100000020', false],
    ['A02A8020HASH8106000000000020', false],
    ['A0258020HASH8101A0', false],
    ['A0248020HASH8100', false],
    ['A0808020HASH810120', false]
  ])('%s is valid as on rippled: %s', (encoding, isGood) => {
    const condition = encoding.replace('HASH', hash)
    expect(parseCondition(condition) !== undefined).toBe(isGood)
    expect(fulfills(Fulfillment, condition)).toBe(isGood)
  })

  test.each([
    ['A0228020PREIMAGE', true],
    ['A081228020PREIMAGE', true],
    ['A0880000000000000022 8020PREIMAGE'.replace(' ', ''), true],
    ['A0238081 20PREIMAGE'.replace(' ', ''), true],
    ['A02A80880000000000000020PREIMAGE', true],
    ['A02B80880000000000000020PREIMAGE', false],
    ['A0228021PREIMAGE', false],
    ['A0228120PREIMAGE', false]
  ])('with the fulfillment %s is fulfilled as on rippled: %s', (encoding, isGood) => {
    expect(fulfills(encoding.replace('PREIMAGE', preimage), Condition)).toBe(isGood)
  })

  test('accepts a preimage of up to 128 bytes', () => {
    const preimage = Buffer.alloc(128, 7)
    const condition = `A0268020${toHex(sha256(preimage))}81020080`
    expect(fulfills(`A08183808180${toHex(preimage)}`, condition)).toBe(true)
  })
})

test('the root hash of a ShaMap depends on its items alone, not on their history', () => {
  const leaves = Array.from({ length: 200 }, (_, at) => toHex(sha256(`leaf ${at % 100}`)))
  const [forward, backward] = [new ShaMap<number>(), new ShaMap<number>()]
  for (const [at, leaf] of leaves.entries()) forward.set(leaf, leaf, at)
  for (const leaf of leaves.slice(100).reverse()) backward.set(leaf, leaf, 0)
  expect(forward.rootHash()).toBe(backward.rootHash())
  expect(forward.indexes()).toEqual(leaves.slice(100).sort())
  const whole = forward.copy()
  for (const leaf of leaves.slice(50, 100)) {
    forward.delete(leaf)
    expect(forward.rootHash()).not.toBe(backward.rootHash())
  }
  const half = new ShaMap<number>()
  for (const leaf of leaves.slice(0, 50)) half.set(leaf, leaf, 0)
  expect(forward.rootHash()).toBe(half.rootHash())
  expect(forward.read(leaves[50] as string)).toBeUndefined()
  for (const leaf of leaves.slice(0, 50)) forward.delete(leaf)
  expect(forward.rootHash()).toBe('0'.repeat(64))
  expect([whole.rootHash(), whole.read(leaves[50] as string)]).toEqual([backward.rootHash(), 150])
})

test('every recorded engine result has the same code and message here', () => {
  const recorded = [...find(recordings, ({ engine_result }) => engine_result)]
  expect(recorded.length).toBeGreaterThan(30)
  for (const { engine_result, engine_result_code, engine_result_message } of recorded)
    expect(describeResult(engine_result)).toEqual({
      engine_result,
      engine_result_code,
      engine_result_message
    })
})

const newerFolder = new URL('../fixtures/rippled-3.2.0/api-2/', import.meta.url)
const blobs: string[] = readdirSync(newerFolder).flatMap(name => {
  const text = readFileSync(new URL(name, newerFolder), 'utf8')
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

  test('passes types that the sandbox does not use to ripple-binary-codec', () => {
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
    ['a negative amount of drops', '610000000000000000'],
    ['an unknown type', '12FFF0'],
    ['objects in objects without end', 'EA'.repeat(20)]
  ])('rejects %s', (_, hex) => {
    expect(() => deserialize(Buffer.from(hex, 'hex'))).toThrow(Error)
  })
})

describe('a transaction', () => {
  test('has the same hash in whatever order its fields come', () => {
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
