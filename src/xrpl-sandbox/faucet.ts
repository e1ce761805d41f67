import { randomBytes } from 'node:crypto'
import { classicAddressToXAddress, encodeSeed } from 'ripple-address-codec'
import type { Json } from './api/rpc.ts'
import { serialize } from './ledger/codec.ts'
import { genesis } from './ledger/genesis.ts'
import { addressOf, hashPrefix, isAddress } from './ledger/hashes.ts'
import type { Ledger } from './ledger/ledger.ts'
import { signPublicly } from './ledger/signatures.ts'
import { accountOf } from './ledger/state.ts'
import { parseTransaction, type Transaction } from './ledger/transaction.ts'

const dropsPerXrp = 1_000_000
const standardXrp = 100
const maxFaucetXrp = 1_000_000

/** Signs a payment out of the genesis account. */
export function genesisPayment(ledger: Ledger, destination: string, drops: number): Transaction {
  const { address, publicKey, privateKey } = genesis
  const fields = {
    TransactionType: 'Payment',
    Account: address,
    Destination: destination,
    Amount: String(drops),
    Fee: String(ledger.openLedgerFee),
    Flags: 0,
    Sequence: accountOf(ledger.open, address)?.Sequence,
    ...(ledger.networkId > 1024 && { NetworkID: ledger.networkId }),
    SigningPubKey: publicKey
  }
  const message = Buffer.concat([hashPrefix.signedTransaction, serialize(fields, { forSigning: true })])
  const TxnSignature = signPublicly(message, privateKey)
  return parseTransaction(serialize({ ...fields, TxnSignature }), { trusted: true })
}

/** A request for play money that cannot be met; the message says why. */
export class FaucetError extends Error {}

/** A value as an error repeats it. */
const quoted = (value: unknown) => JSON.stringify(value)?.slice(0, 100)

/**
 * Pays play money to an account, existing or not.
 *
 * @param xrp - more than 0
 * @returns the payment, in the open ledger
 * @throws FaucetError if the address is not one, or the ledger refuses the payment
 */
export function fund(ledger: Ledger, address: unknown, xrp: number): Transaction {
  if (!isAddress(address))
    throw new FaucetError(`Invalid destination ${quoted(address)}: it must be a classic address (r…)`)
  const payment = genesisPayment(ledger, address, Math.round(xrp * dropsPerXrp))
  const { result, applied } = ledger.submit(payment)
  if (!applied || result !== 'tesSUCCESS') throw new FaucetError(`The payment failed: ${result}`)
  return payment
}

/** Makes up an account. What derives its keys is loaded now: it takes much memory, and most sandboxes do without. */
async function newAccount() {
  const { deriveKeypair } = await import('ripple-keypairs')
  const seed = encodeSeed(randomBytes(16), 'ed25519')
  return { seed, address: addressOf(deriveKeypair(seed).publicKey) }
}

/**
 * Answers a request to the faucet, as the one of the test network does.
 *
 * @param body - `{ destination?, xrpAmount? }`; without a destination a new account is made up
 * @throws FaucetError
 * Source: xrpl.js, Wallet/fundWallet.ts
 */
export async function fundFromFaucet(ledger: Ledger, body: unknown) {
  const { destination, xrpAmount = standardXrp } = Object(body) as Json
  const amount = typeof xrpAmount === 'string' || typeof xrpAmount === 'number' ? Number(xrpAmount) : 0
  if (!(amount > 0 && amount <= maxFaucetXrp))
    throw new FaucetError(`Invalid amount ${quoted(xrpAmount)}: ask for up to ${maxFaucetXrp} XRP`)
  const { seed, address } =
    destination === undefined ? await newAccount() : { address: destination as string }
  const { hash } = fund(ledger, address, amount)
  const xAddress = classicAddressToXAddress(address, false, true)
  return {
    account: { xAddress, classicAddress: address, address, ...(seed && { secret: seed }) },
    amount,
    ...(seed && { seed }),
    transactionHash: hash
  }
}
