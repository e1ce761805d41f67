import { randomBytes, randomInt } from 'node:crypto'
import http from 'node:http'
import base64url from 'base64url'
import { xrp } from '../plugins.ts'
import { type ClientAccount, ClientAccounts } from './shop/client-accounts.ts'
import { checkIncomingTransfer, isRepeated, refuse } from './shop/incoming-transfer.ts'
import { closeServer, listen, pathOf } from './shop/web-server.ts'
import { beforeEnd, finishBeforeEnd, seeThrough } from './terminal/ending.ts'

const port = process.env.PORT ?? '8000'
const cost = 10 // drops for one letter

// What our clients have to their credit
const accounts = new ClientAccounts()

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

function sellLetter(client: ClientAccount, res: http.ServerResponse, fulfillment?: string): void {
  accounts.debit(client, cost, fulfillment)
  // Get the letter that we are selling
  const letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.charAt(randomInt(26))
  console.log(` 5. Providing paid letter: ${letter}`)
  res.setHeader('Pay-Balance', client.balance)
  res.end(`Your letter: ${letter}`)
}

// Handle incoming web requests
const server = http.createServer(async function (req, res) {
  const path = pathOf(req, res)
  if (path === undefined) return
  // Browsers are irritating and often probe for a favicon, just ignore
  if (path === '/favicon.ico') {
    res.writeHead(404).end()
    return
  }
  console.log(`    - Incoming request to: ${path}`)

  if (path !== '/') {
    // Request for a letter with the fulfillment of its payment attached. Fulfillments are public on the
    // ledger, and whoever is faster gets the letter: the shared secret is the better key.
    const fulfillment = path.slice(1)
    const client = accounts.ofFulfillment(fulfillment)
    if (client) sellLetter(client, res, fulfillment)
    else res.writeHead(404).end('Unrecognized fulfillment.\n')
    return
  }

  // Use client-generated shared secret, if presented:
  const payToken = req.headers['pay-token']
  const sharedSecret = payToken === undefined ? randomBytes(32) : Buffer.from(String(payToken), 'base64url')
  if (payToken !== undefined && (sharedSecret.length !== 32 || base64url(sharedSecret) !== payToken)) {
    res.writeHead(400).end('The Pay-Token is not a shared secret: please send 32 bytes in base64url\n')
    return
  }
  const client = accounts.ofSecret(sharedSecret)
  // The client may hear of its fulfillment from the ledger a moment before we do.
  if (client.balance < cost) await client.fulfilling
  if (client.balance >= cost) {
    sellLetter(client, res)
    return
  }

  console.log('    - Waiting for payment...')

  // Respond with a 402 HTTP Status Code (Payment Required)
  const address = `${account}.${client.clientId}`
  res.writeHead(402, {
    Pay: `interledger-psk ${cost} ${address} ${base64url(sharedSecret)}`,
    'Pay-Balance': client.balance
  })
  res.end(
    `Please send an Interledger-PSK payment of ${normalizedCost} ${ledgerInfo.currencyCode} to ${address}` +
      ` using the shared secret ${base64url(sharedSecret)}\n`
  )
})

const shopUrl = await listen(server, port)
console.log(`    - Listening on ${shopUrl}`)
console.log(` 3. Visit ${shopUrl} in your browser to buy a letter`)
beforeEnd(function () {
  plugin.removeAllListeners('incoming_prepare')
  return closeServer(server)
})

// Handle incoming payments
plugin.on('incoming_prepare', async function (transfer) {
  if (isRepeated(transfer)) return
  const accepted = checkIncomingTransfer(transfer, { account, cost, clients: accounts.byClientId })
  if ('code' in accepted) return refuse(plugin, transfer, accepted)
  const { client, fulfillment } = accepted
  accounts.keep(client)

  console.log(` 4. Accepted payment with condition ${transfer.executionCondition}.`)
  console.log(`    - Fulfilling transfer on the ledger using fulfillment: ${fulfillment}`)

  // The ledger will check if the fulfillment is correct and
  // if it was submitted before the transfer's rollback timeout
  client.fulfilling = finishBeforeEnd(plugin.fulfillCondition(transfer.id, fulfillment)).then(
    function () {
      // Increase this client's balance
      accounts.credit(client, Number(transfer.amount), fulfillment)
      console.log('    - Payment complete')
    },
    function (err) {
      console.log(`    - Error fulfilling the transfer: ${err.message}`)
    }
  )
})
