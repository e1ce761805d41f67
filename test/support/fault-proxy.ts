import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { type SandboxLedger, type SandboxOptions, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'

/** A TCP proxy in front of a WebSocket server, with the faults of a real network at hand. */
export interface FaultProxy {
  /** where clients connect instead */
  url: string
  /** port of the server behind it; connections made from now on go there */
  target: number
  /** while false, new connections are reset at once */
  accepts: boolean
  /** Resets all connections: whatever was on its way is lost. */
  cut(): void
  /** Waits for the next message of the server that matches, and returns its text. */
  seen(pattern: RegExp): Promise<string>
  /** Cuts all connections and frees the port. */
  close(): Promise<void>
}

/**
 * Starts a fault proxy on a free port.
 *
 * @param target - port of the server on this machine
 */
export async function startFaultProxy(target: number): Promise<FaultProxy> {
  const pairs = new Set<[client: Socket, server: Socket]>()
  const watchers: { pattern: RegExp; resolve: (text: string) => void }[] = []

  function onFrame(frame: Buffer): void {
    const text = frame.toString()
    for (const { pattern, resolve } of watchers) if (pattern.test(text)) resolve(text)
  }

  const listener = net.createServer(client => {
    if (!proxy.accepts) {
      client.resetAndDestroy()
      return
    }
    const server = net.connect(proxy.target, '127.0.0.1')
    const pair: [Socket, Socket] = [client, server]
    const split = splitter()
    pairs.add(pair)
    client.pipe(server)
    server.on('data', chunk => {
      for (const frame of split(chunk)) {
        onFrame(frame)
        client.write(frame)
      }
    })
    for (const [from, to] of [pair, pair.toReversed()] as [Socket, Socket][]) {
      from.on('error', () => to.destroy())
      from.on('end', () => to.end())
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
    }
  })

  const proxy: FaultProxy = {
    url: '',
    target,
    accepts: true,
    cut() {
      for (const [client, server] of pairs) {
        client.resetAndDestroy()
        server.resetAndDestroy()
      }
    },
    seen: pattern => new Promise(resolve => watchers.push({ pattern, resolve })),
    async close() {
      proxy.accepts = false
      proxy.cut()
      listener.close()
      await once(listener, 'close')
    }
  }
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  proxy.url = `ws://localhost:${(listener.address() as AddressInfo).port}`
  return proxy
}

/** A sandbox ledger behind a fault proxy: its URL stays the same when it is restarted. */
export interface FaultyLedger {
  url: string
  proxy: FaultProxy
  /** the sandbox of the moment */
  sandbox: SandboxLedger
  /** Stops the sandbox and starts another, which goes on where the first was, or from nothing. */
  restart(how: { keepState: boolean }): Promise<void>
  close(): Promise<void>
}

/**
 * Starts a sandbox ledger on a free port, and a fault proxy in front of it.
 *
 * @param options - of the sandbox; by default its ledgers close on `ledger_accept`
 */
export async function startFaultyLedger(options: SandboxOptions = {}): Promise<FaultyLedger> {
  const start = (more: SandboxOptions = {}) =>
    startSandboxLedger({ closeIntervalMs: 0, ...options, ...more, port: 0 })
  const sandbox = await start()
  const proxy = await startFaultProxy(sandbox.port)
  const faulty: FaultyLedger = {
    url: proxy.url,
    proxy,
    sandbox,
    async restart({ keepState }) {
      proxy.accepts = false
      await faulty.sandbox.close()
      faulty.sandbox = await start(keepState ? { past: faulty.sandbox.ledger.history.contents() } : {})
      proxy.target = faulty.sandbox.port
      proxy.accepts = true
    },
    async close() {
      await proxy.close()
      await faulty.sandbox.close()
    }
  }
  return faulty
}

/** Cuts what a WebSocket server sends into its HTTP answer and its frames, which it does not mask (RFC 6455, 5.2). */
function splitter(): (chunk: Buffer) => Buffer[] {
  let rest = Buffer.alloc(0)
  let isUpgraded = false

  function nextLength(): number {
    if (!isUpgraded) {
      const end = rest.indexOf('\r\n\r\n')
      return end < 0 ? Number.POSITIVE_INFINITY : end + 4
    }
    if (rest.length < 10) return rest.length < 2 || (rest[1] as number) > 125 ? 10 : 2 + (rest[1] as number)
    const length = rest[1] as number
    if (length < 126) return 2 + length
    return length === 126 ? 4 + rest.readUInt16BE(2) : 10 + Number(rest.readBigUInt64BE(2))
  }

  return function (chunk) {
    const parts: Buffer[] = []
    rest = Buffer.concat([rest, chunk])
    for (let length = nextLength(); rest.length > 0 && length <= rest.length; length = nextLength()) {
      parts.push(rest.subarray(0, length))
      rest = rest.subarray(length)
      isUpgraded = true
    }
    return parts
  }
}
