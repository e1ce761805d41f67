import { createHash } from 'node:crypto'
import { decodeAccountID } from 'ripple-address-codec'

/** The first half of SHA-512: the hash of everything on the XRP Ledger. Source: xrpl.org "Basic Data Types", Hash prefixes. */
export function sha512Half(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha512')
  for (const part of parts) hash.update(part)
  return hash.digest().subarray(0, 32)
}

export const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex').toUpperCase()

/** What stands before the data in a hash, so that different things never have the same one. */
export const hashPrefix = {
  transactionId: Buffer.from('TXN\0'),
  signedTransaction: Buffer.from('STX\0'),
  transactionNode: Buffer.from('SND\0'),
  stateNode: Buffer.from('MLN\0'),
  innerNode: Buffer.from('MIN\0'),
  ledgerHeader: Buffer.from('LWR\0')
}

// Checking the checksum of an address costs more than the rest of serializing it.
const accountIds = new Map<string, Buffer>()
const MAX_REMEMBERED = 10_000

/** The 20 bytes behind an address ("r…"). Throws if the address is not one. */
export function accountId(address: string): Buffer {
  let id = accountIds.get(address)
  if (!id) {
    id = Buffer.from(decodeAccountID(address))
    if (accountIds.size >= MAX_REMEMBERED) accountIds.clear()
    accountIds.set(address, id)
  }
  return id
}

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const uint64 = (value: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

/** Where an entry stands in the ledger's state (64 upper-case hex digits). Source: xrpl.org "Ledger Object IDs". */
export const indexOf = {
  account: (address: string) => toHex(sha512Half(Buffer.from('\0a'), accountId(address))),
  escrow: (owner: string, sequence: number) =>
    toHex(sha512Half(Buffer.from('\0u'), accountId(owner), uint32(sequence))),
  ownerDirectory: (owner: string) => toHex(sha512Half(Buffer.from('\0O'), accountId(owner))),
  directoryPage: (root: string, page: number) =>
    page === 0 ? root : toHex(sha512Half(Buffer.from('\0d'), Buffer.from(root, 'hex'), uint64(page)))
}
