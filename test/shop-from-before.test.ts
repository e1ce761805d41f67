import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askWithToken, Customer, type Offer, offerOf, parsePay } from './support/customer.ts'
import { needsSandbox, openLedger } from './support/ledger.ts'
import type { Script } from './support/scripts.ts'
import { useTestbed } from './support/testbed.ts'

const bed = useTestbed()
let shop: Script
let shopUrl: string
// Looks at the shop's account
let till: Customer

beforeAll(async () => {
  const open = await bed.openShop('shop-from-before')
  shop = open.shop
  shopUrl = open.url
  till = await Customer.connect(bed.ledger, bed.ledger.shop)
})

afterAll(() => till.disconnect())

async function ask(payToken?: string) {
  const res = await fetch(shopUrl, payToken === undefined ? {} : { headers: { 'Pay-Token': payToken } })
  return {
    status: res.status,
    pay: res.headers.get('Pay'),
    balance: res.headers.get('Pay-Balance'),
    body: await res.text()
  }
}

test("shop-from-before prints the tutorial's lines at its start", () => {
  expect(shop.output).toContain(
    '== Starting the shop server ==\n 1. Connecting to an account to accept payments...\n'
  )
  expect(shop.output).toContain(
    ' 2. Starting web server to accept requests...\n    - Charging 10 drops (0.00001 XRP)\n'
  )
  expect(shop.output).toContain(` 3. Visit ${shopUrl.slice(0, -1)} in your browser to buy a letter\n`)
})

test('shop-from-before answers 402 with a price, a fresh address and a fresh secret', async () => {
  const [first, second] = [await ask(), await ask()]
  expect(first.status).toBe(402)
  expect(first.pay).toMatch(/^interledger-psk 10 test\.crypto\.xrp\.r[A-Za-z0-9]+\.[\w-]{16} [\w-]{43}$/)
  expect(first.balance).toBe('0')
  const { address, sharedSecret } = parsePay(first.pay)
  expect(first.body).toBe(
    `Please send an Interledger-PSK payment of 10 drops (0.00001 XRP) to ${address} using the shared secret ${sharedSecret}\n`
  )
  expect(parsePay(second.pay).address).not.toBe(address)
  expect(parsePay(second.pay).sharedSecret).not.toBe(sharedSecret)
})

test('shop-from-before shows a browser the same 402 as a page, with the command of its client', async () => {
  const res = await fetch(shopUrl, { headers: { Accept: 'text/html,*/*;q=0.8' } })
  expect([res.status, res.headers.get('Content-Type')]).toEqual([402, 'text/html'])
  const { address } = parsePay(res.headers.get('Pay'))
  const page = await res.text()
  expect(page).toContain(`<pre style="overflow-x: auto">SHOP_URL=${shopUrl} npm run streaming-client1</pre>`)
  expect(page).toContain(`$env:SHOP_URL='${shopUrl}'; npm run streaming-client1`)
  expect(page).toContain(`Please send an Interledger-PSK payment of 10 drops (0.00001 XRP) to ${address}`)
})

test('shop-from-before gives one letter per payment for the shared secret', async () => {
  const offer = await offerOf(shopUrl)
  await bed.customer.pay(offer)
  const paid = await ask(offer.sharedSecret)
  expect(paid).toMatchObject({ status: 200, balance: '0' })
  expect(paid.body).toMatch(/^Your letter: [A-Z]$/)
  const pay = `interledger-psk 10 ${offer.address} ${offer.sharedSecret}`
  expect(await ask(offer.sharedSecret)).toMatchObject({ status: 402, balance: '0', pay })
  await shop.waitForOutput(/ 4\. Accepted payment with condition [\w-]{43}\.\n/)
  await shop.waitForOutput(/ 5\. Providing paid letter: [A-Z]\n/)
})

test('shop-from-before keeps an overpayment as credit', async () => {
  const offer = await offerOf(shopUrl)
  await bed.customer.pay(offer, '25', { packetAmount: '10' })
  expect(await ask(offer.sharedSecret)).toMatchObject({ status: 200, balance: '15' })
  expect(await ask(offer.sharedSecret)).toMatchObject({ status: 200, balance: '5' })
  expect(await ask(offer.sharedSecret)).toMatchObject({ status: 402, balance: '5' })
})

test('shop-from-before answers an unknown Pay-Token with a fresh offer', async () => {
  const chosen = randomBytes(32).toString('base64url')
  const answer = await ask(chosen)
  expect(answer.status).toBe(402)
  expect(parsePay(answer.pay).sharedSecret).not.toBe(chosen)
})

test.each([
  '',
  'x',
  'constructor',
  randomBytes(31).toString('base64url'),
  randomBytes(33).toString('base64url'),
  `${randomBytes(32).toString('base64url')}=`,
  '___________________________________________'.slice(0, 43)
])('shop-from-before answers 400 to the Pay-Token "%s"', async payToken => {
  const answer = await ask(payToken)
  expect(answer.status).toBe(400)
  expect(answer.body).toMatch(/^The Pay-Token is not 32 bytes in base64url/)
})

