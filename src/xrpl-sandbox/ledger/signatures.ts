import { createPublicKey, verify } from 'node:crypto'
import { memoize, sha512Half } from './hashes.ts'

// DER headers that turn a raw public key into the SubjectPublicKeyInfo that node:crypto reads.
const ed25519Spki = Buffer.from('302a300506032b6570032100', 'hex')
const secp256k1Spki = Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex')

const secp256k1Order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** `publicKey` is 33 bytes in upper-case hex: 02… or 03… for secp256k1, ED… for Ed25519. */
const keyObject = memoize(publicKey => {
  const raw = Buffer.from(publicKey, 'hex')
  const der = publicKey.startsWith('ED') ? [ed25519Spki, raw.subarray(1)] : [secp256k1Spki, raw]
  return createPublicKey({ key: Buffer.concat(der), format: 'der', type: 'spki' })
})

/**
 * Whether the S of a secp256k1 signature in DER is the smaller of the two possible values, the one that rippled
 * accepts, so that nobody can change a signed transaction's hash. Source: xrpl.org "Transaction Malleability".
 */
function hasSmallS(signature: Buffer): boolean {
  const lengthOfR = signature.readUInt8(3)
  return BigInt(`0x${signature.toString('hex', 4 + lengthOfR + 2)}`) <= secp256k1Order / 2n
}

/**
 * Whether `signature` (hex) signs `message` under `publicKey` (hex), by the same rules as rippled.
 *
 * The XRP Ledger signs the first half of a SHA-512. For secp256k1 node:crypto can be given SHA-512 itself:
 * ECDSA uses the leftmost 256 bits of a longer hash (FIPS 186-4, 6.4), which is the same.
 */
export function verifySignature(message: Uint8Array, signature: string, publicKey: string): boolean {
  const bytes = Buffer.from(signature, 'hex')
  const ed25519 = /^ED[0-9A-F]{64}$/.test(publicKey)
  if (!ed25519 && !/^0[23][0-9A-F]{64}$/.test(publicKey)) return false
  try {
    // OpenSSL takes no DER but the strict one.
    const isGood = verify(ed25519 ? null : 'sha512', message, keyObject(publicKey), bytes)
    return isGood && (ed25519 || hasSmallS(bytes))
  } catch {
    return false // the key is no point of the curve
  }
}

/** The x of the curve's generator. */
const generatorX = 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n

const der = (tag: string, hex: string) => `${tag}${(hex.length / 2).toString(16).padStart(2, '0')}${hex}`

/** A positive integer of up to 32 bytes in DER: as short as it can be, and the first bit is its sign. */
const derInteger = (value: bigint) =>
  der(
    '02',
    value
      .toString(16)
      .padStart(66, '0')
      .replace(/^(00)+(?=[0-7])/, '')
  )

/**
 * Signs `message` with a secp256k1 key that everybody knows (hex): with the nonce 1, which gives the key away. That
 * takes no library, and the same message gets the same signature each time.
 *
 * Source: SEC 1, 4.1.3
 */
export function signPublicly(message: Uint8Array, privateKey: string): string {
  const digest = BigInt(`0x${sha512Half(message).toString('hex')}`)
  const s = (digest + generatorX * BigInt(`0x${privateKey}`)) % secp256k1Order
  const smallS = s > secp256k1Order / 2n ? secp256k1Order - s : s
  return der('30', derInteger(generatorX) + derInteger(smallS)).toUpperCase()
}
