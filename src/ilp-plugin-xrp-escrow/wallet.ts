import { createECDH, createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { decodeSeed, encodeAccountID } from 'ripple-address-codec'
import { encode } from 'ripple-binary-codec'

// Keys and signatures come from OpenSSL: ripple-keypairs, whose curves are JavaScript, takes 4 to 26 times as long.

/** The order of the curve secp256k1. */
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const halfOfOrder = hexOf(order / 2n)

// What is signed begins with "STX", what is hashed with "TXN" (xrpl.org: Basic Data Types, Hash Prefixes).
const signingPrefix = '53545800'
const transactionPrefix = '54584E00'

/** A transaction ready to be submitted, in the ledger's binary format (hex), and its hash. */
export interface SignedTransaction {
  blob: string
  hash: string
}

/** An account, and what signs its transactions. */
export interface Wallet {
  /** classic address */
  address: string
  /** hex, with `ED` in front for Ed25519 */
  publicKey: string
  /** Signs a transaction that is complete but for its `SigningPubKey` and `TxnSignature`. */
  sign(tx: Record<string, unknown>): SignedTransaction
}

/**
 * The account of a family seed ("s…") and its keys.
 *
 * @throws Error if it is not a family seed
 * @see xrpl.org: Cryptographic Keys, Key Derivation
 */
export function walletOf(seed: string): Wallet {
  const { bytes, type } = decodeSeed(seed)
  const { publicKey, signatureOf } = type === 'ed25519' ? ed25519Keys(bytes) : secp256k1Keys(bytes)
  const sha256 = createHash('sha256').update(publicKey, 'hex').digest()
  return {
    address: encodeAccountID(createHash('ripemd160').update(sha256).digest()),
    publicKey,
    sign(tx) {
      // Encoded once: the signature is the field after SigningPubKey, whose bytes can stand nowhere before it.
      const unsigned = encode({ ...tx, SigningPubKey: publicKey })
      const signature = toHex(signatureOf(Buffer.from(signingPrefix + unsigned, 'hex')))
      const at = unsigned.indexOf(`7321${publicKey}`) + '7321'.length + publicKey.length
      const field = `74${hexOf(BigInt(signature.length / 2), 1)}${signature}`
      const blob = unsigned.slice(0, at) + field + unsigned.slice(at)
      return { blob, hash: toHex(sha512Half(Buffer.from(transactionPrefix + blob, 'hex'))) }
    }
  }
}

/** The first half of a SHA-512 digest. */
export function sha512Half(...parts: Uint8Array[]): Buffer {
  return createHash('sha512').update(Buffer.concat(parts)).digest().subarray(0, 32)
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

interface Keys {
  publicKey: string
  signatureOf(message: Buffer): Buffer
}

function ed25519Keys(seed: Uint8Array): Keys {
  // PKCS #8 (RFC 8410, section 7)
  const key = privateKey(`302E020100300506032B657004220420${toHex(sha512Half(seed))}`, 'pkcs8')
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
  return { publicKey: `ED${toHex(publicKey)}`, signatureOf: message => sign(null, message, key) }
}

/** The keys of the first account of a seed's family. */
function secp256k1Keys(seed: Uint8Array): Keys {
  const family = scalarOf(seed)
  const scalar = (family + scalarOf(pointOf(family), uint32(0))) % order
  // SEC 1 (RFC 5915)
  const key = privateKey(`302E0201010420${hexOf(scalar)}A00706052B8104000A`, 'sec1')
  return { publicKey: toHex(pointOf(scalar)), signatureOf: message => secp256k1Signature(message, key) }
}

/**
 * ECDSA takes the leftmost 256 bits of a longer hash (FIPS 186-4, 6.4): of SHA-512 those are the SHA-512Half that the
 * ledger asks for. Of the two values that S may have, the ledger accepts the smaller (xrpl.org: Transaction
 * Malleability).
 */
function secp256k1Signature(message: Buffer, key: KeyObject): Buffer {
  const signature = sign('sha512', message, { key, dsaEncoding: 'ieee-p1363' })
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
  const isHigh = toHex(s) > halfOfOrder
  const lowS = isHigh ? Buffer.from(hexOf(order - BigInt(`0x${toHex(s)}`)), 'hex') : s
  const integers = Buffer.concat([derInteger(r), derInteger(lowS)])
  return Buffer.concat([Uint8Array.of(0x30, integers.length), integers])
}

/** An unsigned integer in DER: without zeros in front, but for one where the first bit would be a minus sign. */
function derInteger(bytes: Buffer): Buffer {
  const digits = bytes.subarray(bytes.findIndex(byte => byte !== 0))
  const sign = (digits[0] as number) & 0x80 ? [0] : []
  return Buffer.concat([Uint8Array.of(0x02, sign.length + digits.length, ...sign), digits])
}

function privateKey(der: string, type: 'pkcs8' | 'sec1'): KeyObject {
  return createPrivateKey({ key: Buffer.from(der, 'hex'), format: 'der', type })
}

/** The first hash of some bytes and a counter that can be a key: all but one in 2^128 can. */
function scalarOf(...parts: Uint8Array[]): bigint {
  for (let count = 0; ; count++) {
    const scalar = BigInt(`0x${toHex(sha512Half(...parts, uint32(count)))}`)
    if (scalar > 0n && scalar < order) return scalar
  }
}

function pointOf(scalar: bigint): Buffer {
  const keys = createECDH('secp256k1')
  keys.setPrivateKey(hexOf(scalar), 'hex')
  return keys.getPublicKey(null, 'compressed')
}

function hexOf(value: bigint, bytes = 32): string {
  return value
    .toString(16)
    .toUpperCase()
    .padStart(2 * bytes, '0')
}