test('shop-from-before gives a letter for a fulfillment once, out of the same credit', async () => {
  const offer = await offerOf(shopUrl)
  const fulfillment = await bed.customer.pay(offer)
  await shop.waitForOutput(new RegExp(`${fulfillment}[\\s\\S]*Payment complete`))
  const first = await fetch(shopUrl + fulfillment)
  expect(first.status).toBe(200)
  expect(await first.text()).toMatch(/^Your letter: [A-Z]$/)
  const second = await fetch(shopUrl + fulfillment)
  expect(second.status).toBe(404)
  expect(await second.text()).toBe('Unrecognized fulfillment.\n')
  expect((await ask(offer.sharedSecret)).status).toBe(402)
})

test.each([
  { what: 'too small an amount', code: 'F04 Insufficient Destination Amount', amount: '9', deviations: {} },
  {
    what: 'less than its packet says',
    code: 'F04 Insufficient Destination Amount',
    amount: '10',
    deviations: { packetAmount: '11' }
  },
  {
    what: 'a wrong condition',
    code: 'F05 Wrong Condition',
    amount: '10',
    deviations: { condition: randomBytes(32).toString('base64url') }
  },
  {
    what: 'a packet that is garbage',
    code: 'F01 Invalid Packet',
    amount: '10',
    deviations: { ilp: 'Z2FyYmFnZQ' }
  }
])('shop-from-before rejects $what with $code, at no cost', async ({ code, amount, deviations }) => {
  const offer = await offerOf(shopUrl)
  const before = await till.plugin.getBalance()
  const { executionCondition } = await bed.customer.prepare(offer, amount, deviations)
  await shop.waitForOutput(new RegExp(`Payment rejected: ${code}\\.`))
  expect(shop.output).not.toContain(`Accepted payment with condition ${executionCondition}`)
  expect((await ask(offer.sharedSecret)).status).toBe(402)
  expect(await till.plugin.getBalance()).toBe(before)
})

test('shop-from-before rejects a payment for an unknown client with F06', async () => {
  const offer = await offerOf(shopUrl)
  const parts = offer.address.split('.')
  for (const clientId of ['AAAAAAAAAAA', 'constructor', '__proto__', 'hasOwnProperty']) {
    await bed.customer.prepare({ ...offer, address: [...parts.slice(0, 4), clientId].join('.') })
    await shop.waitForOutput(
      new RegExp(`F06 Unexpected Payment\\. Nobody here is waiting for a payment to \\S*${clientId}\\.0`)
    )
  }
  expect((await ask(offer.sharedSecret)).status).toBe(402)
})

test('shop-from-before rejects an expiry that is less than 60 s of ledger time away', async () => {
  needsSandbox('the test closes its ledgers')
  const slow = await openLedger({ closeIntervalMs: 0 })
  const { shop: run, url } = await bed.openShop('shop-from-before', slow.env)
  const payer = await Customer.connect(slow)
  const prepare = async (offer: Offer, expiresInMs: number) => {
    const prepared = payer.prepare(offer, '10', { expiresInMs })
    while ((await slow.openTransactions()) === 0) await new Promise(setImmediate)
    await slow.closeLedger()
    await prepared
  }
  await prepare(await offerOf(url), 55_000)
  await run.waitForOutput(
    /Payment rejected: R02 Insufficient Timeout\. Please give the shop at least 60 seconds/
  )

  // Each ledger is at least a second after the one before, while the shop sleeps.
  const offers = [await offerOf(url), await offerOf(url)] as const
  run.process.kill('SIGSTOP')
  await prepare(offers[0], 120_000)
  await prepare(offers[1], 1_000_000)
  for (let n = 0; n < 70; n++) await slow.closeLedger()
  run.process.kill('SIGCONT')
  await run.waitForOutput(/Accepted payment/)
  const answers = await Promise.all(offers.map(offer => askWithToken(url, offer)))
  expect(answers).toEqual([402, expect.stringMatching(/^Your letter/)])
  expect(run.output.match(/Accepted payment/g)).toHaveLength(1)
  await payer.disconnect()
  await run.kill()
  await slow.close()
})

test('shop-from-before prints correct totals on Ctrl-C, and ends with code 0', async () => {
  expect((await ask()).status).toBe(402)
  // What is prepared after the last moment is not taken.
  const offer = await offerOf(shopUrl)
  expect(await shop.interrupt()).toBe(0)
  const { id } = await bed.customer.prepare(offer)
  await expect(bed.customer.plugin.getFulfillment(id)).rejects.toThrow(/has not been fulfilled yet/)
  const [, letters, earned, fees] =
    /\n(\d+) letters sold, (\d+) drops earned, (\d+) drops of fees\n.*\n\d+ payments rejected\n$/.exec(
      shop.output
    ) ?? []
  expect(letters).toBe(String(shop.output.match(/Providing paid letter/g)?.length))
  expect(earned).toBe(String(10 * Number(letters) + 5))
  expect(fees).toBe(String(350 * (shop.output.match(/Payment complete/g)?.length ?? 0)))
})
