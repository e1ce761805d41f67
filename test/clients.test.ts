import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { Customer } from './support/customer.ts'
import { fakeShop } from './support/http.ts'
import { aside, openLedger } from './support/ledger.ts'
import { copyProject, freePort, pairs, type Script, withTsx } from './support/scripts.ts'
import { useTestbed } from './support/testbed.ts'

const bed = useTestbed()

/** Reads the lines that a client ends with. */
function summaryOf(client: Script) {
  const shape =
    /^(\d+) payments?, (\d+) letters?: (\d+) fulfilled\n(\d+) drops spent \([\d.]+ XRP\): (\d+) for letters, (\d+) in fees\n$/m
  const [payments, letters, fulfilled, spent, onLetters, fees] =
    shape.exec(client.output)?.slice(1).map(Number) ?? []
  if (payments === undefined) throw new Error(`No summary in:\n${client.output}`)
  return { payments, letters, fulfilled, spent, onLetters, fees }
}

describe.each(pairs)('$client with $shop', ({ client, shop, lettersIn }) => {
  const hasLetters = (count: number) => (output: string) => lettersIn(output).length >= count

  aside(
    `two ${client} of one account get a letter for each of their own payments, and all drops add up`,
    async () => {
      // Nothing but these payments changes its balances.
      const ledger = await openLedger()
      const purse = await Customer.connect(ledger)
      const till = await Customer.connect(ledger, ledger.shop)
      const balances = async () =>
        [await purse.plugin.getBalance(), await till.plugin.getBalance()].map(BigInt)
      const [purseBefore = 0n, tillBefore = 0n] = await balances()
      const seller = await bed.openShop(shop, ledger.env)
      // The ledger decides when a client ends, however long the machine takes.
      const runs = ['100', '200'].map(INTERVAL_MS =>
        bed.run(client, { ...ledger.env, SHOP_URL: seller.url, INTERVAL_MS, maxSettleMs: '120000' })
      )
      for (const run of runs) await run.waitUntil(hasLetters(4))
      const ends = runs.map(run => run.interrupt())
      expect(await Promise.all(ends)).toEqual([0, 0])
      expect(await seller.shop.interrupt()).toBe(0)

      let total = 0
      for (const run of runs) {
        const payments = lettersIn(run.output).length
        total += payments
        expect(summaryOf(run)).toEqual({
          payments,
          letters: payments,
          fulfilled: payments,
          spent: 20 * payments,
          onLetters: 10 * payments,
          fees: 10 * payments
        })
      }
      // An escrow costs a fee of 10 drops, and its fulfillment one of 350.
      const [purseAfter = 0n, tillAfter = 0n] = await balances()
      expect(purseBefore - purseAfter).toBe(20n * BigInt(total))
      expect(tillAfter - tillBefore).toBe(-340n * BigInt(total))
      for (const account of [purse, till]) await account.disconnect()
      await ledger.close()
    }
  )

  aside(`${client} waits for a shop that starts later, and stops when the shop has gone`, async () => {
    const port = String(await freePort())
    const env = { SHOP_URL: `http://localhost:${port}/`, INTERVAL_MS: '200', maxSettleMs: '2000' }
    const run = bed.run(client, env)
    await run.waitForOutput(/Waiting for the shop at \S+ - start it in another terminal\n/)
    const { shop: seller } = await bed.openShop(shop, { PORT: port })
    await run.waitUntil(hasLetters(1))
    expect(run.output.match(/Waiting for the shop/g)).toHaveLength(1)
    const gone = seller.interrupt()
    if (client.includes('client1')) {
      await run.waitForNextOutput(/Waiting for the shop at \S+ - start it in another terminal\n/)
      const payments = run.output.match(/Calculating/g)?.length
      await gone
      await bed.openShop(shop, { PORT: port })
      await run.waitForOutput(
        /The shop was restarted and does not know this client: start the client again\n/
      )
      expect(run.output.match(/Calculating/g)).toHaveLength(payments ?? 0)
    } else await run.waitForOutput(/The shop ended the stream\n/)
    expect(await run.waitForEnd()).toBe(1)
    expect(run.output).toMatch(/^\d+ payments?, \d+ letters?: /m)
    expect(run.output).not.toMatch(/^\s+at /m)
  })
})

