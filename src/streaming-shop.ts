import { randomBytes, randomInt } from 'node:crypto'
import http from 'node:http'
import base64url from 'base64url'
import { browserPage, isBrowser } from './shop/browser-page.ts'
import { ConnectedClients } from './shop/connected-clients.ts'
import { IncomingPayments } from './shop/incoming-payments.ts'
import { logAccount, shortCondition } from './shop/log-account.ts'
import {
  acceptGet,
  listen,
  logRequest,
  serverOptions,
  serviceUnavailable,
  toPort
} from './shop/web-server.ts'
import { describe, logConnectionState, onShutdown } from './terminal/shutdown.ts'

const port = toPort(process.env.PORT ?? '8000')
const host = process.env.HOST ?? '127.0.0.1'
const cost = 10 // drops for one letter
const maxUnpaid = 10_000 // drops in payments that are accepted and not final on the ledger
const maxClients = 1000
const maxWaitMs = 10 * 60 * 1000 // for a client's next payment

// Who is connected, by clientId
const clients = new ConnectedClients(maxClients, maxWaitMs)

console.log('== Starting the shop server ==')
console.log(' 1. Connecting to an account to accept payments...')

const { xrp } = await import('../plugins.ts')
const plugin = xrp.Shop()
await plugin.connect()
logConnectionState(plugin)

// Where we are paid, and how much
const { account, price } = logAccount(plugin, cost)
const payments = new IncomingPayments(plugin, clients, cost, maxUnpaid)
await payments.finances.check()
console.log(' 2. Starting web server to accept requests...')
console.log(`    - Charging ${price}`)

// Handle incoming web requests
const server = http.createServer(serverOptions, async function (req, res) {
  const path = acceptGet(req, res)
  if (path === undefined) return
  if (path !== '/') return res.writeHead(404).end('Not found: the letters are at /\n')
  const refusal = await payments.refusal()
  if (refusal) return serviceUnavailable(res, refusal, 10)
  if (res.closed) return
  if (!clients.hasCapacity()) return serviceUnavailable(res, 'The shop is full')

  // Generate a client ID and a shared secret from which this client
  // can derive fulfillment/condition pairs.
  const clientId = base64url(randomBytes(8))
  const sharedSecret = randomBytes(32)

  // Store the shared secret and the http request context to use when we get paid
  clients.add(clientId, sharedSecret, res)

  logRequest('    - Waiting for payments...')

  // A proxy is to pass each letter on as it comes
  res.setHeader('Cache-Control', 'no-store, no-transform')
  res.setHeader('X-Accel-Buffering', 'no')
  res.setHeader('Content-Type', isBrowser(req) ? 'text/html' : 'text/plain')
  // The text writes "1 <address> <secret>", and its client reads these four parts.
  res.writeHead(200, {
    Pay: `interledger-psk ${cost} ${account}.${clientId} ${base64url(sharedSecret)}`
  })
  // Flush the headers in a first TCP packet (by hand, in the text):
  res.flushHeaders()
  if (isBrowser(req)) res.write(browserPage('streaming-client2', shopUrl, price, `${account}.${clientId}`))
})

const shopUrl = await listen(server, port, host)
console.log(`    - Listening on ${shopUrl}`)
console.log(` 3. Visit ${shopUrl} in your browser to buy letters`)
onShutdown(async function () {
  clients.disconnectAll()
  server.close()
  await payments.close()
})

// Handle incoming payments
plugin.on('incoming_prepare', async function (transfer) {
  const payment = await payments.accept(transfer)
  if (!payment) return
  const { client, fulfillment } = payment

  const letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.charAt(randomInt(26))
  client.res.write(letter)
  clients.touch(client)
  payments.finances.onLetter(letter, transfer.id)
  console.log(` 4. Accepted payment with condition ${transfer.executionCondition}.`)
  console.log(`    - Fulfilling transfer on the ledger using fulfillment: ${fulfillment}`)

  // The ledger will check if the fulfillment is correct and
  // if it was submitted before the transfer's rollback timeout
  try {
    await payments.collect(payment)
    console.log(`    - Payment complete: ${shortCondition(transfer)}`)
  } catch (err) {
    console.log(`    - Error fulfilling the transfer: ${shortCondition(transfer)}: ${describe(err)}`)
  }
})
