import { randomBytes } from 'node:crypto'
import { classicAddressToXAddress, encodeSeed, isValidClassicAddress } from 'ripple-address-codec'
import { deriveAddress, deriveKeypair, sign } from 'ripple-keypairs'
import type { Json } from './api/rpc.ts'
import { genesis } from './ledger/genesis.ts'
import { hashPrefix, toHex } from './ledger/hashes.ts'
import type { Ledger } from './ledger/ledger.ts'
import { serialize } from './ledger/serialize.ts'
import { accountOf } from './ledger/state.ts'
import { parseTransaction, type Transaction } from './ledger/transaction.ts'

const DROPS_PER_XRP = 1_000_000
const DEFAULT_XRP = 100
const MAX_XRP = 1_000_000

/** A payment out of the genesis account, signed. */
export function genesisPayment(ledger: Ledger, destination: string, drops: number): Transaction {
  const { address, publicKey, privateKey } = genesis
  const fields = {
    TransactionType: 'Payment',
    Account: address,
    Destination: destination,
    Amount: String(drops),
    Fee: String(ledger.fees.base),
    Flags: 0,
    Sequence: accountOf(ledger.open, address)?.Sequence,
    ...(ledger.networkId > 1024 && { NetworkID: ledger.networkId }),
    SigningPubKey: publicKey
  }
  const message = Buffer.concat([hashPrefix.signedTransaction, serialize(fields, { forSigning: true })])
  const TxnSignature = sign(toHex(message), privateKey)
  return parseTransaction(serialize({ ...fields, TxnSignature }), { trusted: true })
}

/** A request to the faucet that cannot be met; the message says why. */
export class FaucetError extends Error {}

/** A value as an error repeats it. */
const quoted = (value: unknown) => JSON.stringify(value).slice(0, 100)

/**
 * Gives play money to an account, existing or not, as the faucet of the test network does.
 *
 * `body`: `{ destination?, xrpAmount? }`; without a destination a new account is made up. Throws FaucetError.
 * Source: xrpl.js, Wallet/fundWallet.ts.
 */
export function fundFromFaucet(ledger: Ledger, body: unknown) {
  const { destination, xrpAmount = DEFAULT_XRP } = Object(body) as Json
  const amount = typeof xrpAmount === 'string' || typeof xrpAmount === 'number' ? Number(xrpAmount) : 0
  if (!(amount > 0 && amount <= MAX_XRP))
    throw new FaucetError(`Invalid amount ${quoted(xrpAmount)}: ask for up to ${MAX_XRP} XRP`)
  if (destination !== undefined && (typeof destination !== 'string' || !isValidClassicAddress(destination)))
    throw new FaucetError(`Invalid destination ${quoted(destination)}: it must be a classic address (r…)`)
  const seed = destination === undefined ? encodeSeed(randomBytes(16), 'ed25519') : undefined
  const address = seed ? deriveAddress(deriveKeypair(seed).publicKey) : (destination as string)
  const payment = genesisPayment(ledger, address, Math.round(amount * DROPS_PER_XRP))
  const { result, applied } = ledger.submit(payment)
  if (!applied || result !== 'tesSUCCESS') throw new FaucetError(`The payment failed: ${result}`)
  const xAddress = classicAddressToXAddress(address, false, true)
  return {
    account: { xAddress, classicAddress: address, address, ...(seed && { secret: seed }) },
    amount,
    ...(seed && { seed }),
    transactionHash: payment.hash
  }
}