aside(
  'a client that waits for its shop reports money of an earlier run, and ends on SIGTERM without a summary',
  async () => {
    // The clock of this ledger is far ahead in the end.
    const own = await openLedger()
    const hand = await Customer.connect(own)
    const { timeMs } = await own.newest()
    const address = `test.crypto.xrp.${own.shop.address}.AAAAAAAAAAA`
    const offer = { amount: '10', address, sharedSecret: 'A'.repeat(43) }
    const expiresInMs = timeMs - Date.now() + 300_000
    await Promise.all([0, 1, 2].map(paymentId => hand.prepare(offer, '10', { paymentId, expiresInMs })))
    await hand.disconnect()
    // Each ledger is at least a second later than the one before.
    for (let n = 0; n < 310; n++) await own.closeLedger()
    const url = `http://localhost:${await freePort()}/`
    const run = bed.run('streaming-client2', { ...own.env, SHOP_URL: url })
    await run.waitUntil(output => {
      const counts = output.matchAll(
        /\nRecovered (\d) payments? \(\1[0] drops\) of an earlier run that had expired\n/g
      )
      return [...counts].reduce((sum, [, count]) => sum + Number(count), 0) === 3
    })
    expect(await run.interrupt('SIGTERM')).toBe(0)
    expect(run.output).not.toMatch(/^\d+ payments?,/m)
    await own.close()
  }
)

aside.each<{ what: string; change: Record<string, string>; sentence: RegExp }>([
  {
    what: 'the ledger cannot be reached',
    change: { TEST_LEDGER: 'ws://localhost:1' },
    sentence: /^The ledger at "ws:\/\/localhost:1" cannot be reached \(.*\): is it running\? .* plugins\.ts$/
  },
  {
    what: 'a ledger elsewhere cannot be reached',
    change: { TEST_LEDGER: 'wss://ledger.invalid' },
    sentence:
      /^The ledger at "wss:\/\/ledger\.invalid" cannot be reached \(.*\): check your internet connection/
  },
  {
    what: 'its account does not exist',
    change: { CUSTOMER_SECRET: 'sEdTM1uX8pu2do5XvTnutH6HsouMaM2' },
    sentence: /^The account .* does not exist on .*: fund it first$/
  },
  {
    what: 'the address of the shop lacks its scheme',
    change: { SHOP_URL: 'localhost:8000' },
    sentence:
      /^SHOP_URL="localhost:8000" is not a web address: write it like SHOP_URL=http:\/\/localhost:8000\/$/
  },
  {
    what: 'INTERVAL_MS is not a number',
    change: { INTERVAL_MS: '1s' },
    sentence: /^INTERVAL_MS="1s" is not a number of milliseconds from 1 to 2147483647: choose one/
  }
])('a client ends with one sentence and code 1 when $what', async ({ change, sentence }) => {
  const run = bed.run('streaming-client1', change)
  expect(await run.waitForEnd()).toBe(1)
  expect(run.output.trim()).toMatch(sentence)
})

aside.each([
  {
    what: 'advises http:// when SHOP_URL is https:// and the shop does not speak TLS',
    scheme: 'https:',
    sentence: 'The shop at <url> does not speak TLS: write SHOP_URL with http://'
  },
  {
    what: 'names SHOP_URL when another web server answers there',
    scheme: 'http:',
    sentence: '<url> is not a letter shop: its answer (200) has no Pay header. Check SHOP_URL'
  }
])('a client $what', async ({ scheme, sentence }) => {
  const server = await fakeShop((_req, res) => res.end('<h1>It works!</h1>'))
  const url = server.url.replace('http:', scheme)
  const run = bed.run('streaming-client1', { SHOP_URL: url })
  expect(await run.waitForEnd()).toBe(1)
  expect(run.output).toContain(sentence.replace('<url>', url))
  await server.close()
})

aside('a client names "npm install" when there is no plugins.ts', async () => {
  const bare = await copyProject()
  await rm(join(bare.folder, 'plugins.ts'))
  const run = bare.run('streaming-client1', {}, [], withTsx)
  expect(await run.waitForEnd()).toBe(1)
  expect(run.output.trim().split('\n').at(-1)).toBe(
    'There is no plugins.ts: make it with "npm install", or copy plugins.example.ts to plugins.ts'
  )
  expect(run.output).not.toMatch(/^\s+at /m)
  await bare.remove()
})
