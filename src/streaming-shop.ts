import { randomBytes, randomInt } from 'node:crypto'
import http from 'node:http'
import base64url from 'base64url'
import { xrp } from '../plugins.ts'
import { checkIncomingTransfer, isRepeated, refuse } from './shop/incoming-transfer.ts'
import { closeServer, listen, pathOf } from './shop/web-server.ts'
import { beforeEnd, finishBeforeEnd, seeThrough } from './terminal/ending.ts'

const port = process.env.PORT ?? '8000'
const cost = 10 // drops for one letter
const maxClients = 1000
const maxWaitMs = 10 * 60 * 1000 // for a client's first payment

// Who is connected, by clientId
const clients = new Map<
  string,
  { sharedSecret: Buffer; res: http.ServerResponse; patience: NodeJS.Timeout }
>()

console.log('== Starting the shop server ==')
console.log(' 1. Connecting to an account to accept payments...')

const plugin = xrp.Shop()
await plugin.connect()
seeThrough(plugin)

// Get ledger and account information from the plugin
const ledgerInfo = plugin.getInfo()
const account = plugin.getAccount()

console.log(`    - Connected to ledger: ${ledgerInfo.prefix}`)
console.log(`    -- Account: ${account}`)
console.log(`    -- Currency: ${ledgerInfo.currencyCode}`)
console.log(`    -- CurrencyScale: ${ledgerInfo.currencyScale}`)

// Convert our cost (10) into the right format given the ledger scale
const normalizedCost = cost / 10 ** ledgerInfo.currencyScale

console.log(' 2. Starting web server to accept requests...')
console.log(`    - Charging ${normalizedCost} ${ledgerInfo.currencyCode}`)

// Handle incoming web requests
const server = http.createServer(function (req, res) {
  const path = pathOf(req, res)
  if (path === undefined) return
  if (path !== '/') {
    res.writeHead(404).end('Not found: the letters are at /\n')
    return
  }
  // A second request on a connection would have to wait for the end of the stream before it
  if (clients.size >= maxClients || !res.socket) {
    res.writeHead(503, { 'Retry-After': '60' }).end('The shop is full: please come back in a minute\n')
    return
  }

  // Generate a client ID and a shared secret from which this client
  // can derive fulfillment/condition pairs.
  const clientId = base64url(randomBytes(8))
  const sharedSecret = randomBytes(32)

  // Store the shared secret and the http request context to use when we get paid
  const patience = setTimeout(() => res.end(), maxWaitMs)
  clients.set(clientId, { sharedSecret, res, patience })
  res.on('close', function () {
    clearTimeout(patience)
    clients.delete(clientId)
  })

  console.log('    - Waiting for payments...')

  res.setHeader('Content-Type', 'text/plain')
  res.writeHead(200, {
    Pay: `interledger-psk ${cost} ${account}.${clientId} ${base64url(sharedSecret)}`
  })
  // Flush the headers in a first TCP packet:
  res.flushHeaders()
})

const shopUrl = await listen(server, port)
console.log(`    - Listening on ${shopUrl}`)
console.log(` 3. Visit ${shopUrl} in your browser to buy letters`)
beforeEnd(function () {
  plugin.removeAllListeners('incoming_prepare')
  return closeServer(server)
})

// Handle incoming payments
plugin.on('incoming_prepare', async function (transfer) {
  if (isRepeated(transfer)) return
  const accepted = checkIncomingTransfer(transfer, { account, cost, clients })
  if ('code' in accepted) return refuse(plugin, transfer, accepted)
  const { client, fulfillment } = accepted
  clearTimeout(client.patience)
  if (client.res.writableNeedDrain) {
    console.log('    - Payment refused: its client does not read the letters that it has paid for')
    client.res.destroy()
    return
  }

  const letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.charAt(randomInt(26))
  client.res.write(letter)
  console.log(` 4. Accepted payment with condition ${transfer.executionCondition}.`)
  console.log(`    - Fulfilling transfer on the ledger using fulfillment: ${fulfillment}`)

  // The ledger will check if the fulfillment is correct and
  // if it was submitted before the transfer's rollback timeout
  try {
    await finishBeforeEnd(plugin.fulfillCondition(transfer.id, fulfillment))
    console.log('    - Payment complete')
  } catch (err) {
    console.log(`    - Error fulfilling the transfer: ${(err as Error).message}`)
  }
})
