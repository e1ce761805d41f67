import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Customer, parsePay } from './support/customer.ts'
import { needsSandbox, openLedger, type TestLedger } from './support/ledger.ts'
import { type Script, type Stage, setStage } from './support/scripts.ts'

let ledger: TestLedger
let stage: Stage
let shop: Script
let shopUrl: string
let customer: Customer
// Looks at the shop's account
let till: Customer

beforeAll(async () => {
  ledger = await openLedger()
  stage = await setStage()
  shop = stage.run('src/shop-from-before.ts', { ...ledger.env, PORT: '0' })
  customer = await Customer.connect(ledger)
  till = await Customer.connect(ledger, ledger.shop)
  shopUrl = `${(await shop.says(/Visit (http:\S+)/))[1]}/`
})

afterAll(async () => {
  await customer.disconnect()
  await till.disconnect()
  await stage.strike()
  await ledger.close()
})

async function ask(payToken?: string) {
  const res = await fetch(shopUrl, payToken === undefined ? {} : { headers: { 'Pay-Token': payToken } })
  return {
    status: res.status,
    pay: res.headers.get('Pay'),
    balance: res.headers.get('Pay-Balance'),
    body: await res.text()
  }
}

describe('shop-from-before', () => {
  test('tells its story as the tutorial does', () => {
    expect(shop.output).toContain(
      '== Starting the shop server ==\n 1. Connecting to an account to accept payments...\n'
    )
    expect(shop.output).toContain(
      ' 2. Starting web server to accept requests...\n    - Charging 0.00001 XRP\n'
    )
    expect(shop.output).toContain(` 3. Visit ${shopUrl.slice(0, -1)} in your browser to buy a letter\n`)
  })

  test('answers 402 with a price, a fresh address and a fresh secret', async () => {
    const [first, second] = [await ask(), await ask()]
    expect(first.status).toBe(402)
    expect(first.pay).toMatch(/^interledger-psk 10 test\.crypto\.xrp\.r[A-Za-z0-9]+\.[\w-]{11} [\w-]{43}$/)
    expect(first.balance).toBe('0')
    const { address, sharedSecret } = parsePay(first.pay)
    expect(first.body).toBe(
      `Please send an Interledger-PSK payment of 0.00001 XRP to ${address} using the shared secret ${sharedSecret}\n`
    )
    expect(parsePay(second.pay).address).not.toBe(address)
    expect(parsePay(second.pay).sharedSecret).not.toBe(sharedSecret)
  })

  test('gives one letter for one payment to whoever shows the shared secret', async () => {
    const offer = parsePay((await ask()).pay)
    const offersBefore = await ask(offer.sharedSecret)
    expect(offersBefore).toMatchObject({
      status: 402,
      balance: '0',
      pay: `interledger-psk 10 ${offer.address} ${offer.sharedSecret}`
    })
    await customer.pay(offer)
    const paid = await ask(offer.sharedSecret)
    expect(paid).toMatchObject({ status: 200, balance: '0' })
    expect(paid.body).toMatch(/^Your letter: [A-Z]$/)
    expect(await ask(offer.sharedSecret)).toMatchObject({ status: 402, balance: '0' })
    await shop.says(/ 4\. Accepted payment with condition [\w-]{43}\.\n/)
    await shop.says(/ 5\. Providing paid letter: [A-Z]\n/)
  })

  test('gives ten letters for ten payments made at once', async () => {
    const offer = parsePay((await ask()).pay)
    await Promise.all(Array.from({ length: 10 }, (_, paymentId) => customer.pay(offer, '10', { paymentId })))
    const answers = []
    for (let n = 0; n < 11; n++) answers.push((await ask(offer.sharedSecret)).status)
    expect(answers).toEqual([...Array(10).fill(200), 402])
  })

  test('keeps what was paid too much as credit', async () => {
    const offer = parsePay((await ask()).pay)
    await customer.pay(offer, '25', { packetAmount: '10' })
    expect(await ask(offer.sharedSecret)).toMatchObject({ status: 200, balance: '15' })
    expect(await ask(offer.sharedSecret)).toMatchObject({ status: 200, balance: '5' })
    expect(await ask(offer.sharedSecret)).toMatchObject({ status: 402, balance: '5' })
  })

  test('adopts a secret that the client chose', async () => {
    const own = randomBytes(32).toString('base64url')
    const answer = await ask(own)
    expect(answer.status).toBe(402)
    expect(parsePay(answer.pay).sharedSecret).toBe(own)
    await customer.pay(parsePay(answer.pay))
    expect((await ask(own)).status).toBe(200)
  })

  test.each([
    '',
    'x',
    'constructor',
    randomBytes(31).toString('base64url'),
    randomBytes(33).toString('base64url'),
    `${randomBytes(32).toString('base64url')}=`,
    '___________________________________________'.slice(0, 43)
  ])('answers 400 with a sentence to the Pay-Token "%s"', async payToken => {
    const answer = await ask(payToken)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatch(/^The Pay-Token is not 32 bytes in base64url/)
  })

  test('gives a letter for a fulfillment once, out of the same credit', async () => {
    const offer = parsePay((await ask()).pay)
    const fulfillment = await customer.pay(offer)
    await shop.says(new RegExp(`${fulfillment}[\\s\\S]*Payment complete`))
    const first = await fetch(shopUrl + fulfillment)
    expect(first.status).toBe(200)
    expect(await first.text()).toMatch(/^Your letter: [A-Z]$/)
    const second = await fetch(shopUrl + fulfillment)
    expect(second.status).toBe(404)
    expect(await second.text()).toBe('Unrecognized fulfillment.\n')
    expect((await ask(offer.sharedSecret)).status).toBe(402)
  })

  test('takes no fulfillment for a letter that its token has bought', async () => {
    const offer = parsePay((await ask()).pay)
    const fulfillment = await customer.pay(offer)
    expect((await ask(offer.sharedSecret)).status).toBe(200)
    expect((await fetch(shopUrl + fulfillment)).status).toBe(404)
  })

  test.each([
    'favicon.ico',
    'constructor',
    '__proto__',
    'a/b',
    '%2e%2e/x',
    `${randomBytes(32).toString('base64url')}`
  ])('answers 404 to /%s', async path => {
    expect((await fetch(shopUrl + path)).status).toBe(404)
  })

  test.each(['POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE'])('answers 405 to %s', async method => {
    const res = await fetch(shopUrl, { method })
    expect(res.status).toBe(405)
    expect(res.headers.get('Allow')).toBe('GET')
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
  ])('refuses $what with $code, at no cost', async ({ code, amount, deviations }) => {
    const offer = parsePay((await ask()).pay)
    const before = await till.plugin.getBalance()
    const { executionCondition } = await customer.prepare(offer, amount, deviations)
    await shop.says(new RegExp(`Payment refused: ${code}\\.`))
    expect(shop.output).not.toContain(`Accepted payment with condition ${executionCondition}`)
    expect((await ask(offer.sharedSecret)).status).toBe(402)
    expect(await till.plugin.getBalance()).toBe(before)
  })

  test('refuses a payment for a client that it does not know with F06', async () => {
    const offer = parsePay((await ask()).pay)
    const parts = offer.address.split('.')
    for (const clientId of ['AAAAAAAAAAA', 'constructor', '__proto__', 'hasOwnProperty']) {
      await customer.prepare({ ...offer, address: [...parts.slice(0, 4), clientId].join('.') })
      await shop.says(
        new RegExp(`F06 Unexpected Payment\\. Nobody here is waiting for a payment to \\S*${clientId}\\.0`)
      )
    }
    expect((await ask(offer.sharedSecret)).status).toBe(402)
  })

  test('refuses an expiry too near with R02, also one that was not when it slept', async () => {
    // Here a second of the ledger is a second of the clock.
    needsSandbox("a real server's clock is ahead")
    const slowLedger = await openLedger({ closeIntervalMs: 1000 })
    const slowShop = stage.run('src/shop-from-before.ts', { ...slowLedger.env, PORT: '0' })
    const slowCustomer = await Customer.connect(slowLedger)
    const [, url = ''] = await slowShop.says(/Visit (http:\S+)/)
    const offerOf = async (url: string) => parsePay((await fetch(url)).headers.get('Pay'))
    await slowCustomer.prepare(await offerOf(url), '10', { expiresInMs: 18_000 })
    await slowShop.says(/Payment refused: R02 Insufficient Timeout/)

    const offers = [await offerOf(url), await offerOf(url)] as const
    slowShop.process.kill('SIGSTOP')
    await Promise.all([
      slowCustomer.prepare(offers[0], '10', { expiresInMs: 21_500 }),
      slowCustomer.prepare(offers[1], '10')
    ])
    await delay(1_500)
    slowShop.process.kill('SIGCONT')
    await slowShop.says(/Payment complete/)
    const [late, early] = await Promise.all(
      offers.map(({ sharedSecret }) => fetch(url, { headers: { 'Pay-Token': sharedSecret } }))
    )
    expect([late?.status, early?.status]).toEqual([402, 200])
    expect(slowShop.output.match(/Accepted payment/g)).toHaveLength(1)
    await slowCustomer.disconnect()
    await slowShop.interrupt()
    await slowLedger.close()
  })

  test('still serves after all of that, and ends on Ctrl-C with code 0', async () => {
    expect((await ask()).status).toBe(402)
    // What is prepared after the last moment is not taken.
    const offer = parsePay((await ask()).pay)
    expect(await shop.interrupt()).toBe(0)
    const { id } = await customer.prepare(offer)
    await expect(customer.plugin.getFulfillment(id)).rejects.toThrow(/has not been fulfilled yet/)
    const [, letters, earned, fees] =
      /\n(\d+) letters sold, (\d+) drops earned, (\d+) drops of fees\n\d+ payments refused\n$/.exec(
        shop.output
      ) ?? []
    expect(letters).toBe(String(shop.output.match(/Providing paid letter/g)?.length))
    expect(earned).toBe(String(10 * Number(letters) + 5))
    expect(fees).toBe(String(350 * (shop.output.match(/Payment complete/g)?.length ?? 0)))
  })
})
