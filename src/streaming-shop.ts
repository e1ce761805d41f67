import { randomBytes, randomInt } from 'node:crypto'
import http from 'node:http'
import base64url from 'base64url'
import { tellAccount } from './shop/account.ts'
import { Books } from './shop/books.ts'
import { browserPage, isBrowser } from './shop/browser-page.ts'
import { ConnectedClients } from './shop/connected-clients.ts'
import { atMost } from './shop/in-turn.ts'
import { checkIncomingTransfer, isRepeated } from './shop/incoming-transfer.ts'
import { askToComeBack, closeServer, listen, pathOf } from './shop/web-server.ts'
import { beforeEnd, finishBeforeEnd, seeThrough, withoutPlugins } from './terminal/ending.ts'

const port = process.env.PORT ?? '8000'
const host = process.env.HOST ?? '127.0.0.1'
const cost = 10 // drops for one letter
const maxUnpaid = 10_000 // drops for letters that we have given and not been paid for yet
const maxClients = 1000
const maxWaitMs = 10 * 60 * 1000 // for a client's next payment

// Who is connected, by clientId
const clients = new ConnectedClients(maxClients, maxWaitMs)

console.log('== Starting the shop server ==')
console.log(' 1. Connecting to an account to accept payments...')

const { xrp } = await import('../plugins.ts').catch(withoutPlugins)
const plugin = xrp.Shop()
const books = new Books(plugin, cost)
await plugin.connect()
seeThrough(plugin)
await books.funds.open()

// Where we are paid, and how much
const { account, price } = tellAccount(plugin, cost)
console.log(' 2. Starting web server to accept requests...')
console.log(`    - Charging ${price}`)

// Handle incoming web requests
const server = http.createServer(function (req, res) {
  const path = pathOf(req, res)
  if (path === undefined) return
  if (path !== '/') return res.writeHead(404).end('Not found: the letters are at /\n')
  if (!books.funds.canPayFee()) return askToComeBack(res, 60, 'The shop cannot pay its fees')
  if (!clients.hasPlace()) return askToComeBack(res, 60, 'The shop is full')

  // Generate a client ID and a shared secret from which this client
  // can derive fulfillment/condition pairs.
  const clientId = base64url(randomBytes(8))
  const sharedSecret = randomBytes(32)

  // Store the shared secret and the http request context to use when we get paid
  clients.add(clientId, sharedSecret, res)

  console.log('    - Waiting for payments...')

  res.setHeader('Content-Type', isBrowser(req) ? 'text/html' : 'text/plain')
  res.writeHead(200, {
    Pay: `interledger-psk ${cost} ${account}.${clientId} ${base64url(sharedSecret)}`
  })
  // Flush the headers in a first TCP packet:
  res.flushHeaders()
  if (isBrowser(req)) res.write(browserPage(shopUrl, price, `${account}.${clientId}`))
})

const shopUrl = await listen(server, port, host)
console.log(`    - Listening on ${shopUrl}`)
console.log(` 3. Visit ${shopUrl} in your browser to buy letters`)
beforeEnd(async function () {
  plugin.removeAllListeners('incoming_prepare')
  clients.clear()
  await closeServer(server)
  console.log(`\n${await books.close()}`)
})

// Handle incoming payments
plugin.on(
  'incoming_prepare',
  atMost(maxUnpaid / cost, async function (transfer) {
    if (isRepeated(transfer)) return
    const accepted = checkIncomingTransfer(transfer, { account, cost, clients, funds: books.funds })
    if ('code' in accepted) return books.refuse(transfer, accepted)
    const { client, fulfillment } = accepted
    clients.keep(client)
    if (client.res.writableNeedDrain) {
      console.log('    - Payment not taken: its client does not read the letters that it has paid for')
      client.res.destroy()
      return
    }

    const letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.charAt(randomInt(26))
    client.res.write(letter)
    books.soldLetter()
    console.log(` 4. Accepted payment with condition ${transfer.executionCondition}.`)
    console.log(`    - Fulfilling transfer on the ledger using fulfillment: ${fulfillment}`)

    // The ledger will check if the fulfillment is correct and
    // if it was submitted before the transfer's rollback timeout
    try {
      await finishBeforeEnd(books.collect(transfer, () => plugin.fulfillCondition(transfer.id, fulfillment)))
      console.log('    - Payment complete')
    } catch (err) {
      console.log(`    - Error fulfilling the transfer: ${(err as Error).message}`)
    }
  })
)
