import { setTimeout as delay } from 'node:timers/promises'
import type { RequestInit, Response } from 'node-fetch'
import { end } from '../terminal/ending.ts'
import { printable } from '../terminal/printable.ts'

const retryMs = 1_000
const answerTimeoutMs = 10_000
// A shop that wants to be asked again does not decide for how long the client sleeps.
const maxRetryAfterSeconds = 60
// More than any answer but a stream of letters can have to say.
const maxBodyBytes = 10_000
const sharedSecretShape = /^[A-Za-z0-9_-]{43}$/
const amountShape = /^[1-9]\d{0,18}$/
// <ledger prefix><account>.<clientId>, with room for a paymentId in the 1023 characters of an ILP address.
const addressShape = /^[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)+$/
const maxAddressLength = 1_000
// Which client a shop is for, by the status of its first answer.
const clients: Record<number, { does: string; client: string }> = {
  200: { does: 'streams its letters', client: 'streaming-client2' },
  402: { does: 'wants one request for each letter', client: 'streaming-client1' }
}

/**
 * Reads where the shop is.
 *
 * @throws Error with what to do about it, if it is no web address
 */
export function toShopUrl(text: string): string {
  if (/^https?:/.test(text) && URL.canParse(text)) return text
  throw new Error(`SHOP_URL="${text}" is not a web address: write it like SHOP_URL=http://localhost:8000/`)
}

// How a request ends when the line is cut, for example by a shop that was asleep and takes it for one that is late.
const cutLine = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'])

/**
 * Asks a shop. What asks is loaded when there is a ledger to pay on. No redirect is followed: it would take the shared
 * secret, and with it the client's credit, to somewhere else.
 */
async function ask(url: string, init: RequestInit): Promise<Response> {
  const { default: fetch } = await import('node-fetch')
  return fetch(url, { redirect: 'manual', ...init })
}

/** Makes the first request, as soon as there is a shop to answer it. */
export async function findShop(shopUrl: string): Promise<Response> {
  let hasSaidSo = false
  const waitFor = async (what: string, ms: number) => {
    if (!hasSaidSo) console.log(what)
    hasSaidSo = true
    await delay(ms)
  }
  for (;;) {
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(), answerTimeoutMs)
    try {
      const res = await ask(shopUrl, { signal: patience.signal })
      const seconds = retryAfterSeconds(res)
      if (!seconds) return res
      const reason = printable(await bodyOf(res), 200)
      await waitFor(`The shop at ${shopUrl} wants to be asked again later: ${reason}`, seconds * 1000)
    } catch (err) {
      if (!isRefused(err))
        return end(1, `The shop at ${shopUrl} gives no proper answer: ${(err as Error).message}`)
      await waitFor(`Waiting for the shop at ${shopUrl} - start it in another terminal`, retryMs)
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * Fetches a letter that was paid for, or ends the script if there is none. For how long to wait for the answer, and to
 * ask again where the line was cut before it, is decided by how many letters are missing, see `Payments`.
 *
 * @param fulfillment - of the payment: what a shop of 2017 knows it by, if it does not know the `Pay-Token`
 * @returns what the shop answered, made safe to print
 */
export async function fetchLetter(shopUrl: string, init: RequestInit, fulfillment: string): Promise<string> {
  let url = shopUrl
  for (;;) {
    try {
      const res = await ask(url, init)
      const body = printable(await bodyOf(res))
      if (res.status === 200) return body
      const seconds = retryAfterSeconds(res)
      if (seconds) await delay(seconds * 1000)
      else if (res.status === 402 && url === shopUrl) url = new URL(fulfillment, shopUrl).href
      else return end(1, `The shop took a payment and gave no letter: ${res.status} ${body}`)
    } catch (err) {
      const { code = '', message } = err as NodeJS.ErrnoException
      if (!cutLine.has(code)) return end(1, `The shop went away: ${message}`)
      await delay(retryMs)
    }
  }
}

/** When a shop that cannot answer just now wants to be asked again; undefined if it does not say that. */
function retryAfterSeconds(res: Response): number | undefined {
  const header = res.headers.get('Retry-After')
  if (res.status !== 503 || header === null) return undefined
  // It may be a date as well (RFC 9110, 10.2.3): it is not worth to be exact about.
  const seconds = Number(header) > 0 ? Number(header) : 1
  return Math.min(seconds, maxRetryAfterSeconds)
}

/** Reads a short answer; rejects when it is not short. */
async function bodyOf(res: Response): Promise<string> {
  let body = ''
  for await (const chunk of res.body ?? []) {
    body += chunk
    if (body.length > maxBodyBytes) throw new Error('its answer is far too long')
  }
  return body
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
      `${res.url} is no letter shop: its answer (${res.status}) has no Pay header. Look at SHOP_URL`
    )
  }
  if (res.status !== status) {
    const other = clients[res.status]
    return end(
      1,
      other
        ? `This shop ${other.does}: it belongs to ${other.client} (npm run ${other.client})`
        : `The shop answered ${res.status} instead of ${status}: that is no letter shop`
    )
  }
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
