import { createPrivateKey, sign } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Wallet } from 'xrpl'
import { genesisPayment } from '../../src/xrpl-sandbox/faucet.ts'
import { serialize } from '../../src/xrpl-sandbox/ledger/codec.ts'
import type { LedgerContents } from '../../src/xrpl-sandbox/ledger/history.ts'
import { Ledger } from '../../src/xrpl-sandbox/ledger/ledger.ts'
import { accountOf, type LedgerEntry } from '../../src/xrpl-sandbox/ledger/state.ts'
import { InvalidTransaction, parseTransaction } from '../../src/xrpl-sandbox/ledger/transaction.ts'
import { lock, wallet } from './support.ts'

const TOTAL_DROPS = 100_000_000_000_000_000n
const CLOCK = Date.parse('2026-11-23T12:00:00Z')
const wallets = ['one', 'two', 'three', 'never funded'].map(wallet)

const DER_ED25519_PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex')
const keys = wallets.map(({ privateKey }) =>
  createPrivateKey({
    key: Buffer.concat([DER_ED25519_PRIVATE, Buffer.from(privateKey.slice(2), 'hex')]),
    format: 'der',
    type: 'pkcs8'
  })
)

/** Signs without the checks of a library, which would keep bad transactions from the ledger. */
function signed(by: number, fields: object): Buffer {
  const { address: Account, publicKey: SigningPubKey } = wallets[by] as Wallet
  const unsigned = { ...fields, Account, SigningPubKey }
  const message = Buffer.concat([Buffer.from('STX\0'), serialize(unsigned, { forSigning: true })])
  return serialize({ ...unsigned, TxnSignature: sign(null, message, keys[by] as never).toString('hex') })
}

const newLedger = (past: LedgerContents[] = []) =>
  new Ledger({
    fees: { base: 10, reserveBase: 1_000_000, reserveIncrement: 200_000 },
    networkId: 0,
    historyLimit: 1_000_000,
    now: () => CLOCK,
    past
  })

interface Move {
  kind: 'Payment' | 'EscrowCreate' | 'EscrowFinish' | 'EscrowCancel'
  from: number
  to: number
  drops: number
  fee: number
  /** Added to the account's next sequence. */
  gap: number
  /** Which escrow and which preimage, of a few. */
  label: number
  /** Seconds from now. */
  cancelIn: number
  spoilt: boolean
}

const move: fc.Arbitrary<Move> = fc.record({
  kind: fc.constantFrom(
    'Payment',
    'EscrowCreate',
    'EscrowCreate',
    'EscrowFinish',
    'EscrowFinish',
    'EscrowCancel'
  ),
  from: fc.nat(wallets.length - 1),
  to: fc.nat(wallets.length - 1),
  drops: fc.oneof(fc.nat(100), fc.nat(3_000_000), fc.constant(0)),
  fee: fc.constantFrom(10, 12, 350, 350, 9, 1_000_000),
  gap: fc.constantFrom(0, 0, 0, 0, 0, 1, -1),
  label: fc.nat(3),
  cancelIn: fc.integer({ min: -2, max: 6 }),
  spoilt: fc.constantFrom(false, false, false, false, true)
})

/** What a ledger knows of open escrows, to finish and cancel them as well as others. */
interface Open {
  owner: string
  sequence: number
  label: number
}

function accountsAndEscrows(ledger: Ledger) {
  const sum = {
    balances: 0n,
    escrows: 0n,
    negative: 0,
    owned: new Map<string, number>(),
    counts: new Map<string, number>()
  }
  for (const index of ledger.validated.indexes()) {
    const entry = ledger.validated.read(index) as LedgerEntry
    if (entry.LedgerEntryType === 'AccountRoot') {
      sum.balances += BigInt(entry.Balance)
      if (BigInt(entry.Balance) < 0n) sum.negative++
      if (entry.OwnerCount > 0) sum.counts.set(entry.Account, entry.OwnerCount)
    } else if (entry.LedgerEntryType === 'Escrow') {
      sum.escrows += BigInt(entry.Amount)
      sum.owned.set(entry.Account, (sum.owned.get(entry.Account) ?? 0) + 1)
    }
  }
  return sum
}

