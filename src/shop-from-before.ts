import { randomInt } from 'node:crypto'
import http from 'node:http'
import base64url from 'base64url'
import { browserPage, isBrowser } from './shop/browser-page.ts'
import { ClientAccounts } from './shop/client-accounts.ts'
import { IncomingPayments } from './shop/incoming-payments.ts'
import { logAccount, shortCondition } from './shop/log-account.ts'
import {
  acceptGet,
  isClientConnected,
  listen,
  logRequest,
  serverOptions,
  serviceUnavailable,
  toPort
} from './shop/web-server.ts'
import { describe, logConnectionState, onShutdown } from './terminal/shutdown.ts'
import { printable } from './terminal/text.ts'

const port = toPort(process.env.PORT ?? '8000')
const host = process.env.HOST ?? '127.0.0.1'
const cost = 10 // drops for one letter
const maxUnpaid = 10_000 // drops in payments that are accepted and not final on the ledger

// What our clients have to their credit
const accounts = new ClientAccounts(cost)

console.log('== Starting the shop server ==')
console.log(' 1. Connecting to an account to accept payments...')

const { xrp } = await import('../plugins.ts')
const plugin = xrp.Shop()
await plugin.connect()
logConnectionState(plugin)

// Where we are paid, and how much
const { account, price } = logAccount(plugin, cost)
const payments = new IncomingPayments(plugin, accounts, cost, maxUnpaid)
await payments.finances.check()
console.log(' 2. Starting web server to accept requests...')
console.log(`    - Charging ${price}`)

// Handle incoming web requests
const server = http.createServer(serverOptions, async function (req, res) {
  const path = acceptGet(req, res)
  if (path === undefined) return
  // Browsers are irritating and often probe for a favicon, just ignore
  if (path === '/favicon.ico') return res.writeHead(404).end()
  logRequest(`    - Incoming request to: ${printable(path)}`)

  // Use the shared secret of an earlier request, if presented (the script of 2017 sells by fulfillment only):
  const payToken = req.headers['pay-token']?.toString()
  // A letter is sold once, so only to a client that still waits for it
  if ((path !== '/' || payToken !== undefined) && !(await isClientConnected(res))) return

  if (path === '/' && payToken !== undefined && !/^[\w-]{42}[AEIMQUYcgkosw048]$/.test(payToken))
    return res.writeHead(400).end('The Pay-Token is not 32 bytes in base64url\n')
  const client = accounts.ofToken(payToken ?? '') ?? accounts.newClient()
  // A request for a letter may have the fulfillment of its payment attached
  const purchase = accounts.buy(client, path === '/' ? undefined : path.slice(1))
  if (path === '/') res.setHeader('Pay-Balance', `${client.balance}`)
  if (purchase) {
    if (purchase.letter === '') {
      // Get the letter that we are selling
      purchase.letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.charAt(randomInt(26))
      console.log(` 5. Providing paid letter: ${purchase.letter}`)
      payments.finances.onLetter(purchase.letter)
    }
    return res.end(`Your letter: ${purchase.letter}`)
  }
  if (path !== '/') return res.writeHead(404).end('Unrecognized fulfillment.\n')
  const refusal = await payments.refusal()
  if (refusal) return serviceUnavailable(res, refusal, 10)

  logRequest('    - Waiting for payment...')

  // Respond with a 402 HTTP Status Code (Payment Required)
  const address = `${account}.${client.clientId}`
  const sharedSecret = base64url(client.sharedSecret)
  res.setHeader('Content-Type', isBrowser(req) ? 'text/html' : 'text/plain')
  res.writeHead(402, { Pay: `interledger-psk ${cost} ${address} ${sharedSecret}` })
  if (isBrowser(req)) res.write(browserPage('streaming-client1', shopUrl, price))
  res.end(
    `Please send an Interledger-PSK payment of ${price} to ${address} using the shared secret ${sharedSecret}\n`
  )
})

const shopUrl = await listen(server, port, host)
console.log(`    - Listening on ${shopUrl}`)
console.log(` 3. Visit ${shopUrl} in your browser to buy a letter`)
onShutdown(async function () {
  await payments.close(() => accounts.lettersOwed())
  server.close()
  server.closeAllConnections()
})

// Handle incoming payments
plugin.on('incoming_prepare', async function (transfer) {
  const payment = await payments.accept(transfer)
  if (!payment) return

  console.log(` 4. Accepted payment with condition ${transfer.executionCondition}.`)
  console.log(`    - Fulfilling transfer on the ledger using fulfillment: ${payment.fulfillment}`)
  // Increase this client's balance: the letter need not wait for the ledger
  accounts.credit(payment)

  // The ledger will check if the fulfillment is correct and
  // if it was submitted before the transfer's rollback timeout
  try {
    await payments.collect(payment)
    console.log(`    - Payment complete: ${shortCondition(transfer)}`)
  } catch (err) {
    console.log(`    - Error fulfilling the transfer: ${shortCondition(transfer)}: ${describe(err)}`)
    if ((err as Error).name !== 'AlreadyRolledBackError') return
    const revoked = accounts.revoke(payment)
    await payments.comesLate(payment)
    accounts.credit(revoked)
    console.log(`    - Payment complete: ${shortCondition(transfer)}`)
  }
})
