import fc from 'fast-check'
import { encodeSeed } from 'ripple-address-codec'
import { decode, encode, encodeForSigning } from 'ripple-binary-codec'
import { verify } from 'ripple-keypairs'
import { describe, expect, test } from 'vitest'
import { hashes, Wallet } from 'xrpl'
import {
  fromXrplCondition,
  fromXrplFulfillment,
  parseBytes32,
  toEscrow,
  toEscrowFinish,
  toRippleTime,
  toTransaction,
  toUnixMs
} from '../../src/ilp-plugin-xrp-escrow/transactions.ts'
import { walletOf } from '../../src/ilp-plugin-xrp-escrow/wallet.ts'
import { customer, genesis, memo, prefix, shop } from './support.ts'

const numRuns = import.meta.env.MODE === 'soak' ? 2_000 : 20

// The escrow "letter-0" that a rippled 2.3.0 took and let go: the preimage is the SHA-256 of its name.
const letter0 = {
  fulfillment: 'V0dzpnY3QQfvW91DNrP6o4c_2yxPV_aQTrOFP0VXKzM',
  condition: 'TArKrWVLfLudL5XmH-guK7EjpC84EL_FlgC8ykJ_c-k',
  xrplFulfillment: 'A0228020574773A676374107EF5BDD4336B3FAA3873FDB2C4F57F6904EB3853F45572B33',
  xrplCondition: 'A02580204C0ACAAD654B7CBB9D2F95E61FE82E2BB123A42F3810BFC59600BCCA427F73E9810120'
}
const transfer = {
  id: 'd86b0299-e2fa-4713-833a-96a6a75271b8',
  to: prefix + shop.address,
  amount: '10',
  ilp: 'ARgAAAAAAAAAawxleGFtcGxlLmFsaWNlAAA',
  executionCondition: letter0.condition,
  expiresAt: '2017-10-31T12:00:00.000Z'
}
// What the sendTransfer of ilp-plugin-xrp-escrow 1.0.7 makes of it.
const escrowCreate = {
  TransactionType: 'EscrowCreate',
  Destination: shop.address,
  Amount: '10',
  CancelAfter: 562_766_400,
  Condition: letter0.xrplCondition,
  Memos: [memo('xrpIlp', transfer.ilp), memo('xrpId', transfer.id)]
}

describe.each(['ed25519', 'secp256k1'] as const)('wallet of a seed for %s', algorithm => {
  const seeds = fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map(bytes => ({ seed: encodeSeed(bytes, algorithm), sequence: bytes[0] as number }))

  test('has the account of xrpl.js, and signs what the libraries read and verify', () => {
    fc.assert(
      fc.property(seeds, ({ seed, sequence }) => {
        const { classicAddress, publicKey } = Wallet.fromSeed(seed)
        const wallet = walletOf(seed)
        expect(wallet).toMatchObject({ address: classicAddress, publicKey })
        const tx = { ...escrowCreate, Account: classicAddress, Sequence: sequence, Fee: '10' }
        const { blob, hash } = wallet.sign(tx)
        const unsigned = { ...tx, SigningPubKey: publicKey }
        const { TxnSignature } = decode(blob) as { TxnSignature: string }
        // The library takes strict DER and the smaller S only, as the ledger does.
        expect(verify(encodeForSigning(unsigned), TxnSignature, publicKey)).toBe(true)
        expect(blob).toBe(encode({ ...unsigned, TxnSignature }))
        expect(hash).toBe(hashes.hashSignedTx(blob))
      }),
      { numRuns }
    )
  }, 3_600_000)
})

test('sendTransfer writes transfers as the plugin of 2017 did', () => {
  expect(toTransaction(transfer, customer.address, prefix)).toEqual(escrowCreate)
})

test('an escrow is named by the index of its ledger entry', () => {
  expect(toEscrow(genesis.address, 7).index).toBe(hashes.hashEscrow(genesis.address, 7))
})

test('fulfillments and conditions are the crypto-conditions that rippled accepts', () => {
  const finish = toEscrowFinish(toEscrow(genesis.address, 7), parseBytes32(letter0.fulfillment) as Buffer)
  expect(finish).toMatchObject({ Fulfillment: letter0.xrplFulfillment, Condition: letter0.xrplCondition })
  expect(fromXrplFulfillment(letter0.xrplFulfillment)).toBe(letter0.fulfillment)
  expect(fromXrplCondition(letter0.xrplCondition)).toBe(letter0.condition)
})

test.each([
  ['PREFIX-SHA-256', letter0.xrplFulfillment.replace('A0', 'A1')],
  ['a preimage of 31 bytes', `A021801F${'AB'.repeat(31)}`],
  ['a length without bytes', `A0808020${'AB'.repeat(32)}`],
  ['a length of nine bytes', `A089${'00'.repeat(8)}228020${'AB'.repeat(32)}`],
  ['bytes at the end', `${letter0.xrplFulfillment}00`],
  ['nothing', ''],
  ['a number', 7]
])('a fulfillment with %s is not read', (_what, fulfillment) => {
  expect(fromXrplFulfillment(fulfillment)).toBeUndefined()
})

test.each([
  ['31 bytes', Buffer.alloc(31).toString('base64url')],
  ['33 bytes', Buffer.alloc(33).toString('base64url')],
  ['padding', `${Buffer.alloc(32).toString('base64url')}=`],
  ['plain base64', `${'/'.repeat(42)}8`]
])('%s are not 32 bytes of unpadded base64url', (_what, text) => {
  expect(parseBytes32(text)).toBeUndefined()
})

test.each([
  ['2000-01-01T00:00:00.000Z', 0],
  ['2017-10-31T13:00:00+01:00', 562_766_400],
  ['2026-11-22T02:35:57.999Z', 848_630_157],
  ['2136-02-07T06:28:15Z', 2 ** 32 - 1]
])('the time %s is %i on the ledger', (iso, seconds) => {
  expect(toRippleTime(iso)).toBe(seconds)
  expect(toUnixMs(seconds)).toBe(Math.floor(Date.parse(iso) / 1000) * 1000)
})

test.each(['tomorrow', '2017', '31.10.2017', '2017-13-31T12:00:00Z', '2136-02-07T06:28:16Z', 7, null])(
  'the time %s is rejected',
  iso => {
    expect(() => toRippleTime(iso)).toThrow(expect.objectContaining({ name: 'InvalidFieldsError' }))
  }
)