function checkLedger(ledger: Ledger, burnt: bigint) {
  const { balances, escrows, negative, owned, counts } = accountsAndEscrows(ledger)
  expect(balances + escrows + burnt).toBe(TOTAL_DROPS)
  expect(ledger.closedHeader.totalDrops).toBe(TOTAL_DROPS - burnt)
  expect(negative).toBe(0)
  expect(counts).toEqual(owned)
}

const nextSequence = (ledger: Ledger, address: string) => accountOf(ledger.validated, address)?.Sequence ?? 1

test('drawn transactions neither create nor lose a drop, and give the same state again', () => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(
      fc.array(fc.array(move, { minLength: 5, maxLength: 25 }), { minLength: 4, maxLength: 8 }),
      rounds => {
        const ledger = newLedger()
        let burnt = 0n
        ledger.on('close', ({ transactions }) => {
          for (const { fields, meta } of transactions) {
            const { TransactionResult, AffectedNodes } = meta
            seen.set(TransactionResult, (seen.get(TransactionResult) ?? 0) + 1)
            // Who cannot pay the fee any more pays what is left.
            const left = AffectedNodes[0]?.ModifiedNode?.PreviousFields?.Balance
            burnt += BigInt(TransactionResult === 'tecINSUFF_FEE' ? (left as string) : fields.Fee)
          }
        })
        for (const { address } of wallets.slice(0, 3))
          ledger.submit(genesisPayment(ledger, address, 4_000_000))
        ledger.close()
        const escrows: Open[] = []
        for (const moves of rounds) {
          const sequences = new Map(wallets.map(({ address }) => [address, nextSequence(ledger, address)]))
          for (const { kind, from, to, drops, fee, gap, label, cancelIn, spoilt } of moves) {
            const by = wallets[from] as Wallet
            const other = (wallets[to] as Wallet).address
            const next = sequences.get(by.address) as number
            const Sequence = Math.max(1, next + gap)
            const known = escrows[(label + drops) % Math.max(1, escrows.length)]
            const target = { Owner: known?.owner ?? other, OfferSequence: known?.sequence ?? 1 }
            const right = lock(`label ${known?.label ?? label}`)
            const fields = {
              Payment: { Destination: other, Amount: String(drops) },
              EscrowCreate: {
                Destination: other,
                Amount: String(drops),
                Condition: lock(`label ${label}`).Condition,
                CancelAfter: ledger.closedHeader.closeTime + cancelIn
              },
              EscrowFinish: {
                ...target,
                ...right,
                ...(spoilt && { Fulfillment: lock('wrong').Fulfillment })
              },
              EscrowCancel: target
            }[kind]
            const blob = signed(from, { TransactionType: kind, Fee: String(fee), Sequence, ...fields })
            if (spoilt && kind === 'Payment') blob[blob.length - 50] = (blob[blob.length - 50] as number) ^ 1
            try {
              const transaction = parseTransaction(blob)
              const { applied, result } = ledger.submit(transaction)
              seen.set(result, (seen.get(result) ?? 0) + 1)
              if (result === 'tesSUCCESS') ledger.applyHeld(transaction)
              if (applied) sequences.set(by.address, next + 1)
              if (applied && kind === 'EscrowCreate')
                escrows.push({ owner: by.address, sequence: Sequence, label })
            } catch (error) {
              if (!(error instanceof InvalidTransaction)) throw error
            }
          }
          ledger.close()
          checkLedger(ledger, burnt)
        }
        const again = newLedger(ledger.history.contents())
        expect(again.closedHeader).toEqual(ledger.closedHeader)
      }
    ),
    { numRuns: 20, seed: 1 }
  )
  // The mix is worth something only if it reaches the interesting results.
  for (const result of [
    'tesSUCCESS',
    'tecNO_TARGET',
    'tecNO_PERMISSION',
    'tecCRYPTOCONDITION_ERROR',
    'tecUNFUNDED_PAYMENT',
    'tecUNFUNDED',
    'tecINSUFFICIENT_RESERVE',
    'tecNO_DST',
    'telINSUF_FEE_P',
    'tefPAST_SEQ',
    'terPRE_SEQ',
    'temBAD_AMOUNT'
  ])
    expect([result, (seen.get(result) ?? 0) > 0]).toEqual([result, true])
})
