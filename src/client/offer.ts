import { setTimeout as delay } from 'node:timers/promises'
import type { RequestInit, Response } from 'node-fetch'
import { notice } from '../terminal/progress.ts'
import { shutdown } from '../terminal/shutdown.ts'
import { printable } from '../terminal/text.ts'

const retryMs = 1_000
const maxAnswerMs = 10_000
const maxRetryAfterSeconds = 60
// No redirect is followed: it would take the shared secret, and with it the client's credit, to another place.
const options: RequestInit = { redirect: 'manual', size: 10_000 }
// How a request fails when its connection is cut: a proxy answers 502 or 504 then.
const cutConnection = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'])
// Nobody listens, at least at the first address that a name has: node-fetch reports no other.
const closedPort = new Set(['ECONNREFUSED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH', 'EHOSTUNREACH'])
// How https:// fails on a port that does not speak TLS.
const noTls = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'])

const restarted = 'The shop was restarted and does not know this client: start the client again'

// Whether nobody listened at the shop's address, and no letter has come since.
let isGone = false
// Whether its last answer was that it cannot serve just now.
let isUnavailable = false

/** Whether the shop was started again, or runs no more: then it does not know this client. */
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
  const res = await request(shopUrl, {}, maxAnswerMs).catch(err => requestFailed(shopUrl, err))
  isGone = false
  return res
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
    const { status, body } = await ask(url, init)
    if (status === 200) {
      isGone = false
      return body
    }
    if (isGone && (status === 402 || status === 404)) return shutdown(1, restarted)
    if (status === 402 && url === shopUrl) url = paidUrl
    else if (status === 502 || status === 504) {
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
  if (isGone || isUnavailable) return
  const res = await request(shopUrl).catch(() => undefined)
  res?.body?.resume()
  if (res && isGone) shutdown(1, restarted)
}

/** Makes a request for a letter. */
async function ask(url: string, init: RequestInit): Promise<{ status: number; body: string }> {
  try {
    const res = await request(url, init)
    return { status: res.status, body: printable(await res.text()) }
  } catch (err) {
    const { code = '', message } = err as NodeJS.ErrnoException
    return cutConnection.has(code) ? { status: 502, body: message } : requestFailed(url, err)
  }
}

/**
 * Makes a request, as soon as somebody listens there and can serve.
 *
 * @param maxHeadersMs - how long to wait for the answer's headers: the body of a stream has no end
 */
async function request(url: string, init: RequestInit = {}, maxHeadersMs?: number): Promise<Response> {
  // The library is loaded when there is a ledger to pay on.
  const { default: fetch } = await import('node-fetch')
  // Compression would hold letters back.
  const headers = { ...init.headers, 'Accept-Encoding': 'identity' }
  const shopUrl = new URL('.', url).href
  for (;;) {
    const timeout = new AbortController()
    const timer = maxHeadersMs && setTimeout(() => timeout.abort(), maxHeadersMs)
    let waitMs = retryMs
    try {
      const res = await fetch(url, { ...init, ...options, headers, signal: timeout.signal })
      const retryAfter = res.headers.get('Retry-After')
      const wasUnavailable = isUnavailable
      isUnavailable = res.status === 503 && retryAfter !== null
      if (!isUnavailable) return res
      const reason = printable(await res.text())
      if (!wasUnavailable) notice(`The shop at ${shopUrl} is unavailable, retrying: ${reason}`)
      // It may be a date as well (RFC 9110, 10.2.3): that counts as a second.
      waitMs = 1000 * Math.min(Math.max(1, Number(retryAfter) || 1), maxRetryAfterSeconds)
    } catch (err) {
      if (!closedPort.has((err as NodeJS.ErrnoException).code ?? '')) throw err
      if (!isGone) notice(`Waiting for the shop at ${shopUrl} - start it in another terminal`)
      isGone = true
    } finally {
      clearTimeout(timer)
    }
    await delay(waitMs)
  }
}

function requestFailed(url: string, err: unknown): Promise<never> {
  const { code = '', message } = err as NodeJS.ErrnoException
  const shop = `shop at ${new URL('.', url).href}`
  return noTls.has(code)
    ? shutdown(1, `The ${shop} does not speak TLS: write SHOP_URL with http://`)
    : shutdown(1, `The request to the ${shop} failed: ${printable(message)}`)
}
