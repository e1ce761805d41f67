import { createECDH, createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { decodeSeed, encodeAccountID } from 'ripple-address-codec'

/** How many points the curve secp256k1 has. */
export const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** Keys as ripple-keypairs derives them: hex, with `ED` before those of Ed25519. */
export interface KeyPair {
  publicKey: string
  privateKey: string
}

/** An account, and what it signs with. */
export interface Wallet extends KeyPair {
  /** classic address */
  address: string
}

/**
 * The account of a family seed ("s…"). OpenSSL derives its keys in a millisecond; ripple-keypairs, whose curves are
 * JavaScript, takes a new process fifty. Source: xrpl.org "Cryptographic Keys", Key Derivation.
 *
 * @throws Error if it is no family seed
 */
export function walletOf(seed: string): Wallet {
  const { bytes, type } = decodeSeed(seed)
  const keys = type === 'ed25519' ? ed25519Keys(bytes) : secp256k1Keys(bytes)
  const sha256 = createHash('sha256').update(keys.publicKey, 'hex').digest()
  return { ...keys, address: encodeAccountID(createHash('ripemd160').update(sha256).digest()) }
}

function ed25519Keys(seed: Uint8Array): KeyPair {
  const privateKey = `ED${toHex(sha512Half(seed))}`
  const publicKey = createPublicKey(ed25519Key(privateKey)).export({ format: 'der', type: 'spki' })
  return { publicKey: `ED${toHex(publicKey.subarray(-32))}`, privateKey }
}

/** The first account of the family that a seed has. */
function secp256k1Keys(seed: Uint8Array): KeyPair {
  const family = scalarOf(seed)
  const account = scalarOf(pointOf(family), uint32(0))
  const scalar = (family + account) % order
  return { publicKey: toHex(pointOf(scalar)), privateKey: `00${hexOf(scalar)}` }
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

/** What signs with an Ed25519 key, from its hex. */
export function ed25519Key(privateKey: string): KeyObject {
  // PKCS #8 (RFC 8410, section 7)
  const der = Buffer.from(`302E020100300506032B657004220420${privateKey.slice('ED'.length)}`, 'hex')
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

/** The first half of a SHA-512 digest. */
export function sha512Half(...parts: Uint8Array[]): Buffer {
  return createHash('sha512').update(Buffer.concat(parts)).digest().subarray(0, 32)
}

export function toHex(bytes: Buffer): string {
  return bytes.toString('hex').toUpperCase()
}

function hexOf(scalar: bigint): string {
  return scalar.toString(16).toUpperCase().padStart(64, '0')
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
