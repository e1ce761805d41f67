import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { accounts } from './accounts.ts'
import { maxRequestLength } from './api/parse-request.ts'
import { answerText } from './api/requests.ts'
import type { Json } from './api/rpc.ts'
import { publishClosed, publishProposed } from './api/streams.ts'
import { Connection, seededRandom, shedSlowClients } from './connection.ts'
import { FaucetError, fund, fundFromFaucet } from './faucet.ts'
import type { LedgerContents } from './ledger/history.ts'
import { Ledger } from './ledger/ledger.ts'
import { corsHeaders, isLocalRequest } from './origin.ts'
import { watchPage } from './watch/page.ts'

const maxFrameBytes = 4 * 1024 * 1024

/** Each takes some memory, whatever it does. */
const maxConnections = 2_000

const forbidden = 'The sandbox ledger serves programs and pages of its own machine only'

const loopbackHosts = new Set(['localhost', '127.0.0.1', '::1'])

export interface SandboxOptions {
  /** 6006; 0 for any free port. */
  port?: number
  /** A name or address of the loopback interface: localhost. */
  host?: string
  /** 1000; 0 for a ledger that closes only when it is told to. */
  closeIntervalMs?: number
  /** Whether a ledger closes after the answer to each submission that was applied, the faucet's included. */
  closeOnSubmit?: boolean
  /** The longest time that a message takes to a client, drawn anew for each: as far away as a public server is. */
  delayMs?: number
  /** Draws the same delays again, connection by connection in the order in which they come. */
  delaySeed?: number | undefined
  /** What the genesis account pays to whom before the first client comes, a ledger for each. */
  funding?: { address: string; xrp: number }[]
  /** Closed ledgers of another sandbox to begin with, in place of the funding: its `ledger.history.contents()`. */
  past?: LedgerContents[] | undefined
  /** How many validated transactions, and how many ledgers, to keep: 20,000. */
  historyLimit?: number
  /** 0; above 1024 every transaction has to carry it as NetworkID. */
  networkId?: number
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
  /** The faucet, as `fundWallet` of xrpl.js takes it among its options. */
  faucet: { faucetHost: string; faucetProtocol: 'http' }
  /** The ledger itself, for tests that look behind the API. */
  ledger: Ledger
  /** `clients` is emitted with how many are connected when that changes, `stop` when one of them has stopped it. */
  events: EventEmitter<SandboxEvents>
  /** Closes the open ledger now. */
  closeLedger(): void
  /**
   * Pays XRP of the genesis account to an account, existing or not, and closes the ledger.
   *
   * @throws an Error if the address is not one, or the payment fails
   */
  fund(address: string, xrp: number): void
  /** Sets what the open ledger asks of a reference transaction from now on, in drops: 10 at rest. */
  setOpenLedgerFee(drops: number): void
  /** Closes all connections and frees the port. */
  close(): Promise<void>
  /** The same as close(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

const defaultFunding = [
  { address: accounts.shop.address, xrp: 10_000 },
  { address: accounts.customer.address, xrp: 10_000 }
]

/** The JSON in the body of a request; without one, an empty object. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    if (body.length <= maxRequestLength) body += chunk
  }
  if (body.length > maxRequestLength) throw new FaucetError('The request is too long')
  try {
    return body === '' ? {} : JSON.parse(body)
  } catch (cause) {
    throw new FaucetError('The request is not JSON', { cause })
  }
}

async function respond(request: IncomingMessage, response: ServerResponse, ledger: Ledger) {
  const { headers, method, url = '' } = request
  const reply = (status: number, body: Json) => {
    const type = { 'content-type': 'application/json' }
    response.writeHead(status, { ...type, ...corsHeaders(headers) }).end(JSON.stringify(body))
  }
  if (!isLocalRequest(headers)) return reply(403, { error: forbidden })
  if (method === 'GET' && ['/', '/index.html'].includes(url.split('?', 1)[0] as string))
    return response.writeHead(200, watchPage.headers).end(watchPage.html)
  if (url !== '/accounts')
    return reply(404, { error: 'This is a sandbox XRP Ledger: connect with a WebSocket' })
  if (method === 'OPTIONS') return response.writeHead(204, corsHeaders(headers)).end()
  if (method !== 'POST') return reply(405, { error: 'The faucet takes POST requests' })
  try {
    reply(200, await fundFromFaucet(ledger, await readJson(request)))
  } catch (err) {
    if (!(err instanceof FaucetError)) throw err
    reply(400, { error: err.message })
  }
}

/** Takes the port, or rejects with an Error that says what to do. */
async function listen(port: number, host: string): Promise<Server> {
  if (!loopbackHosts.has(host))
    throw new Error(
      `The sandbox ledger listens on the loopback only, not on "${host}": everybody knows its keys; leave the host out`
    )
  const http = createServer()
  http.maxConnections = maxConnections
  http.listen(port, host === 'localhost' ? '127.0.0.1' : host)
  try {
    await once(http, 'listening')
    return http
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
    throw new Error(`Port ${port} is in use: stop what listens there, or choose another port`, { cause })
  }
}

function openLedger({
  funding = defaultFunding,
  historyLimit = 20_000,
  networkId = 0,
  now = Date.now,
  past
}: SandboxOptions): Ledger {
  const fees = { base: 10, reserveBase: 1_000_000, reserveIncrement: 200_000 }
  const ledger = new Ledger({ fees, networkId, historyLimit, now, past })
  for (const { address, xrp } of past ? [] : funding) {
    fund(ledger, address, xrp)
    ledger.close()
  }
  return ledger
}

/** Closes the ledger once the answers are sent that this turn of the event loop gives. */
function closeSoon(ledger: Ledger) {
  queueMicrotask(() => {
    while (ledger.openTransactions.size > 0) ledger.close()
  })
}

/**
 * Starts an XRP Ledger of this machine alone: play money, in memory, no network behind it.
 *
 * @returns when clients can connect
 * @throws an Error that says what to do when the port is in use, or the host is not of the loopback
 */
export async function startSandboxLedger(options: SandboxOptions = {}): Promise<SandboxLedger> {
  const {
    closeIntervalMs = 1000,
    closeOnSubmit = false,
    delayMs = 0,
    delaySeed,
    host = 'localhost'
  } = options
  const http = await listen(options.port ?? 6006, host)
  let ledger: Ledger
  try {
    ledger = openLedger(options)
  } catch (err) {
    http.close()
    throw err
  }

  const startedAt = Date.now()
  const { port } = http.address() as AddressInfo
  const events = new EventEmitter<SandboxEvents>()
  const connections = new Set<Connection>()
  ledger.on('close', closed => publishClosed(connections, ledger, closed))
  ledger.on('proposed', (transaction, result) => {
    publishProposed(connections, ledger, transaction, result)
    if (closeOnSubmit) closeSoon(ledger)
  })

  http.on('request', (request, response) => {
    respond(request, response, ledger).catch(err => response.destroy(err))
  })
  const sockets = new WebSocketServer({
    server: http,
    maxPayload: maxFrameBytes,
    verifyClient: ({ req }, done) => done(isLocalRequest(req.headers), 403, forbidden)
  })
  let connected = 0
  sockets.on('connection', (socket, { headers, socket: wire }) => {
    const random = delaySeed === undefined ? Math.random : seededRandom(delaySeed + connected++)
    const delay = { maxMs: delayMs, random }
    const connection = new Connection(socket, wire, delay, () => shedSlowClients(connections))
    const isProgram = headers.origin === undefined
    connections.add(connection)
    events.emit('clients', connections.size)
    socket.on('message', data => {
      const context = { ledger, subscriber: connection, startedAt, isProgram, port, stop }
      const answer = answerText(data.toString(), context)
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
  }
  function stop() {
    setTimeout(() => close().then(() => events.emit('stop')), delayMs) // the answer goes first
  }

  const name = host === '::1' ? '[::1]' : host
  return {
    url: `ws://${name}:${port}`,
    port,
    faucet: { faucetHost: `${name}:${port}`, faucetProtocol: 'http' },
    ledger,
    events,
    closeLedger: () => {
      ledger.close()
    },
    fund(address, xrp) {
      fund(ledger, address, xrp)
      if (!closeOnSubmit) ledger.close()
    },
    setOpenLedgerFee: drops => ledger.setOpenLedgerFee(drops),
    close,
    [Symbol.asyncDispose]: close
  }
}
