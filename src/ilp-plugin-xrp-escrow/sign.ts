import { createECDH, createHash, createPrivateKey, sign } from 'node:crypto'
import { encodeForSigning, type Transaction, type Wallet } from 'xrpl'

// Prefix of what a transaction's hash is taken over: "TXN" (xrpl.org: Basic Data Types, Hash Prefixes).
const transactionPrefix = Buffer.from('54584E00', 'hex')
// Fields of the binary format (xrpl.org: Serialization Format): SigningPubKey of 33 bytes, and TxnSignature.
const publicKeyField = Buffer.from('7321', 'hex')
const signatureField = 0x74
const signingPrefixLength = 4
const curveOrder = BigInt('0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141')

/** Signs bytes, as the ledger wants them signed. */
type Sign = (message: Buffer) => Buffer

/** A transaction ready to be sent, in binary (hex), and its hash. */
export interface SignedTransaction {
  blob: string
  hash: string
}

/**
 * What signs an account's transactions. The result is as good as that of `Wallet.sign` of xrpl.js, which takes
 * four times as long: it encodes a transaction several times and signs without the help of OpenSSL.
 *
 * @returns a function of a transaction that is complete but for the signature
 */
export function signer(wallet: Wallet): (tx: Record<string, unknown>) => SignedTransaction {
  const signBytes = wallet.publicKey.startsWith('ED') ? ed25519(wallet) : secp256k1(wallet)
  const publicKey = Buffer.concat([publicKeyField, Buffer.from(wallet.publicKey, 'hex')])

  return function (tx) {
    const complete = { ...tx, SigningPubKey: wallet.publicKey } as unknown as Transaction
    const message = Buffer.from(encodeForSigning(complete), 'hex')
    const signature = signBytes(message)
    // Fields stand in a fixed order, in which the signature follows the public key.
    const end = message.indexOf(publicKey) + publicKey.length
    const blob = Buffer.concat([
      message.subarray(signingPrefixLength, end),
      Buffer.from([signatureField, signature.length]),
      signature,
      message.subarray(end)
    ])
    // SHA-512Half: the first half of a SHA-512 digest.
    const digest = createHash('sha512').update(transactionPrefix).update(blob).digest('hex')
    return { blob: toHex(blob), hash: digest.slice(0, 64).toUpperCase() }
  }
}

function ed25519({ privateKey }: Wallet): Sign {
  // A private key in its PKCS #8 wrapping (RFC 8410).
  const der = Buffer.from(`302E020100300506032B657004220420${privateKey.slice(2)}`, 'hex')
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return message => sign(null, message, key)
}

function secp256k1({ privateKey }: Wallet): Sign {
  const d = Buffer.from(privateKey.slice(-64), 'hex')
  const ecdh = createECDH('secp256k1')
  ecdh.setPrivateKey(d)
  const point = ecdh.getPublicKey()
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map(part => part.toString('base64url'))
  const jwk = { kty: 'EC', crv: 'secp256k1', d: d.toString('base64url'), x, y }
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  // ECDSA takes of a digest as many bits as its curve has: of SHA-512 the first half, as the ledger does.
  return message => toDer(sign('sha512', message, { key, dsaEncoding: 'ieee-p1363' }))
}

/** An ECDSA signature in DER, with the smaller of its two possible S (xrpl.org: Transaction Malleability). */
function toDer(signature: Buffer): Buffer {
  const r = BigInt(`0x${signature.toString('hex', 0, 32)}`)
  const s = BigInt(`0x${signature.toString('hex', 32)}`)
  const integers = [r, s > curveOrder / 2n ? curveOrder - s : s].map(derInteger)
  const body = Buffer.concat(integers)
  return Buffer.concat([Buffer.from([0x30, body.length]), body])
}

function derInteger(value: bigint): Buffer {
  const digits = value.toString(16)
  const bytes = Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex')
  // A leading bit of 1 would make it negative.
  const padded = (bytes[0] as number) & 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes
  return Buffer.concat([Buffer.from([0x02, padded.length]), padded])
}

function toHex(bytes: Buffer): string {
  return bytes.toString('hex').toUpperCase()
}
