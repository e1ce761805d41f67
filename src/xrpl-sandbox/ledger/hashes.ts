import { hash } from 'node:crypto'
import { decodeAccountID, encodeAccountID, isValidClassicAddress } from 'ripple-address-codec'

/** The first half of SHA-512: the hash of everything on the XRP Ledger. Source: xrpl.org "Basic Data Types", Hashes. */
export function sha512Half(...parts: Uint8Array[]): Buffer {
  return hash('sha512', Buffer.concat(parts), 'buffer').subarray(0, 32)
}

export const zeroHash = '0'.repeat(64)

export const toHex = (bytes: Buffer) => bytes.toString('hex').toUpperCase()

/** What stands before the data in a hash, so that different things never have the same one. */
export const hashPrefix = {
  transactionId: Buffer.from('TXN\0'),
  signedTransaction: Buffer.from('STX\0'),
  transactionNode: Buffer.from('SND\0'),
  stateNode: Buffer.from('MLN\0'),
  innerNode: Buffer.from('MIN\0'),
  ledgerHeader: Buffer.from('LWR\0')
}

const maxMemoized = 10_000

/** Keeps what is derived from a text, within bounds: the same few accounts come in every transaction. */
export function memoize<T>(derive: (text: string) => T): (text: string) => T {
  const memoized = new Map<string, T>()
  return text => {
    let value = memoized.get(text)
    if (value === undefined) {
      value = derive(text)
      if (memoized.size >= maxMemoized) memoized.clear()
      memoized.set(text, value)
    }
    return value
  }
}

/** The longest that an address can be. */
const maxAddressLength = 35

/** Whether a text is an address ("r…"). Long texts are refused unread: decoding takes the square of their length. */
export function isAddress(text: unknown): text is string {
  return typeof text === 'string' && text.length <= maxAddressLength && isValidClassicAddress(text)
}

/** The 20 bytes behind an address ("r…"). Throws if the address is not one. */
export const accountId = memoize(address => Buffer.from(decodeAccountID(address)))

/** The address of a public key (hex). Source: xrpl.org "Addresses", Address Encoding. */
export const addressOf = memoize(publicKey => {
  const sha256 = hash('sha256', Buffer.from(publicKey, 'hex'), 'buffer')
  return encodeAccountID(hash('ripemd160', sha256, 'buffer'))
})

const uint32 = (value: number) => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const uint64 = (value: number) => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

const index = (space: string, ...parts: Uint8Array[]) =>
  toHex(sha512Half(Buffer.from(`\0${space}`), ...parts))

/** Where an entry stands in the ledger's state (64 upper-case hex digits). Source: xrpl.org "Ledger Object IDs". */
export const indexOf = {
  amendments: index('f'),
  feeSettings: index('e'),
  account: memoize(address => index('a', accountId(address))),
  escrow: (owner: string, sequence: number) => index('u', accountId(owner), uint32(sequence)),
  ticket: (owner: string, sequence: number) => index('T', accountId(owner), uint32(sequence)),
  ownerDirectory: memoize(owner => index('O', accountId(owner))),
  directoryPage: (root: string, page: number) =>
    page === 0 ? root : index('d', Buffer.from(root, 'hex'), uint64(page))
}
