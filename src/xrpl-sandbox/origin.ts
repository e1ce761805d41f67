import type { IncomingHttpHeaders } from 'node:http'

const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Whether a URL is of a web server of this machine, under a name that no other machine can have. */
function isLocal(url: string): boolean {
  try {
    const { protocol, hostname } = new URL(url)
    return /^https?:$/.test(protocol) && loopbackHosts.has(hostname)
  } catch {
    return false
  }
}

/**
 * Whether a request comes from this machine: from a program, which sends no Origin, or from a page that a web server
 * of this machine has served. A browser sends requests for any page to any port, with the Origin of the page, and
 * under the name by which the page knows the server: a site can let its own name point here.
 */
export function isLocalRequest({ host, origin }: IncomingHttpHeaders): boolean {
  return (host === undefined || isLocal(`http://${host}`)) && (origin === undefined || isLocal(origin))
}

/**
 * The headers by which a browser lets a page of this machine, and no other, read an answer.
 *
 * Source: Fetch Standard, "CORS protocol"
 */
export function corsHeaders({ origin }: IncomingHttpHeaders): Record<string, string> {
  if (origin === undefined || !isLocal(origin)) return {}
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'content-type',
    vary: 'origin'
  }
}
