import { once } from 'node:events'
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { report } from '../terminal/progress.ts'
import { shutdown } from '../terminal/shutdown.ts'
import { limitedLog } from './limited-log.ts'

// Connections on which no request has come yet.
const maxSilentConnections = 2_000
// Addresses that are reached under the name localhost.
const localHosts = new Set(['127.0.0.1', '0.0.0.0', '::'])

/** Logs what anybody may ask for. */
export const logRequest = limitedLog(1_000)

/** The headers of a request have to come soon: Node.js looks for late ones every 30 s unless it is told otherwise. */
export const serverOptions: ServerOptions = { headersTimeout: 5_000, connectionsCheckingInterval: 1_000 }

/**
 * Accepts a GET request.
 *
 * @returns its path; undefined if it was something else, which is answered then
 */
export function acceptGet(req: IncomingMessage, res: ServerResponse): string | undefined {
  // A connection that is kept may be closed here while the next request is on its way.
  res.setHeader('Connection', 'close')
  // A cache would give the same letter to others, and a shared secret.
  res.setHeader('Cache-Control', 'no-store')
  // A body that is not read keeps the end of its connection from being noticed.
  req.resume()
  // A pipelined request would wait behind a stream that does not end.
  if (!res.socket) {
    req.socket.destroySoon()
    return undefined
  }
  if (req.method !== 'GET') {
    res.writeHead(405, { Allow: 'GET' }).end('This shop only knows GET\n')
    return undefined
  }
  // A proxy may send the absolute form, http://localhost:8000/ (RFC 9112, 3.2.2).
  const url = req.url ?? ''
  const path = URL.canParse(url, 'http://localhost') && new URL(url, 'http://localhost').pathname
  if (!path) res.writeHead(400).end('The path cannot be read\n')
  return path || undefined
}

/**
 * Whether the client still waits for its answer: when the machine was asleep, requests are read whose clients have
 * left, and that shows a turn of the event loop later.
 */
export async function isClientConnected(res: ServerResponse): Promise<boolean> {
  await nextTurn()
  await nextTurn()
  return res.socket?.readableEnded === false && !res.destroyed
}

/**
 * Reads where a shop listens.
 *
 * @returns 0 for any free port
 * @throws Error with what to do about it, if that is not a port
 */
export function toPort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new Error(`PORT="${text}" is not a port: choose a number up to 65535, for example PORT=8001`)
}

/**
 * Opens the shop, or ends the script with a sentence if the port cannot be had.
 *
 * @param host - which of the machine's addresses: secrets are sent in the clear
 * @returns the shop's URL
 */
export async function listen(server: Server, port: number, host: string): Promise<string> {
  limitSilentConnections(server)
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (err) {
    const { code, message, syscall } = err as NodeJS.ErrnoException
    if (code === 'EADDRNOTAVAIL' || syscall === 'getaddrinfo')
      return shutdown(1, `HOST="${host}" is not a local address: unset it, or choose 0.0.0.0 for all of them`)
    const isInUse = code === 'EADDRINUSE'
    const reason = isInUse ? 'is in use by another program: stop it, or' : `cannot be opened (${message}):`
    const other = port < 65_535 ? Math.max(port + 1, 8001) : 8001
    const advice = `choose another port, PORT=${other}, and SHOP_URL=http://localhost:${other}/ for the client`
    return shutdown(1, `Port ${port} ${reason} ${advice}`)
  }
  const name = localHosts.has(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host
  const url = `http://${name}:${(server.address() as AddressInfo).port}`
  report({ event: 'listening', url })
  return url
}

/** Closes the connection that has been silent longest when there are too many: behind a proxy all have one address. */
function limitSilentConnections(server: Server): void {
  const silent = new Set<Socket>()
  server.on('connection', socket => {
    silent.add(socket)
    socket.on('close', () => silent.delete(socket))
    const [oldest] = silent
    if (silent.size > maxSilentConnections) oldest?.destroy()
  })
  server.on('request', req => silent.delete(req.socket))
}

/** Answers that nothing can be sold just now. */
export function serviceUnavailable(res: ServerResponse, reason: string, retryAfterSeconds = 60): void {
  res.writeHead(503, { 'Retry-After': retryAfterSeconds })
  res.end(`${reason}: please come back in ${retryAfterSeconds} s\n`)
}
