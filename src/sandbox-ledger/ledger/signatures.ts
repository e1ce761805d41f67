import { createPublicKey, verify } from 'node:crypto'
import { remember } from './hashes.ts'

// DER headers that turn a raw public key into the SubjectPublicKeyInfo that node:crypto reads.
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex')
const SPKI_SECP256K1 = Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex')

const SECP256K1_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

/** `publicKey` is 33 bytes in upper-case hex: 02… or 03… for secp256k1, ED… for Ed25519. */
const keyObject = remember(publicKey => {
  const raw = Buffer.from(publicKey, 'hex')
  const der = publicKey.startsWith('ED') ? [SPKI_ED25519, raw.subarray(1)] : [SPKI_SECP256K1, raw]
  return createPublicKey({ key: Buffer.concat(der), format: 'der', type: 'spki' })
})

/** Reads one INTEGER of a DER signature; undefined unless it is positive and as short as can be. */
function readInteger(signature: Buffer, offset: number): { value: bigint; end: number } | undefined {
  const length = signature[offset + 1] ?? 0
  const bytes = signature.subarray(offset + 2, offset + 2 + length)
  const [first = 0x80, second = 0] = bytes
  if (signature[offset] !== 0x02 || length < 1 || length > 33 || bytes.length !== length) return undefined
  if (first & 0x80 || (first === 0 && length > 1 && !(second & 0x80))) return undefined
  return { value: BigInt(`0x${bytes.toString('hex')}`), end: offset + 2 + length }
}

/**
 * Whether a secp256k1 signature is in the one form that rippled accepts: strict DER, and the smaller of the
 * two possible values of S, so that nobody can change a signed transaction's hash.
 * Source: xrpl.org "Transaction Malleability".
 */
function isFullyCanonical(signature: Buffer): boolean {
  if (signature.length < 8 || signature.length > 72) return false
  if (signature[0] !== 0x30 || signature[1] !== signature.length - 2) return false
  const r = readInteger(signature, 2)
  const s = r && readInteger(signature, r.end)
  if (!r || !s || s.end !== signature.length) return false
  return r.value > 0n && r.value < SECP256K1_ORDER && s.value > 0n && s.value <= SECP256K1_ORDER / 2n
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
  if (ed25519 ? bytes.length !== 64 : !/^0[23][0-9A-F]{64}$/.test(publicKey) || !isFullyCanonical(bytes)) {
    return false
  }
  try {
    return verify(ed25519 ? null : 'sha512', message, keyObject(publicKey), bytes)
  } catch {
    return false // the key is no point of the curve
  }
}
