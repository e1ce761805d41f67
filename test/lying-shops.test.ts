import { randomBytes } from 'node:crypto'
import type { RequestListener, ServerResponse } from 'node:http'
import base64url from 'base64url'
import PluginXrpEscrow from 'ilp-plugin-xrp-escrow'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { pskFulfillment, sha256 } from '../src/crypto.ts'
import { fakeShop } from './support/http.ts'
import { aside } from './support/ledger.ts'
import type { Script } from './support/scripts.ts'
import { useTestbed } from './support/testbed.ts'

const sharedSecret = Buffer.alloc(32, 7)
const nobody = 'rEwRpE8w41M6GQm6Cr6zR3DkPxWQ193nMS'
const intervalMs = 100
const maxSecondsAtRisk = 1

const bed = useTestbed()
let pay: string
const ends: (() => Promise<void>)[] = []

beforeAll(() => {
  pay = `interledger-psk 10 test.crypto.xrp.${bed.ledger.shop.address}.AAAAAAAAAAA ${base64url(sharedSecret)}`
})

afterAll(() => Promise.all(ends.map(end => end())))

async function openShop(handler: RequestListener) {
  const shop = await fakeShop(handler)
  ends.push(shop.close)
  return shop
}

// A client trusts its shop for a second.
const impatient = { maxSecondsAtRisk: String(maxSecondsAtRisk), maxSettleMs: '2000' }
// It waits until the ledger has decided.
const patient = { maxSettleMs: '120000' }

function run(client: string, url: string, constants: Record<string, string> = impatient): Script {
  return bed.run(client, { SHOP_URL: url, INTERVAL_MS: String(intervalMs), ...constants })
}

/**
 * A till that takes every payment, whatever its shop then does about the letter; with the `Pay` header for it. Other
 * tests pay the same account meanwhile.
 */
async function openTill(): Promise<{ till: PluginXrpEscrow; pay: string }> {
  const till = new PluginXrpEscrow({ server: bed.ledger.url, secret: bed.ledger.shop.secret })
  const name = base64url(randomBytes(8))
  till.on('incoming_prepare', ({ id, ilp }) => {
    const packet = base64url.toBuffer(ilp)
    if (!packet.includes(name)) return
    till.fulfillCondition(id, base64url(pskFulfillment(sharedSecret, packet))).catch(() => {})
  })
  await till.connect({ timeout: 120_000 })
  ends.push(() => till.disconnect())
  return { till, pay: pay.replace('AAAAAAAAAAA', name) }
}

/** Sends a million characters at once, and never ends. */
function flood(res: ServerResponse, text: string): void {
  res.write(text.repeat(1_000_000 / text.length))
}

function paymentsOf(client: Script): number {
  return Number(/^(\d+) payments?, /m.exec(client.output)?.[1])
}

describe.each([
  { client: 'streaming-client1', status: 402 },
  { client: 'streaming-client2', status: 200 }
])('$client', ({ client, status }) => {
  aside(
    `${client} invites no compression, and stops after maxSecondsAtRisk when no payment is fulfilled`,
    async () => {
      const shop = await openShop((_req, res) => {
        res.writeHead(status, { Pay: pay }).flushHeaders()
        if (status === 402) res.end()
      })
      const buyer = run(client, shop.url)
      expect(await buyer.waitForEnd()).toBe(1)
      expect(new Set(shop.requests.map(({ headers }) => headers['accept-encoding']))).toEqual(
        new Set(['identity'])
      )
      expect(buyer.output.match(/Paused: 10 payments without a letter/g)).toHaveLength(1)
      expect(buyer.output).toContain('Stopped: no letter for the last 10 payments\n')
      expect(paymentsOf(buyer)).toBe((maxSecondsAtRisk * 1000) / intervalMs)
      expect(buyer.output).toContain(
        '10 payments, 0 letters: 10 in escrow\n100 drops spent (0.0001 XRP): 0 for letters'
      )
      expect(buyer.output).toMatch(
        /10 payments \(100 drops\) not claimed by the shop so far: the last expires at \d.*\nA client that runs after that gets/
      )
    }
  )
})

aside('streaming-client1 comes back later to a shop that answers 503, and says why', async () => {
  const shop = await openShop((_req, res) => {
    if (shop.requests.length < 3) res.writeHead(503, { 'Retry-After': '0.1' }).end('The shop is full\n')
    else res.writeHead(404).end()
  })
  const buyer = run('streaming-client1', shop.url)
  expect(await buyer.waitForEnd()).toBe(1)
  expect(buyer.output.match(/is unavailable, retrying: The shop is full\n/g)).toHaveLength(1)
  expect(shop.requests).toHaveLength(3)
})

