import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import fetch, { type RequestInit, type Response } from 'node-fetch'
import { end } from '../terminal/ending.ts'
import { printable } from '../terminal/printable.ts'

const retryMs = 1_000
const answerTimeoutMs = 10_000
// More than any answer but a stream of letters can have to say.
const maxBodyBytes = 10_000
const sharedSecretShape = /^[A-Za-z0-9_-]{43}$/
const amountShape = /^[1-9]\d{0,18}$/
// <ledger prefix><account>.<clientId>, with room for a paymentId in the 1023 characters of an ILP address.
const addressShape = /^[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)+$/
const maxAddressLength = 1_000

/**
 * Asks the shop, and gives up on one that does not begin to answer.
 *
 * @throws Error if there is no answer within ten seconds
 */
export async function askShop(shopUrl: string, init: RequestInit = {}): Promise<Response> {
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(), answerTimeoutMs)
  try {
    // A redirect would take the shared secret, and with it the client's credit, to somewhere else.
    return await fetch(shopUrl, { redirect: 'manual', ...init, signal: patience.signal })
  } finally {
    clearTimeout(timer)
  }
}

/** Reads a short answer; rejects when it is not short, or does not end. */
export async function bodyOf(res: Response): Promise<string> {
  let body = ''
  const timer = setTimeout(
    () => (res.body as Readable | null)?.destroy(new Error('its answer has no end')),
    answerTimeoutMs
  )
  try {
    for await (const chunk of res.body ?? []) {
      body += chunk
      if (body.length > maxBodyBytes) throw new Error('its answer is far too long')
    }
    return body
  } finally {
    clearTimeout(timer)
  }
}

/** Makes the first request, as soon as there is a shop to answer it. */
export async function findShop(shopUrl: string): Promise<Response> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await askShop(shopUrl)
    } catch (err) {
      if (!isRefused(err))
        return end(1, `The shop at ${shopUrl} gives no proper answer: ${(err as Error).message}`)
      if (isFirst) console.log(`Waiting for the shop at ${shopUrl} - start it in another terminal`)
      await delay(retryMs)
    }
  }
}

/**
 * Checks what a shop asks for, and ends the script if it is nothing that a client should pay.
 *
 * @param res - the shop's first answer
 * @param status - what that answer should be: 402, or 200 if the letters come with it
 * @param maxPrice - drops that a letter may cost at the most
 * @param prefix - ILP prefix of the ledger that the client can pay on
 * @returns the four parts of the Pay header: `interledger-psk`, the amount in drops, the shop's ILP address for
 *   this client, the shared secret (base64url of 32 bytes)
 * @see Interledger RFC 0014 (HTTP-ILP), draft 2
 */
export async function checkOffer(
  res: Response,
  status: number,
  maxPrice: number,
  prefix: string
): Promise<[scheme: string, amount: string, address: string, sharedSecret: string]> {
  const pay = res.headers.get('Pay')
  if (pay === null) {
    return end(
      1,
      `The shop does not say what to pay: its answer (${res.status}) has no Pay header. Is it a letter shop?`
    )
  }
  if (res.status !== status)
    return end(1, `The shop answered ${res.status} instead of ${status}: that is no letter shop`)
  const [scheme = '', amount = '', address = '', sharedSecret = '', ...rest] = pay.split(' ')
  const isPsk =
    scheme === 'interledger-psk' &&
    amountShape.test(amount) &&
    addressShape.test(address) &&
    address.length <= maxAddressLength &&
    sharedSecretShape.test(sharedSecret) &&
    rest.length === 0
  if (!isPsk) {
    const quoted = printable(pay, 200)
    return end(
      1,
      `The shop's Pay header is not "interledger-psk <amount> <address> <shared secret>": ${quoted}`
    )
  }
  if (!address.startsWith(prefix)) {
    return end(
      1,
      `The shop wants to be paid at "${address}", which is not on this client's ledger "${prefix}"`
    )
  }
  if (BigInt(amount) > BigInt(maxPrice)) {
    return end(
      1,
      `The shop asks ${amount} drops for a letter, more than the ${maxPrice} that maxPrice at the top of the script allows`
    )
  }
  return [scheme, amount, address, sharedSecret]
}

function isRefused(err: unknown): boolean {
  return (err as NodeJS.ErrnoException).code === 'ECONNREFUSED'
}
