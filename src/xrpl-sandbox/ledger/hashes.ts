import { hash } from 'node:crypto'
import { decodeAccountID } from 'ripple-address-codec'
import { deriveAddress } from 'ripple-keypairs'

/** The first half of SHA-512: the hash of everything on the XRP Ledger. Source: xrpl.org "Basic Data Types", Hashes. */
export function sha512Half(...parts: Uint8Array[]): Buffer {
  return hash('sha512', Buffer.concat(parts), 'buffer').subarray(0, 32)
}

export const ZERO_HASH = '0'.repeat(64)

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

const MAX_REMEMBERED = 10_000

/** The same few accounts come in every transaction: what is derived from one is remembered, within bounds. */
export function remember<T>(derive: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return text => {
    let value = known.get(text)
    if (value === undefined) {
      value = derive(text)
      if (known.size >= MAX_REMEMBERED) known.clear()
      known.set(text, value)
    }
    return value
  }
}

/** The 20 bytes behind an address ("r…"). Throws if the address is not one. */
export const accountId = remember(address => Buffer.from(decodeAccountID(address)))

/** The address of a public key (hex). Source: xrpl.org "Addresses", Address Encoding. */
export const addressOf = remember(deriveAddress)

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

/** Where an entry stands in the ledger's state (64 upper-case hex digits). Source: xrpl.org "Ledger Object IDs". */
export const indexOf = {
  account: remember(address => toHex(sha512Half(Buffer.from('\0a'), accountId(address)))),
  escrow: (owner: string, sequence: number) =>
    toHex(sha512Half(Buffer.from('\0u'), accountId(owner), uint32(sequence))),
  ticket: (owner: string, sequence: number) =>
    toHex(sha512Half(Buffer.from('\0T'), accountId(owner), uint32(sequence))),
  ownerDirectory: remember(owner => toHex(sha512Half(Buffer.from('\0O'), accountId(owner)))),
  directoryPage: (root: string, page: number) =>
    page === 0 ? root : toHex(sha512Half(Buffer.from('\0d'), Buffer.from(root, 'hex'), uint64(page)))
}