aside('streaming-client2 ends with a sentence when the account to be paid does not exist', async () => {
  const shop = await openShop((_req, res) => {
    res.writeHead(200, { Pay: pay.replace(bed.ledger.shop.address, nobody) }).flushHeaders()
  })
  const buyer = run('streaming-client2', shop.url)
  expect(await buyer.waitForEnd()).toBe(1)
  expect(buyer.output).toMatch(/needs an account that is not on the ledger \(.*tecNO_DST/)
})

aside.each([
  { client: 'streaming-client1', what: 'closes at once', answer: (res: ServerResponse) => res.destroy() },
  {
    client: 'streaming-client2',
    what: 'sends a gigantic header',
    answer: (res: ServerResponse) => res.writeHead(200, { Pay: pay, X: 'x'.repeat(100_000) }).end()
  },
  {
    client: 'streaming-client1',
    what: 'redirects',
    answer: (res: ServerResponse) => res.writeHead(302, { Pay: pay, Location: '/' }).end()
  }
])('$client pays nothing to a shop that $what', async ({ client, answer }) => {
  const shop = await openShop((_req, res) => answer(res))
  const buyer = run(client, shop.url)
  expect(await buyer.waitForEnd()).toBe(1)
  expect(buyer.output).toMatch(/^The (request to the )?shop /m)
  expect(buyer.output).not.toMatch(/^\s+at /m)
  expect(buyer.output).not.toContain('payment')
  expect(shop.requests).toHaveLength(1)
})

aside.each([
  { client: 'streaming-client1', what: 'its requests are not answered' },
  { client: 'streaming-client2', what: 'no letters come' }
])('$client stops when its payments are fulfilled and $what', async ({ client }) => {
  const { pay } = await openTill()
  const shop = await openShop((req, res) => {
    if (client === 'streaming-client2') res.writeHead(200, { Pay: pay }).flushHeaders()
    else if (!req.headers['pay-token']) res.writeHead(402, { Pay: pay }).end()
  })
  const buyer = run(client, shop.url)
  expect(await buyer.waitForEnd()).toBe(1)
  expect(buyer.output).toContain('Stopped: no letter for the last 10 payments\n')
  if (client === 'streaming-client2') expect(paymentsOf(buyer)).toBe(10)
})

aside('streaming-client2 stops when the body has no end, and prints no control sequence', async () => {
  const shop = await openShop((_req, res) => {
    res.writeHead(200, { Pay: pay }).flushHeaders()
    res.write('A\x1b[2J\x07\u009b\r\n')
    res.req.socket.on('error', () => {})
    setTimeout(() => flood(res, '\x1b]0;x\x07'), 500)
  })
  const buyer = run('streaming-client2', shop.url)
  expect(await buyer.waitForEnd()).toBe(1)
  expect(buyer.output.length).toBeLessThan(1_000)
  expect(buyer.output).toMatch(/A\?\?\?J\?{5}/)
  expect(buyer.output).toContain('Received more letters than were paid for')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(buyer.output).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
})

aside('streaming-client1 asks again for a letter after 503, and after its connection was cut', async () => {
  const { pay } = await openTill()
  const busy = new Set([1, 2, 4])
  const cut = new Set([3, 6])
  let asked = 0
  const shop = await openShop((req, res) => {
    if (!req.headers['pay-token']) res.writeHead(402, { Pay: pay }).end()
    else if (cut.has(++asked)) req.socket.resetAndDestroy()
    else if (busy.has(asked)) res.writeHead(503, { 'Retry-After': '0.1' }).end('Not yet\n')
    else res.end('Your letter: Q')
  })
  const buyer = run('streaming-client1', shop.url, patient)
  await buyer.waitForOutput(/(Your letter: Q\n[\s\S]*){4}/)
  expect(await buyer.interrupt()).toBe(0)
  const [, payments, letters] = /^(\d+) payments, (\d+) letters: /m.exec(buyer.output) ?? []
  expect(letters).toBe(payments)
})

aside('streaming-client1 asks a shop of 2017 by the fulfillment of its payment', async () => {
  const { till, pay } = await openTill()
  const conditions = new Set<string>()
  till.on('incoming_prepare', ({ executionCondition = '' }) => conditions.add(executionCondition))
  const shop = await openShop((req, res) => {
    const condition = base64url(sha256(base64url.toBuffer(req.url?.slice(1) ?? '')))
    if (conditions.delete(condition)) res.end('Your letter: Q')
    else res.writeHead(402, { Pay: pay }).end('Please send money')
  })
  const buyer = run('streaming-client1', shop.url, patient)
  await buyer.waitForOutput(/(Your letter: Q\n[\s\S]*){3}/)
  expect(await buyer.interrupt()).toBe(0)
})

aside.each([
  {
    what: 'no letter',
    answer: { status: 402, body: 'Please pay more' },
    says: 'no letter received: 402 Please pay more'
  },
  {
    what: 'an error with a control sequence and a second line',
    answer: { status: 500, body: '\x1b[31mred\nYour letter: Q\n' },
    says: '500 ?[31mred?Your letter: Q\n'
  },
  {
    what: 'a body without end',
    answer: { status: 200, body: undefined },
    says: 'over limit: 10000'
  }
])('streaming-client1 stops when its payment is fulfilled and it gets $what', async ({ answer, says }) => {
  const { pay } = await openTill()
  const shop = await openShop((req, res) => {
    if (!req.headers['pay-token']) return res.writeHead(402, { Pay: pay }).end()
    res.writeHead(answer.status, { Pay: pay.replace(' 10 ', ' 20 ') })
    if (answer.body !== undefined) return res.end(answer.body)
    return flood(res, 'x')
  })
  const buyer = run('streaming-client1', shop.url, {})
  expect(await buyer.waitForEnd()).toBe(1)
  expect(buyer.output).toContain(says)
})
