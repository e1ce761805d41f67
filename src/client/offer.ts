import { setTimeout as delay } from 'node:timers/promises'
import type { RequestInit, Response } from 'node-fetch'
import { notice } from '../terminal/progress.ts'
import { shutdown } from '../terminal/shutdown.ts'
import { printable } from '../terminal/text.ts'

export { parsePayHeader } from './pay-header.ts'

const retryMs = 1_000
const maxAnswerMs = 10_000
const maxRetryAfterSeconds = 60
const maxBodyBytes = 10_000
// How a request fails when its connection is cut, and what a proxy then answers.
const cutConnection = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'])
const cutBehindProxy = new Set([502, 504])
// Nobody listens, at least at the first address that a name has: node-fetch reports no other.
const closedPort = new Set(['ECONNREFUSED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH', 'EHOSTUNREACH'])
// How https:// fails on a port that does not speak TLS.
const noTls = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'])

const restarted = 'The shop was restarted and does not know this client: start the client again'

let isGone = false

/** Whether nobody listened at the shop's address, and no letter has come since. */
export function isShopGone(): boolean {
  return isGone
}

/**
 * Reads where the shop is.
 *
 * @throws Error with what to do about it, if that is not a web address
 */
export function toShopUrl(text: string): string {
  if (/^https?:/.test(text) && URL.canParse(text)) return text
  throw new Error(`SHOP_URL="${text}" is not a web address: write it like SHOP_URL=http://localhost:8000/`)
}

/** Makes the first request, as soon as there is a shop to answer it. */
export async function requestOffer(shopUrl: string): Promise<Response> {
  let isSaid = false
  try {
    for (;;) {
      const res = await request(shopUrl, {}, maxAnswerMs)
      isGone = false
      const seconds = retryAfterSeconds(res)
      if (!seconds) return res
      const reason = printable(await bodyOf(res))
      if (!isSaid) notice(`The shop at ${shopUrl} is unavailable, retrying: ${reason}`)
      isSaid = true
      await delay(seconds * 1000)
    }
  } catch (err) {
    const isTls = noTls.has((err as NodeJS.ErrnoException).code ?? '')
    return isTls
      ? shutdown(1, `The shop at ${shopUrl} does not speak TLS: write SHOP_URL with http://`)
      : requestFailed(shopUrl, err)
  }
}

/**
 * Fetches a letter that was paid for, or ends the script if there is none. There is no time limit: the limit is how
 * many letters may be missing, see `Payments`.
 *
 * @param fulfillment - of the payment. A shop of 2017 knows it, and does not know the `Pay-Token`; with both, a shop
 *   repeats the answer that was lost on its way.
 * @returns the shop's answer, printable; an empty one if the letter was lost
 */
export async function fetchLetter(shopUrl: string, init: RequestInit, fulfillment: string): Promise<string> {
  const paidUrl = new URL(fulfillment, shopUrl).href
  let url = shopUrl
  let isLost = false
  for (;;) {
    const { status, seconds, body } = await ask(url, init)
    if (status === 200) {
      isGone = false
      return body
    }
    if (isGone && (status === 402 || status === 404)) return shutdown(1, restarted)
    if (seconds) await delay(seconds * 1000)
    else if (status === 402 && url === shopUrl) url = paidUrl
    else if (cutBehindProxy.has(status)) {
      isLost = true
      url = paidUrl
      await delay(retryMs)
    } else if (isLost) {
      notice(`\nA letter was paid for, but lost on its way: the shop answered ${status} ${body}`)
      return ''
    } else return shutdown(1, `Payment fulfilled, but no letter received: ${status} ${body}`)
  }
}

/** Checks that a shop that fulfills nothing still runs: one that was started again does not know this client. */
export async function checkShop(shopUrl: string): Promise<void> {
  if (isGone) return
  try {
    const { body } = await request(shopUrl)
    body?.resume()
    if (isGone) shutdown(1, restarted)
  } catch {
    // It is there.
  }
}

/** Makes a request for a letter. */
async function ask(url: string, init: RequestInit) {
  try {
    const res = await request(url, init)
    return { status: res.status, seconds: retryAfterSeconds(res), body: printable(await bodyOf(res)) }
  } catch (err) {
    const { code = '', message } = err as NodeJS.ErrnoException
    if (!cutConnection.has(code)) return requestFailed(url, err)
    return { status: 502, seconds: undefined, body: message }
  }
}

/**
 * Makes a request, as soon as somebody listens there. No redirect is followed: it would take the shared secret, and
 * with it the client's credit, to another place. No compression: it would hold letters back.
 *
 * @param maxHeadersMs - how long to wait for the answer's headers: the body of a stream has no end
 */
async function request(url: string, init: RequestInit = {}, maxHeadersMs?: number): Promise<Response> {
  // The library is loaded when there is a ledger to pay on.
  const { default: fetch } = await import('node-fetch')
  const headers = { ...init.headers, 'Accept-Encoding': 'identity' }
  for (;;) {
    const timeout = new AbortController()
    const timer = maxHeadersMs && setTimeout(() => timeout.abort(), maxHeadersMs)
    try {
      return await fetch(url, { redirect: 'manual', ...init, headers, signal: timeout.signal })
    } catch (err) {
      if (!closedPort.has((err as NodeJS.ErrnoException).code ?? '')) throw err
      const shopUrl = new URL('.', url).href
      if (!isGone) notice(`Waiting for the shop at ${shopUrl} - start it in another terminal`)
      isGone = true
    } finally {
      clearTimeout(timer)
    }
    await delay(retryMs)
  }
}

function requestFailed(url: string, err: unknown): Promise<never> {
  const reason = printable((err as Error).message)
  return shutdown(1, `The request to the shop at ${new URL('.', url).href} failed: ${reason}`)
}

/** When a shop that cannot answer just now wants to be asked again; undefined if it does not say so. */
function retryAfterSeconds(res: Response): number | undefined {
  const header = res.headers.get('Retry-After')
  if (res.status !== 503 || header === null) return undefined
  // It may be a date as well (RFC 9110, 10.2.3): that counts as a second.
  return Math.min(Math.max(1, Number(header) || 1), maxRetryAfterSeconds)
}

/** Reads a short answer; rejects one that is not short. */
async function bodyOf(res: Response): Promise<string> {
  let body = ''
  for await (const chunk of res.body ?? []) {
    body += chunk
    if (body.length > maxBodyBytes) throw new Error('its answer is far too long')
  }
  return body
}
