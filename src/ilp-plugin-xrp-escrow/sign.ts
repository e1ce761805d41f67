import { createHash } from 'node:crypto'
import { sign } from 'ripple-keypairs'
import { encode, encodeForSigning, type Transaction, type Wallet } from 'xrpl'

// Prefix of what a transaction's hash is taken over: "TXN" (xrpl.org: Basic Data Types, Hash Prefixes).
const transactionPrefix = Buffer.from('54584E00', 'hex')

/** A transaction ready to be sent, in binary (hex), and its hash. */
export interface SignedTransaction {
  blob: string
  hash: string
}

/**
 * Signs a transaction: as `Wallet.sign` of xrpl.js does it, but for the checking, decoding and encoding again of what
 * this plugin has just put together.
 *
 * @param tx - complete but for the signature
 */
export function signTransaction(tx: Record<string, unknown>, wallet: Wallet): SignedTransaction {
  const unsigned = { ...tx, SigningPubKey: wallet.publicKey } as unknown as Transaction
  const TxnSignature = sign(encodeForSigning(unsigned), wallet.privateKey)
  const blob = encode({ ...unsigned, TxnSignature })
  // SHA-512Half: the first half of a SHA-512 digest.
  const digest = createHash('sha512').update(transactionPrefix).update(blob, 'hex').digest('hex')
  return { blob, hash: digest.slice(0, 64).toUpperCase() }
}
