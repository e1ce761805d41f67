import { createPrivateKey, sign } from 'node:crypto'
import { encode, encodeSignature } from './encode.ts'
import { ed25519Key, type KeyPair, order, sha512Half, toHex } from './keys.ts'

// What is signed begins with "STX", what is hashed with "TXN" (xrpl.org: Basic Data Types, Hash Prefixes).
const signingPrefix = '53545800'
const transactionPrefix = '54584E00'

const halfOfOrder = Buffer.from((order / 2n).toString(16), 'hex')

/** A transaction ready to be sent, in binary (hex), and its hash. */
export interface SignedTransaction {
  blob: string
  hash: string
}

/**
 * What signs an account's transactions: as valid as `Wallet.sign` of xrpl.js makes them, but without the checking,
 * decoding and encoding again of what this plugin has just put together.
 *
 * @returns a function of a transaction that is complete but for the key and the signature
 */
export function signer(keys: KeyPair): (tx: Record<string, unknown>) => SignedTransaction {
  const signatureOf = keys.publicKey.startsWith('ED') ? ed25519(keys) : secp256k1(keys)

  return function (tx) {
    const [before, after] = encode({ ...tx, SigningPubKey: keys.publicKey })
    const signature = signatureOf(Buffer.from(signingPrefix + before + after, 'hex'))
    const blob = before + encodeSignature(toHex(signature)) + after
    return { blob, hash: toHex(sha512Half(Buffer.from(transactionPrefix + blob, 'hex'))) }
  }
}

function ed25519({ privateKey }: KeyPair): (message: Buffer) => Buffer {
  const key = ed25519Key(privateKey)
  return message => sign(null, message, key)
}

/**
 * ECDSA takes the leftmost 256 bits of a longer hash (FIPS 186-4, 6.4): with SHA-512 that is the SHA-512Half which
 * the ledger asks for. Of the two values that S may have it only accepts the smaller (xrpl.org: Transaction
 * Malleability).
 */
function secp256k1({ privateKey }: KeyPair): (message: Buffer) => Buffer {
  // SEC 1 (RFC 5915)
  const der = Buffer.from(`302E0201010420${privateKey.slice(-64)}A00706052B8104000A`, 'hex')
  const key = createPrivateKey({ key: der, format: 'der', type: 'sec1' })
  return function (message) {
    const signature = sign('sha512', message, { key, dsaEncoding: 'ieee-p1363' })
    const r = signature.subarray(0, 32)
    const s = signature.subarray(32)
    const lowS = Buffer.compare(s, halfOfOrder) > 0 ? negated(s) : s
    const integers = Buffer.concat([derInteger(r), derInteger(lowS)])
    return Buffer.concat([Uint8Array.of(0x30, integers.length), integers])
  }
}

function negated(s: Buffer): Buffer {
  const value = order - BigInt(`0x${s.toString('hex')}`)
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
}

/** As short as can be: no zero in front, but for one where a minus sign would be read. */
function derInteger(bytes: Buffer): Buffer {
  const digits = bytes.subarray(bytes.findIndex(byte => byte !== 0))
  const sign = (digits[0] as number) & 0x80 ? [0] : []
  return Buffer.concat([Uint8Array.of(0x02, sign.length + digits.length, ...sign), digits])
}
