import { createHash, createHmac } from 'node:crypto'

/**
 * The SHA-256 digest of a preimage.
 *
 * @param preimage - the bytes to hash; a string is taken as UTF-8
 * @returns 32 bytes
 */
export function sha256(preimage: Buffer | string): Buffer {
  return createHash('sha256').update(preimage).digest()
}

/**
 * The HMAC-SHA-256 of an input under a secret key.
 *
 * @param secret - the key, of any length
 * @param input - the bytes to authenticate; a string is taken as UTF-8
 * @returns 32 bytes
 */
export function hmac(secret: Buffer | string, input: Buffer | string): Buffer {
  return createHmac('sha256', secret).update(input).digest()
}

/**
 * The fulfillment of one payment, which only the two who share the secret can derive.
 *
 * Two steps, as the reference implementation does it: the packet is authenticated under a key that is
 * itself derived from the shared secret. The packet has to differ for every payment, or its fulfillment,
 * public once used, would open the next payment too.
 *
 * @param sharedSecret - the pre-shared key, 32 bytes
 * @param ilpPacket - the whole serialized ILP payment packet
 * @returns 32 bytes
 * @see Interledger RFC 0016 (Pre-Shared Key), draft 4, "Fulfillment generation"
 */
export function pskFulfillment(sharedSecret: Buffer | string, ilpPacket: Buffer): Buffer {
  const fulfillmentGenerator = hmac(sharedSecret, 'ilp_psk_condition')
  return hmac(fulfillmentGenerator, ilpPacket)
}
