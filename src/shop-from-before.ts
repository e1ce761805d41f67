import { randomInt } from 'node:crypto'
import http from 'node:http'
import base64url from 'base64url'
import { tellAccount } from './shop/account.ts'
import { Books } from './shop/books.ts'
import { type ClientAccount, ClientAccounts, type Payment } from './shop/client-accounts.ts'
import { checkIncomingTransfer, isRepeated } from './shop/incoming-transfer.ts'
import { askToComeBack, closeServer, isListening, listen, pathOf } from './shop/web-server.ts'
import { beforeEnd, seeThrough, withoutPlugins } from './terminal/ending.ts'

const port = process.env.PORT ?? '8000'
const host = process.env.HOST ?? '127.0.0.1'
const cost = 10 // drops for one letter

// What our clients have to their credit
const accounts = new ClientAccounts(cost)

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

// Returns whether the request is answered: a client that has not paid gets no letter
async function sellLetter(client: ClientAccount, res: http.ServerResponse, payment?: Payment) {
  const answer = await accounts.ask(client, res, payment)
  if (answer === 'undecided') askToComeBack(res, 1, 'The ledger has not decided yet')
  if (answer !== 'paid') return answer !== 'unpaid'
  // Get the letter that we are selling
  const letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.charAt(randomInt(26))
  console.log(` 5. Providing paid letter: ${letter}`)
  books.soldLetter()
  res.setHeader('Pay-Balance', client.balance)
  res.end(`Your letter: ${letter}`)
  return true
}

// Handle incoming web requests
const server = http.createServer(async function (req, res) {
  const path = pathOf(req, res)
  if (path === undefined) return
  // Browsers are irritating and often probe for a favicon, just ignore
  if (path === '/favicon.ico') return res.writeHead(404).end()
  console.log(`    - Incoming request to: ${path}`)

  if (path !== '/') {
    // Request for a letter with the fulfillment of its payment attached. Fulfillments are public on the
    // ledger, and whoever is faster gets the letter: the shared secret is the better key.
    if (!(await isListening(res))) return
    const payment = accounts.ofFulfillment(path.slice(1))
    if (payment && (await sellLetter(payment.client, res, payment))) return
    return res.writeHead(404).end('Unrecognized fulfillment.\n')
  }

  // Use client-generated shared secret, if presented:
  const payToken = req.headers['pay-token']?.toString()
  if (payToken !== undefined && !(await isListening(res))) return
  const client = payToken === undefined ? accounts.newClient() : accounts.ofToken(payToken)
  if (!client) return res.writeHead(400).end('The Pay-Token is not 32 bytes in base64url\n')
  if (payToken !== undefined && (await sellLetter(client, res))) return
  if (!books.funds.canPayFee()) return askToComeBack(res, 60, 'The shop cannot pay its fees')

  console.log('    - Waiting for payment...')

  // Respond with a 402 HTTP Status Code (Payment Required)
  const address = `${account}.${client.clientId}`
  const sharedSecret = base64url(client.sharedSecret)
  res.writeHead(402, {
    Pay: `interledger-psk ${cost} ${address} ${sharedSecret}`,
    'Pay-Balance': client.balance
  })
  res.end(
    `Please send an Interledger-PSK payment of ${price} to ${address}` +
      ` using the shared secret ${sharedSecret}\n`
  )
})

const shopUrl = await listen(server, port, host)
console.log(`    - Listening on ${shopUrl}`)
console.log(` 3. Visit ${shopUrl} in your browser to buy a letter`)
beforeEnd(async function () {
  plugin.removeAllListeners('incoming_prepare')
  await closeServer(server)
  // Nobody could be given a letter for what is not on its way yet
  await plugin.disconnect()
  console.log(`\n${await books.close()}`)
})

// Handle incoming payments
plugin.on('incoming_prepare', async function (transfer) {
  if (isRepeated(transfer)) return
  const accepted = checkIncomingTransfer(transfer, { account, cost, clients: accounts, funds: books.funds })
  if ('code' in accepted) return books.refuse(transfer, accepted)
  const { client, fulfillment } = accepted
  const payment = accounts.accept(client, Number(transfer.amount), fulfillment)

  console.log(` 4. Accepted payment with condition ${transfer.executionCondition}.`)
  console.log(`    - Fulfilling transfer on the ledger using fulfillment: ${fulfillment}`)

  // The ledger will check if the fulfillment is correct and
  // if it was submitted before the transfer's rollback timeout
  try {
    await books.collect(transfer, () => plugin.fulfillCondition(transfer.id, fulfillment))
    // Increase this client's balance
    accounts.credit(payment)
    console.log('    - Payment complete')
  } catch (err) {
    accounts.fail(payment)
    console.log(`    - Error fulfilling the transfer: ${(err as Error).message}`)
  }
})
