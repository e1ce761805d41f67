import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { accounts } from './accounts.ts'
import { answerText, MAX_REQUEST_LENGTH } from './api/requests.ts'
import type { Json } from './api/rpc.ts'
import { publishClosed, publishProposed } from './api/streams.ts'
import { Connection, relieve, seededRandom } from './connection.ts'
import { FaucetError, fundFromFaucet, genesisPayment } from './faucet.ts'
import { Journal } from './journal.ts'
import { Ledger } from './ledger/ledger.ts'
import { isFromHere } from './visitors.ts'
import { watchPage } from './watch/page.ts'

const MAX_FRAME_LENGTH = 4 * 1024 * 1024

/** Each takes some memory, whatever it does. */
const MAX_CONNECTIONS = 2_000

const NOT_FROM_HERE = "The sandbox ledger serves its own machine's programs and pages only"

const DROPS_PER_XRP = 1_000_000
const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1'])

export interface SandboxOptions {
  /** 0 for any free port. */
  port?: number
  /** 0 for a ledger that closes only on `ledger_accept`. */
  closeIntervalMs?: number
  /** The longest time that a message takes to a client, drawn anew for each: as far away as a public server is. */
  delayMs?: number
  /** Draws the same times again, connection by connection in the order in which they come. */
  delaySeed?: number | undefined
  /** A name or address of the loopback interface; no other is listened on. */
  host?: string
  /** What the genesis account pays to whom before the first client comes, a ledger for each. */
  funding?: { address: string; xrp: number }[]
  /** How many validated transactions to remember. */
  historyLimit?: number
  /** Above 1024 every transaction has to carry it as NetworkID. */
  networkId?: number
  /** How many transactions an open ledger takes at the lowest fee; the next ones pay more, or are queued. */
  openLedgerLimit?: number
  /** Where to keep every closed ledger, to go on from there after a stop or a crash. */
  stateFile?: string | undefined
  /** The wall clock, in milliseconds of Unix time. */
  now?: () => number
}

interface SandboxEvents {
  clients: [number]
  stop: []
}

export interface SandboxLedger {
  /** Where clients connect: `ws://localhost:<port>`. */
  url: string
  port: number
  /** The ledger itself, for tests that look behind the API. */
  ledger: Ledger
  /** `clients` comes with how many are connected when that changes, `stop` when one of them has ended it all. */
  events: EventEmitter<SandboxEvents>
  /** Sets what the open ledger asks of a reference transaction from now on, in drops: 10 at rest. */
  setOpenLedgerFee(drops: number): void
  /** Closes all connections and frees the port. */
  close(): Promise<void>
}

const defaultFunding = [
  { address: accounts.shop.address, xrp: 10_000 },
  { address: accounts.customer.address, xrp: 10_000 }
]

/** The JSON in the body of a request; without one, an empty object. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    if (body.length <= MAX_REQUEST_LENGTH) body += chunk
  }
  if (body.length > MAX_REQUEST_LENGTH) throw new FaucetError('The request is too long')
  try {
    return body === '' ? {} : JSON.parse(body)
  } catch (cause) {
    throw new FaucetError('The request is not JSON', { cause })
  }
}

async function respond(request: IncomingMessage, response: ServerResponse, ledger: Ledger) {
  const reply = (status: number, body: Json) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  if (!isFromHere(request.headers)) return reply(403, { error: NOT_FROM_HERE })
  const path = request.url?.split('?')[0] ?? ''
  if (request.method === 'GET' && ['/', '/index.html'].includes(path))
    return response.writeHead(200, watchPage.headers).end(watchPage.html)
  if (request.url !== '/accounts')
    return reply(404, { error: 'This is a sandbox XRP Ledger: connect with a WebSocket' })
  if (request.method !== 'POST') return reply(405, { error: 'The faucet takes POST requests' })
  try {
    reply(200, fundFromFaucet(ledger, await readJson(request)))
  } catch (error) {
    if (!(error instanceof FaucetError)) throw error
    reply(400, { error: error.message })
  }
}

/** Takes the port, or rejects with an Error that says what to do. */
async function listen(port: number, host: string): Promise<Server> {
  if (!LOOPBACK.has(host))
    throw new Error(
      `The sandbox ledger listens on the loopback only, not on "${host}": everybody knows its keys; leave the host out`
    )
  const http = createServer()
  http.maxConnections = MAX_CONNECTIONS
  http.listen(port, host === 'localhost' ? '127.0.0.1' : host)
  try {
    await once(http, 'listening')
    return http
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
    throw new Error(`Port ${port} is in use: stop what listens there, or choose another port`, { cause })
  }
}

