import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { end } from '../terminal/ending.ts'

/**
 * The path that a request is for, of a shop that has nothing but pages to GET.
 *
 * @returns undefined if the request was not a GET of a path; it has been answered then
 */
export function pathOf(req: IncomingMessage, res: ServerResponse): string | undefined {
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
 * @returns where the shop is
 */
export async function listen(server: Server, port: string): Promise<string> {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    return end(1, `PORT="${port}" is not a port: choose a number up to 65535, for example PORT=8001`)
  }
  try {
    server.listen(Number(port))
    await once(server, 'listening')
  } catch (err) {
    const { code, message } = err as NodeJS.ErrnoException
    const reason = code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be opened (${message})`
    return end(1, `Port ${port} ${reason}: stop that program, or choose another port, for example PORT=8001`)
  }
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

/** Ends every answer that is still open and takes no more requests. */
export async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
