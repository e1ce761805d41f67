import { randomBytes, timingSafeEqual } from 'node:crypto'
import base64url from 'base64url'
import { hmac } from '../crypto.ts'

// An offer need not be remembered: of its two halves the shop derives each from the other, with this key.
//  clientId (8 bytes): the offer's number, and a mark that tells the shop's own clientIds from others
//  sharedSecret (32 bytes): a mark of the clientId, and the clientId itself, masked
const key = randomBytes(32)
const numberBytes = 5
const markBytes = 24
let offers = 0

/** A clientId that was never given before. */
export function newClientId(): string {
  const number = Buffer.alloc(numberBytes)
  number.writeUIntBE(offers++, 0, numberBytes)
  return base64url(toClientId(number))
}

/** The secret that the shop shares with a client; undefined if the clientId is none of its own. */
export function sharedSecretOf(clientId: string): Buffer | undefined {
  const id = Buffer.from(clientId, 'base64url')
  const isOwn = base64url(id) === clientId && toClientId(id.subarray(0, numberBytes)).equals(id)
  return isOwn ? toSharedSecret(id) : undefined
}

/** Who has been offered a shared secret; undefined if the shop has never offered it. */
export function clientIdOf(sharedSecret: Buffer): string | undefined {
  const mark = sharedSecret.subarray(0, markBytes)
  const id = masked(sharedSecret.subarray(markBytes), mark)
  return timingSafeEqual(toSharedSecret(id), sharedSecret) ? base64url(id) : undefined
}

/** The clientId of someone who chose the shared secret: always the same one, but the secret cannot be told from it. */
export function clientIdOfChosen(sharedSecret: Buffer): string {
  return base64url(hmac(key, sharedSecret).subarray(0, 8))
}

function toClientId(number: Buffer): Buffer {
  return Buffer.concat([number, hmac(key, number).subarray(0, 3)])
}

function toSharedSecret(id: Buffer): Buffer {
  const mark = hmac(key, id).subarray(0, markBytes)
  return Buffer.concat([mark, masked(id, mark)])
}

function masked(id: Buffer, mark: Buffer): Buffer {
  const mask = hmac(key, mark)
  return Buffer.from(id.map((byte, n) => byte ^ (mask[n] as number)))
}
