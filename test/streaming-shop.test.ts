import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { parsePay } from './support/customer.ts'
import { LetterStream } from './support/http.ts'
import type { Script } from './support/scripts.ts'
import { useTestbed } from './support/testbed.ts'

const bed = useTestbed()
let shop: Script
let shopUrl: string
const streams: LetterStream[] = []

beforeAll(async () => {
  const open = await bed.openShop('streaming-shop')
  shop = open.shop
  shopUrl = open.url
})

afterEach(() => {
  for (const stream of streams.splice(0)) stream.leave()
})

async function open(): Promise<LetterStream> {
  const stream = await LetterStream.open(shopUrl)
  streams.push(stream)
  return stream
}

test('streaming-shop answers 200 at once, with the price in a header and nothing in the body', async () => {
  const stream = await open()
  expect(stream.status).toBe(200)
  expect(stream.pay).toMatch(/^interledger-psk 10 test\.crypto\.xrp\.r[A-Za-z0-9]+\.[\w-]{11} [\w-]{43}$/)
  expect(stream.letters).toBe('')
})

test('streaming-shop writes a letter for a payment, and fulfills it', async () => {
  const stream = await open()
  await bed.customer.pay(parsePay(stream.pay))
  expect(await stream.waitForLetters(1)).toMatch(/^[A-Z]$/)
  await shop.waitForOutput(/ 4\. Accepted payment with condition [\w-]{43}\.\n[\s\S]*Payment complete/)
})

test('streaming-shop writes each letter to the client that paid for it, ten for ten payments at once', async () => {
  const [ada, bob] = [await open(), await open()]
  const offer = parsePay(ada.pay)
  const payments = Array.from({ length: 10 }, (_, paymentId) => bed.customer.pay(offer, '10', { paymentId }))
  await Promise.all([...payments, bed.customer.pay(parsePay(bob.pay))])
  expect(await ada.waitForLetters(10)).toMatch(/^[A-Z]{10}$/)
  expect(await bob.waitForLetters(1)).toHaveLength(1)
})

test('streaming-shop rejects the payment of a client that has disconnected', async () => {
  const stream = await open()
  const offer = parsePay(stream.pay)
  stream.leave()
  const { executionCondition, id } = await bed.customer.prepare(offer)
  const clientId = offer.address.split('.').at(-1)
  await shop.waitForOutput(
    new RegExp(`F06 Unexpected Payment\\. Nobody here is waiting for a payment to ${clientId}\\.0`)
  )
  expect(shop.output).not.toContain(executionCondition)
  await expect(bed.customer.plugin.getFulfillment(id)).rejects.toThrow(/has not been fulfilled yet/)
})

test.each([
  { what: 'too small an amount', code: 'F04', amount: '9', deviations: {} },
  {
    what: 'a wrong condition',
    code: 'F05',
    amount: '10',
    deviations: { condition: randomBytes(32).toString('base64url') }
  },
  {
    what: 'a paymentId with a tail',
    code: 'F06',
    amount: '10',
    deviations: { paymentId: '0.1.2.3.4.5.6.7.8.9.10' }
  },
  { what: 'a packet that is garbage', code: 'F01', amount: '10', deviations: { ilp: 'Z2FyYmFnZQ' } }
])('streaming-shop writes no letter for $what', async ({ code, amount, deviations }) => {
  const stream = await open()
  const refusals = shop.output.split(code).length
  await bed.customer.prepare(parsePay(stream.pay), amount, deviations)
  while (shop.output.split(code).length === refusals) await once(shop.process, 'output')
  // What comes after the refusal was decided after it.
  await bed.customer.pay(parsePay(stream.pay), '10', { paymentId: 99 })
  expect(await stream.waitForLetters(1)).toHaveLength(1)
})

test('streaming-shop shows a browser its price, and the letters paid for there', async () => {
  const res = await fetch(shopUrl, { headers: { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })
  expect(res.headers.get('Content-Type')).toBe('text/html')
  const body = (res.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader()
  const { value: page } = await body.read()
  expect(page).toContain(`SHOP_URL=${shopUrl} npm run streaming-client2`)
  const offer = parsePay(res.headers.get('Pay'))
  expect(page).toContain(offer.address)
  await bed.customer.pay(offer)
  expect((await body.read()).value).toMatch(/^[A-Z]$/)
  await body.cancel()
})

test.runIf(process.platform === 'linux')(
  'a shop listens on this machine only unless HOST says otherwise, and ends on SIGTERM with code 0',
  async () => {
    // The loopback interface has this address too; only a server on all addresses answers there.
    const statusAt = (url: string) =>
      fetch(`http://127.0.0.2:${new URL(url).port}/nothing`).then(({ status }) => status)
    await expect(statusAt(shopUrl)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    const own = await bed.openShop('streaming-shop', { HOST: '0.0.0.0' })
    expect(await statusAt(own.url)).toBe(404)
    expect(await own.shop.interrupt('SIGTERM')).toBe(0)
  }
)

test('a shop names the port that another program uses, and ends with code 1', async () => {
  const other = http.createServer().listen(0)
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const own = bed.run('streaming-shop', { PORT: String(port) })
  expect(await own.waitForEnd()).toBe(1)
  expect(own.output).toContain(
    `Port ${port} is in use by another program: stop it, or choose another port, PORT=${Number(port) + 1}, and SHOP_URL=http://localhost:${Number(port) + 1}/ for the client`
  )
  expect(own.output).not.toMatch(/^\s+at /m)
  other.close()
})

test.each<{ what: string; env: Record<string, string>; sentence: RegExp }>([
  {
    what: 'HOST is not this machine',
    env: { HOST: '192.0.2.1' },
    sentence: /HOST="192\.0\.2\.1" is not a local address: unset it, or choose/
  },
  {
    what: 'HOST is not a name of this machine',
    env: { HOST: 'abc.invalid' },
    sentence: /HOST="abc\.invalid" is not a local address: unset it, or choose/
  },
  {
    what: 'PORT is not a port, before it looks for the ledger',
    env: { PORT: '70000', TEST_LEDGER: 'ws://localhost:1' },
    sentence: /^\s*PORT="70000" is not a port: choose/
  },
  { what: 'the secret is missing', env: { SHOP_SECRET: '' }, sentence: /The option "secret" is missing/ },
  {
    what: 'the secret is garbage',
    env: { SHOP_SECRET: 'sSecretGarbage' },
    sentence: /is not a family seed/
  }
])('a shop ends with one sentence and code 1 when $what', async ({ env, sentence }) => {
  const own = bed.run('shop-from-before', { PORT: '0', ...env })
  expect(await own.waitForEnd()).toBe(1)
  expect(own.output).toMatch(sentence)
  expect(own.output).not.toMatch(/^\s+at /m)
  expect(own.output).not.toContain('sSecretGarbage')
})

test('streaming-shop ends its open answers on Ctrl-C, and prints correct totals', async () => {
  const stream = await open()
  await bed.customer.pay(parsePay(stream.pay))
  expect(await shop.interrupt()).toBe(0)
  expect(await stream.waitForEnd()).toMatch(/^[A-Z]$/)
  const count = shop.output.match(/Payment complete/g)?.length ?? 0
  expect(shop.output).toContain(
    `\n${count} letters sold, ${10 * count} drops earned, ${350 * count} drops of fees\nFees exceed what a letter earns: `
  )
})
