import type { IncomingHttpHeaders } from 'node:http'

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Whether a URL is of a web server of this machine, under a name that no other machine can have. */
function isLocal(url: string): boolean {
  try {
    const { protocol, hostname } = new URL(url)
    return /^https?:$/.test(protocol) && LOOPBACK.has(hostname)
  } catch {
    return false
  }
}

/**
 * Whether who asks is of this machine: a program, which sends no Origin, or a page that a web server of this machine
 * has served. A browser sends requests for any page to any port: with the Origin of the page, and under the name
 * by which the page knows the server, which is the page's own if its owner has let it point here.
 */
export const isFromHere = ({ host, origin }: IncomingHttpHeaders): boolean =>
  (host === undefined || isLocal(`http://${host}`)) && (origin === undefined || isLocal(origin))
