import fc from 'fast-check'
import { encodeSeed } from 'ripple-address-codec'
import { decode, encode, encodeForSigning } from 'ripple-binary-codec'
import { deriveAddress, deriveKeypair, verify } from 'ripple-keypairs'
import { expect, test } from 'vitest'
import { toTransaction } from '../../src/ilp-plugin-xrp-escrow/transactions.ts'
import { walletOf } from '../../src/ilp-plugin-xrp-escrow/wallet.ts'
import { customer, memo, prefix, shop } from './support.ts'

const numRuns = import.meta.env.MODE === 'soak' ? 2_000 : 8

// The condition is that of an escrow that a rippled 2.3.0 took and let go.
const transfer = {
  id: 'd86b0299-e2fa-4713-833a-96a6a75271b8',
  to: prefix + shop.address,
  amount: '10',
  ilp: 'ARgAAAAAAAAAawxleGFtcGxlLmFsaWNlAAA',
  executionCondition: 'TArKrWVLfLudL5XmH-guK7EjpC84EL_FlgC8ykJ_c-k',
  expiresAt: '2017-10-31T13:00:00.999+01:00'
}
// What the sendTransfer of ilp-plugin-xrp-escrow 1.0.7 makes of it.
const escrowCreate = {
  TransactionType: 'EscrowCreate',
  Destination: shop.address,
  Amount: '10',
  CancelAfter: 562_766_400,
  Condition: 'A02580204C0ACAAD654B7CBB9D2F95E61FE82E2BB123A42F3810BFC59600BCCA427F73E9810120',
  Memos: [memo('xrpIlp', transfer.ilp), memo('xrpId', transfer.id)]
}

test('sendTransfer writes transfers as the plugin of 2017 did', () => {
  expect(toTransaction(transfer, customer.address, prefix)).toEqual(escrowCreate)
})

test.each(['ed25519', 'secp256k1'] as const)(
  'a seed for %s has the account of ripple-keypairs, and signs what the libraries read and verify',
  algorithm => {
    const seeds = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(bytes => encodeSeed(bytes, algorithm))
    fc.assert(
      fc.property(seeds, fc.nat({ max: 2 ** 32 - 1 }), (seed, Sequence) => {
        const { publicKey } = deriveKeypair(seed)
        const address = deriveAddress(publicKey)
        const wallet = walletOf(seed)
        expect(wallet).toMatchObject({ address, publicKey })
        const tx = { ...escrowCreate, Account: address, Sequence, Fee: '10' }
        const { blob } = wallet.sign(tx)
        const unsigned = { ...tx, SigningPubKey: publicKey }
        const { TxnSignature } = decode(blob) as { TxnSignature: string }
        // The library takes strict DER and the smaller S only, as the ledger does.
        expect(verify(encodeForSigning(unsigned), TxnSignature, publicKey)).toBe(true)
        expect(blob).toBe(encode({ ...unsigned, TxnSignature }))
      }),
      { numRuns }
    )
  },
  3_600_000
)
