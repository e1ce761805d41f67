import { setTimeout as delay } from 'node:timers/promises'
import type { RequestInit, Response } from 'node-fetch'
import { notice } from '../terminal/progress.ts'
import { shutdown } from '../terminal/shutdown.ts'
import { printable } from '../terminal/text.ts'

export { parsePayHeader } from './pay-header.ts'

const retryMs = 1_000
const answerTimeoutMs = 10_000
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

// Several requests may find that the shop has gone: they wait together.
let waitingForShop: Promise<Response> | undefined

/** Whether the shop that letters are fetched from has gone, and is waited for. */
export function isShopGone(): boolean {
  return waitingForShop !== undefined
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
  const waitFor = async (what: string, ms: number) => {
    if (!isSaid) notice(what)
    isSaid = true
    await delay(ms)
  }
  for (;;) {
    // It is for the headers: the body of a stream has no end.
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(), answerTimeoutMs)
    try {
      const res = await request(shopUrl, { signal: timeout.signal })
      const seconds = retryAfterSeconds(res)
      if (!seconds) return res
      const reason = printable(await bodyOf(res))
      await waitFor(`The shop at ${shopUrl} is unavailable, retrying: ${reason}`, seconds * 1000)
    } catch (err) {
      const { code, message } = err as NodeJS.ErrnoException
      if (noTls.has(code ?? ''))
        return shutdown(1, `The shop at ${shopUrl} does not speak TLS: write SHOP_URL with http://`)
      if (!closedPort.has(code ?? ''))
        return shutdown(1, `The request to the shop at ${shopUrl} failed: ${printable(message)}`)
      await waitFor(`Waiting for the shop at ${shopUrl} - start it in another terminal`, retryMs)
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * Fetches a letter that was paid for, or ends the script if there is none. There is no time limit: the limit is how
 * many letters may be missing, see `Payments`. A shop that has gone is waited for, as at the start.
 *
 * @param fulfillment - of the payment. A shop of 2017 knows it, and does not know the `Pay-Token`; with both, a shop
 *   repeats the answer that was lost on its way.
 * @returns the shop's answer, printable; an empty one if the letter was lost
 */
export async function fetchLetter(shopUrl: string, init: RequestInit, fulfillment: string): Promise<string> {
  const paidUrl = new URL(fulfillment, shopUrl).href
  let url = shopUrl
  let isLost = false
  let hasGone = false
  for (;;) {
    try {
      const res = await request(url, init)
      const body = printable(await bodyOf(res))
      if (res.status === 200) return body
      if (hasGone && (res.status === 402 || res.status === 404)) return shutdown(1, restarted)
      const seconds = retryAfterSeconds(res)
      if (seconds) await delay(seconds * 1000)
      else if (res.status === 402 && url === shopUrl) url = paidUrl
      else if (cutBehindProxy.has(res.status)) throw Object.assign(new Error(), { code: 'ECONNRESET' })
      else if (isLost) {
        notice(`\nA letter was paid for, but lost on its way: the shop answered ${res.status} ${body}`)
        return ''
      } else return shutdown(1, `Payment fulfilled, but no letter received: ${res.status} ${body}`)
    } catch (err) {
      const { code = '', message } = err as NodeJS.ErrnoException
      if (closedPort.has(code)) {
        hasGone = true
        await shopIsBack(shopUrl)
      } else if (cutConnection.has(code)) {
        isLost = true
        url = paidUrl
        await delay(retryMs)
      } else return shutdown(1, `The request to the shop at ${shopUrl} failed: ${printable(message)}`)
    }
  }
}

/** Looks whether a shop that fulfills nothing is still there, and waits for one that has gone. */
export async function checkShop(shopUrl: string): Promise<void> {
  if (isShopGone()) return
  try {
    const res = await request(shopUrl, {})
    res.body?.resume()
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ECONNREFUSED') return
    await shopIsBack(shopUrl)
    shutdown(1, restarted)
  }
}

async function shopIsBack(shopUrl: string): Promise<void> {
  waitingForShop ??= requestOffer(shopUrl)
  const { body } = await waitingForShop
  waitingForShop = undefined
  body?.resume()
}

/**
 * Makes a request. The library is loaded when there is a ledger to pay on. No redirect is followed: it would take the
 * shared secret, and with it the client's credit, to another place. No compression: it would hold letters back.
 */
async function request(url: string, init: RequestInit): Promise<Response> {
  const { default: fetch } = await import('node-fetch')
  const headers = { ...init.headers, 'Accept-Encoding': 'identity' }
  return fetch(url, { redirect: 'manual', ...init, headers })
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
