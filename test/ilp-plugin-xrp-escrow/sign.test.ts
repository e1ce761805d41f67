import fc from 'fast-check'
import { encodeSeed } from 'ripple-address-codec'
import { decode, encode, encodeForSigning } from 'ripple-binary-codec'
import { verify } from 'ripple-keypairs'
import { expect, test } from 'vitest'
import { hashes, Wallet } from 'xrpl'
import { walletOf } from '../../src/ilp-plugin-xrp-escrow/keys.ts'
import { signer } from '../../src/ilp-plugin-xrp-escrow/sign.ts'
import { customer, genesis, memo, shop } from './support.ts'

// "npm run soak" takes ten thousand, which take the library in JavaScript half a minute to verify.
const toHex = (value: Buffer) => value.toString('hex').toUpperCase()
const numRuns = import.meta.env.MODE === 'soak' ? 10_000 : 100

const uint32 = fc.nat({ max: 2 ** 32 - 1 })
const drops = fc.bigInt(1n, 10n ** 17n).map(String)
const address = fc.constantFrom(genesis.address, shop.address, customer.address)
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map(value => toHex(Buffer.from(value)))
const memos = fc.array(
  fc
    .tuple(fc.constantFrom('xrpIlp', 'xrpId'), fc.string({ maxLength: 1_000 }))
    .map(([type, data]) => memo(type, data)),
  { minLength: 1, maxLength: 3 }
)
const common = {
  Account: address,
  Fee: drops,
  Sequence: uint32,
  LastLedgerSequence: uint32,
  Flags: uint32,
  NetworkID: uint32,
  Memos: memos
}
/** What this plugin has to sign, and the like, with and without each field. */
const transaction = fc.oneof(
  fc.record(
    {
      ...common,
      TransactionType: fc.constantFrom('EscrowCreate', 'Payment'),
      Destination: address,
      Amount: drops,
      Condition: bytes(39),
      CancelAfter: uint32
    },
    { requiredKeys: ['TransactionType'] }
  ),
  fc.record(
    {
      ...common,
      TransactionType: fc.constantFrom('EscrowFinish', 'EscrowCancel'),
      Owner: address,
      OfferSequence: uint32,
      Condition: bytes(39),
      Fulfillment: bytes(36)
    },
    { requiredKeys: ['TransactionType'] }
  )
)

test.each(['ed25519', 'secp256k1'] as const)("the account of a seed for %s is the libraries'", algorithm => {
  const seeds = fc.uint8Array({ minLength: 16, maxLength: 16 })
  fc.assert(
    fc.property(seeds, bytes => {
      const seed = encodeSeed(bytes, algorithm)
      const { classicAddress: address, publicKey, privateKey } = Wallet.fromSeed(seed)
      expect(walletOf(seed)).toEqual({ address, publicKey, privateKey })
    }),
    { numRuns: numRuns / 5 }
  )
})

test.each([
  ['Ed25519', shop.secret],
  ['secp256k1', customer.secret]
])(
  `${numRuns} transactions signed with %s are those of the libraries, byte for byte`,
  (_algorithm, secret) => {
    const wallet = Wallet.fromSeed(secret)
    const sign = signer(wallet)
    fc.assert(
      fc.property(transaction, tx => {
        const { blob, hash } = sign(tx)
        const unsigned = { ...tx, SigningPubKey: wallet.publicKey }
        const { TxnSignature } = decode(blob) as { TxnSignature: string }
        // The library takes strict DER and the smaller S only, as the ledger does.
        expect(verify(encodeForSigning(unsigned), TxnSignature, wallet.publicKey)).toBe(true)
        expect(blob).toBe(encode({ ...unsigned, TxnSignature }))
        expect(hash).toBe(hashes.hashSignedTx(blob))
      }),
      { numRuns }
    )
  },
  600_000
)

test.each([
  { TransactionType: 'Payment', DestinationTag: 1 },
  { TransactionType: 'OfferCreate' },
  { TransactionType: 'EscrowFinish', OfferSequence: 2 ** 32 },
  { TransactionType: 'Payment', Amount: { currency: 'USD', value: '1', issuer: genesis.address } }
])('%j is refused rather than signed as something else', tx => {
  expect(() => signer(Wallet.fromSeed(shop.secret))(tx)).toThrow()
})

test.each([192, 193, 12_480, 12_481, 100_000])('A memo of %i bytes has their number in front', length => {
  const tx = { TransactionType: 'Payment', Memos: [memo('xrpIlp', 'a'.repeat(length))] }
  const { blob } = signer(Wallet.fromSeed(shop.secret))(tx)
  expect(encode(decode(blob))).toBe(blob)
})

test('A transaction signed with Ed25519 is the one that xrpl.js makes, with its hash', () => {
  const wallet = Wallet.fromSeed(shop.secret)
  const tx = {
    TransactionType: 'Payment' as const,
    Account: wallet.classicAddress,
    Destination: genesis.address,
    Amount: '1',
    Fee: '10',
    Sequence: 7
  }
  const { tx_blob: blob, hash } = wallet.sign(tx)
  expect(signer(wallet)(tx)).toEqual({ blob, hash })
})
