import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { end } from '../terminal/ending.ts'

// How long nothing is heard before the system asks whether the other side is still there.
const keepAliveMs = 30_000
const maxConnections = 10_000
// Hosts that are reached under the name of localhost.
const anyHost = new Set(['127.0.0.1', '::1', '0.0.0.0', '::'])

/**
 * The path that a request is for, of a shop that has nothing but pages to GET.
 *
 * @returns undefined if the request was not a GET of a path; it has been answered then
 */
export function pathOf(req: IncomingMessage, res: ServerResponse): string | undefined {
  // On a connection that is kept, a request may meet with the end of our patience, and be lost.
  res.setHeader('Connection', 'close')
  // A body that is not read keeps the end of its connection from being noticed.
  req.resume()
  // A request behind one that has not been answered would wait, with thousands of others, for a stream to end.
  if (!res.socket) {
    req.socket.destroySoon()
    return undefined
  }
  if (req.method !== 'GET') {
    res.writeHead(405, { Allow: 'GET' }).end('This shop only knows GET\n')
    return undefined
  }
  // A proxy may ask for the absolute form, http://localhost:8000/ (RFC 9112, 3.2.2).
  const path =
    URL.canParse(req.url ?? '', 'http://localhost') && new URL(req.url ?? '', 'http://localhost').pathname
  if (!path) res.writeHead(400).end('This is no address in this shop\n')
  return path || undefined
}

/**
 * Opens the shop, or ends the script with a sentence if the port is not to be had.
 *
 * @param port - 0 for any free port
 * @param host - on which of the machine's addresses: secrets are told in the clear
 * @returns where the shop is
 */
export async function listen(server: Server, port: string, host: string): Promise<string> {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    return end(1, `PORT="${port}" is not a port: choose a number up to 65535, for example PORT=8001`)
  }
  server.maxConnections = maxConnections
  server.on('connection', socket => socket.setKeepAlive(true, keepAliveMs))
  try {
    server.listen(Number(port), host)
    await once(server, 'listening')
  } catch (err) {
    const { code, message } = err as NodeJS.ErrnoException
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      return end(
        1,
        `HOST="${host}" is no address of this machine: leave it out, or choose 0.0.0.0 for all of them`
      )
    const reason = code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be opened (${message})`
    return end(1, `Port ${port} ${reason}: stop that program, or choose another port, for example PORT=8001`)
  }
  const name = anyHost.has(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${(server.address() as AddressInfo).port}`
}

/**
 * Whether whoever asked still listens: after a pause of the machine's, requests are read whose clients have long gone,
 * and their end only a turn of the event loop later.
 */
export async function isListening(res: ServerResponse): Promise<boolean> {
  await turn()
  await turn()
  return res.socket !== null && !res.socket.readableEnded && !res.destroyed
}

/** Answers that just now there is nothing to be had. */
export function askToComeBack(res: ServerResponse, seconds: number, why: string): void {
  res.writeHead(503, { 'Retry-After': seconds }).end(`${why}: please come back in ${seconds} s\n`)
}

/** Cuts every answer that is still open and takes no more requests. */
export async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