/** The ledger as the state file has left it, or a new one with the funding in it. */
function openLedger(
  {
    funding = defaultFunding,
    historyLimit = 100_000,
    networkId = 0,
    openLedgerLimit = Number.POSITIVE_INFINITY,
    now = Date.now
  }: SandboxOptions,
  journal: Journal | undefined
): Ledger {
  const ledger = new Ledger({
    fees: { base: 10, reserveBase: 1_000_000, reserveIncrement: 200_000 },
    networkId,
    historyLimit,
    now,
    openLedgerLimit,
    past: journal?.read()
  })
  const isNew = ledger.openIndex === 3
  journal?.keep(ledger)
  if (isNew) {
    for (const { address, xrp } of funding) {
      ledger.submit(genesisPayment(ledger, address, xrp * DROPS_PER_XRP))
      ledger.close()
    }
  }
  return ledger
}

/**
 * Starts an XRP Ledger of this machine alone: play money, in memory, no network behind it.
 *
 * Resolves when clients can connect. Rejects with an Error that says what to do when the port is in use, the
 * host is not of the loopback, or the state file holds something else or is another sandbox's.
 */
export async function startSandboxLedger(options: SandboxOptions = {}): Promise<SandboxLedger> {
  const {
    port: wantedPort = 6006,
    closeIntervalMs = 1000,
    delayMs = 0,
    delaySeed,
    host = 'localhost'
  } = options
  const http = await listen(wantedPort, host)
  let journal: Journal | undefined
  let ledger: Ledger
  try {
    journal = options.stateFile ? new Journal(options.stateFile) : undefined
    ledger = openLedger(options, journal)
  } catch (error) {
    journal?.release()
    http.close()
    throw error
  }

  const startedAt = Date.now()
  const { port } = http.address() as AddressInfo
  const events = new EventEmitter<SandboxEvents>()
  const connections = new Set<Connection>()
  ledger.on('close', closed => publishClosed(connections, ledger, closed))
  ledger.on('proposed', (transaction, result) => publishProposed(connections, ledger, transaction, result))

  http.on('request', (request, response) => {
    respond(request, response, ledger).catch(error => response.destroy(error))
  })
  const sockets = new WebSocketServer({
    server: http,
    maxPayload: MAX_FRAME_LENGTH,
    verifyClient: ({ req }, done) => done(isFromHere(req.headers), 403, NOT_FROM_HERE)
  })
  let connected = 0
  sockets.on('connection', (socket, { headers, socket: wire }) => {
    const random = delaySeed === undefined ? Math.random : seededRandom(delaySeed + connected++)
    const connection = new Connection(socket, wire, { maxMs: delayMs, random }, () => relieve(connections))
    const isProgram = headers.origin === undefined
    connections.add(connection)
    events.emit('clients', connections.size)
    socket.on('message', data => {
      const surroundings = { ledger, subscriber: connection, startedAt, isProgram, port, stop }
      const answer = answerText(data.toString(), surroundings)
      connection.send(JSON.stringify(answer))
    })
    socket.on('error', () => socket.terminate()) // ws has told the client why with a close code
    socket.on('close', () => {
      connections.delete(connection)
      events.emit('clients', connections.size)
    })
  })
  const timer = closeIntervalMs > 0 ? setInterval(() => ledger.close(), closeIntervalMs) : undefined

  async function close() {
    clearInterval(timer)
    for (const socket of sockets.clients) socket.terminate()
    const closed = new Promise(resolve => http.close(resolve))
    http.closeAllConnections()
    await closed
    journal?.release()
  }
  function stop() {
    setTimeout(() => close().then(() => events.emit('stop')), delayMs) // the answer goes first
  }

  return {
    url: `ws://${host === '::1' ? '[::1]' : host}:${port}`,
    port,
    ledger,
    events,
    setOpenLedgerFee: drops => ledger.setOpenLedgerFee(drops),
    close
  }
}
