import type { Response } from 'node-fetch'
import { printable } from '../terminal/text.ts'

// Drops, <ledger prefix><account>.<clientId> with room for a paymentId in the 1023 characters of an ILP address, and
// 32 bytes in base64url.
const payPattern = /^interledger-psk ([1-9]\d{0,18}) (?=\S{1,1000} )([\w~-]+(?:\.[\w~-]+)+) ([\w-]{43})$/
// What a shop does, by the status of its first answer, and which client is for it.
const shops: Record<number, string> = {
  200: 'streams its letters: its client is streaming-client2 (npm run streaming-client2)',
  402: 'wants one request for each letter: its client is streaming-client1 (npm run streaming-client1)'
}

/**
 * Reads what a shop asks for.
 *
 * @param res - the shop's first answer
 * @param status - what that answer should be: 402, or 200 if the letters come with it
 * @param maxPrice - the most drops that a letter may cost
 * @param prefix - ILP prefix of the ledger that the client pays on
 * @returns the four parts of the Pay header: `interledger-psk`, the amount in drops, the shop's ILP address for
 *   this client, the shared secret (base64url of 32 bytes)
 * @throws Error if a client should not pay that
 * @see Interledger RFC 0014 (HTTP-ILP), draft 2
 */
export function parsePayHeader(
  res: Pick<Response, 'url' | 'status'> & { headers: Pick<Headers, 'get'> },
  status: number,
  maxPrice: number,
  prefix: string
): [scheme: string, amount: string, address: string, sharedSecret: string] {
  const pay = res.headers.get('Pay')
  if (pay === null)
    throw new Error(
      `${res.url} is not a letter shop: its answer (${res.status}) has no Pay header. Check SHOP_URL`
    )
  if (res.status !== status) {
    const does = shops[res.status]
    const other = `The shop answered ${res.status} instead of ${status}: it is not a letter shop`
    throw new Error(does ? `This shop ${does}` : other)
  }
  const [, amount, address, sharedSecret] = payPattern.exec(pay) ?? []
  if (!amount || !address || !sharedSecret)
    throw new Error(
      `The shop's Pay header is not "interledger-psk <amount> <address> <shared secret>": ${printable(pay)}`
    )
  if (!address.startsWith(prefix))
    throw new Error(
      `The shop is paid at "${printable(address)}", which is not on this client's ledger "${prefix}"`
    )
  if (BigInt(amount) > BigInt(maxPrice))
    throw new Error(
      `The shop asks ${amount} drops for a letter, and maxPrice at the top of the script allows ${maxPrice}`
    )
  return ['interledger-psk', amount, address, sharedSecret]
}
