import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accounts } from '../src/xrpl-sandbox/index.ts'
import { Customer } from './support/customer.ts'
import { openLedger, type TestLedger } from './support/ledger.ts'
import { fakeShop } from './support/letters.ts'
import { pairs } from './support/pairs.ts'
import { freePort, type Script, type Stage, setStage, throughTsx } from './support/scripts.ts'

const secret = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
const shopAddress = `test.crypto.xrp.${accounts.shop.address}.AAAAAAAAAAA`
const goodPay = `interledger-psk 10 ${shopAddress} ${secret}`

let ledger: TestLedger
let stage: Stage
// Where who ends has all the time that a busy machine takes for what is under way.
let patient: Stage
// Where a client trusts its shop for few payments.
let hasty: Stage
const env = () => ({ ...ledger.env, INTERVAL_MS: '200', PORT: '0' })

beforeAll(async () => {
  ledger = await openLedger()
  stage = await setStage()
  patient = await setStage()
  hasty = await setStage()
  await hasty.edit('src/client/payments.ts', 'maxSecondsAtRisk = 30', 'maxSecondsAtRisk = 2')
  await patient.edit('src/client/payments.ts', 'minSettleMs = 5_000', 'minSettleMs = 30_000')
})

afterAll(async () => {
  await stage.strike()
  await patient.strike()
  await hasty.strike()
  await ledger.close()
})

async function openShop(shop: string): Promise<{ script: Script; url: string }> {
  const script = stage.run(shop, env())
  return { script, url: `${(await script.says(/Visit (http:\S+)/))[1]}/` }
}

/** Reads the lines that a client ends with, and sees that they add up. */
function summaryOf(client: Script) {
  const shape =
    /^(\d+) payments?, (\d+) letters?: (.+)\n(\d+) drops spent \([\d.]+ XRP\): (\d+) for letters, (\d+) in fees$/m
  const [, payments, letters, fates = '', spent, onLetters, fees] = shape.exec(client.output) ?? []
  if (!payments) throw new Error(`No summary in:\n${client.output}`)
  const fate = (name: string) => Number(new RegExp(`(\\d+) ${name}`).exec(fates)?.[1] ?? 0)
  const became = {
    fulfilled: fate('fulfilled'),
    returned: fate('returned'),
    inEscrow: fate('in escrow'),
    undecided: fate('unknown')
  }
  expect(Object.values(became).reduce((sum, count) => sum + count)).toBe(Number(payments))
  expect(Number(spent)).toBe(Number(onLetters) + Number(fees))
  return {
    payments: Number(payments),
    letters: Number(letters),
    ...became,
    onLetters: Number(onLetters),
    fees: Number(fees)
  }
}

/** What a run that never began does not end with. */
const anySummary = /^\d+ payments?,/m

describe.each(pairs)('$client with $shop', ({ client, shop, lettersIn }) => {
  const hasLetters = (count: number) => (output: string) => lettersIn(output).length >= count

  test('gets ten letters, one for each payment, and every drop is accounted for', async () => {
    const purse = await Customer.connect(ledger)
    const till = await Customer.connect(ledger, ledger.shop)
    const [purseBefore, tillBefore] = [await purse.plugin.getBalance(), await till.plugin.getBalance()]
    const { script, url } = await openShop(shop)
    const run = patient.run(client, { ...env(), SHOP_URL: url })
    await run.prints(hasLetters(10))
    expect(await run.interrupt()).toBe(0)
    expect(await script.interrupt()).toBe(0)

    const { payments, letters, fulfilled, inEscrow, undecided, onLetters, fees } = summaryOf(run)
    expect(letters).toBeGreaterThanOrEqual(10)
    expect(lettersIn(run.output)).toHaveLength(letters)
    expect(payments - letters).toBeLessThanOrEqual(1)
    // Each payment: 10 drops and a fee of 10; each taken: 10 drops less a fee of 350.
    expect(onLetters).toBe(10 * fulfilled)
    expect(fees).toBe(10 * (fulfilled + inEscrow))
    const made = BigInt(purseBefore) - BigInt(await purse.plugin.getBalance())
    const taken = BigInt(await till.plugin.getBalance()) - BigInt(tillBefore)
    if (undecided === 0) expect(made).toBe(BigInt(onLetters + fees + 10 * inEscrow))
    if (inEscrow + undecided === 0) expect(taken).toBe(-340n * BigInt(fulfilled))
    await purse.disconnect()
    await till.disconnect()
  })

  test('may be started first: it waits for its shop and says so', async () => {
    const port = await freePort()
    const run = stage.run(client, { ...env(), SHOP_URL: `http://localhost:${port}/` })
    await run.says(/Waiting for the shop at \S+ - start it in another terminal\n/)
    stage.run(shop, { ...env(), PORT: String(port) })
    await run.prints(hasLetters(1))
    expect(run.output.match(/Waiting for the shop/g)).toHaveLength(1)
    expect(await run.interrupt()).toBe(0)
  })

  test('takes its leave: pays no more, and gets the letters that are under way', async () => {
    const { url } = await openShop(shop)
    const run = patient.run(client, { ...env(), SHOP_URL: url, INTERVAL_MS: '50' })
    await run.prints(hasLetters(3))
    expect(await run.interrupt()).toBe(0)
    const { payments, letters, fulfilled } = summaryOf(run)
    expect([letters, fulfilled]).toEqual([payments, payments])
    expect(lettersIn(run.output)).toHaveLength(letters)
    expect(run.output).toMatch(/ in fees\n$/)
  })

  test('gets every letter where the ledger takes its time to tell each', async () => {
    const slow = await openLedger({ closeIntervalMs: 300, delayMs: 200, delaySeed: 2017 })
    const seller = stage.run(shop, { ...slow.env, PORT: '0' })
    const [, url] = await seller.says(/Listening on (http:\S+)/)
    const run = patient.run(client, { ...slow.env, SHOP_URL: `${url}/`, INTERVAL_MS: '50' })
    await run.prints(hasLetters(30))
    expect(await run.interrupt()).toBe(0)
    const { payments, letters } = summaryOf(run)
    expect(letters).toBe(payments)
    expect(lettersIn(run.output)).toHaveLength(letters)
    await slow.close()
  })

  test('accounts for its own payments where another pays from the same account', async () => {
    const { url } = await openShop(shop)
    const runs = [1, 2].map(() => stage.run(client, { ...env(), SHOP_URL: url }))
    for (const run of runs) await run.prints(hasLetters(3))
    for (const run of runs) {
      expect(await run.interrupt()).toBe(0)
      const { letters, fulfilled, inEscrow, onLetters, fees } = summaryOf(run)
      expect([onLetters, fees]).toEqual([fulfilled * 10, (fulfilled + inEscrow) * 10])
      expect(lettersIn(run.output)).toHaveLength(letters)
    }
  })

  test('stops and says why when the shop has gone, at the latest when that is back without its secrets', async () => {
    const { script, url } = await openShop(shop)
    const run = hasty.run(client, { ...env(), SHOP_URL: url })
    await run.prints(hasLetters(1))
    await script.interrupt()
    if (client.includes('client1')) {
      await run.says(/Waiting for the shop at \S+ - start it in another terminal\n/)
      const payments = run.output.match(/Calculating/g)?.length
      const back = stage.run(shop, { ...env(), PORT: new URL(url).port })
      await run.says(/The shop was restarted and does not know this client: start the client again\n/)
      expect(run.output.match(/Calculating/g)).toHaveLength(payments ?? 0)
      await back.interrupt()
    } else await run.says(/The shop ended the stream\n/)
    expect(await run.ends()).toBe(1)
    expect(summaryOf(run).letters).toBeGreaterThanOrEqual(1)
    expect(run.output).not.toMatch(/^\s+at /m)
  })

  test('ends on SIGTERM while it waits for its shop', async () => {
    const url = `http://localhost:${await freePort()}/`
    const run = stage.run(client, { ...env(), SHOP_URL: url })
    await run.says(/Waiting/)
    expect(await run.interrupt('SIGTERM')).toBe(0)
    expect(run.output).not.toMatch(anySummary)
  })

  test('says which client belongs to the other shop', async () => {
    const other = pairs.find(pair => pair.shop !== shop) as (typeof pairs)[number]
    const { url } = await openShop(other.shop)
    const run = stage.run(client, { ...env(), SHOP_URL: url })
    expect(await run.ends()).toBe(1)
    const name = other.client.replace(/src\/(.*)\.ts/, '$1')
    expect(run.output).toContain(`its client is ${name} (npm run ${name})`)
  })
})

describe('a client of a shop that is none', () => {
  test.each([
    {
      what: 'asks more than the maximum',
      pay: `interledger-psk 101 ${shopAddress} ${secret}`,
      says: /101 drops.*maxPrice/
    },
    { what: 'sends no Pay header', pay: undefined, says: /no Pay header/ },
    { what: 'names another scheme', pay: goodPay.replace('psk', 'hkdf'), says: /Pay header is not/ },
    { what: 'names no amount', pay: goodPay.replace(' 10 ', ' ten '), says: /Pay header is not/ },
    { what: 'names a negative amount', pay: goodPay.replace(' 10 ', ' -10 '), says: /Pay header is not/ },
    { what: 'names a fraction', pay: goodPay.replace(' 10 ', ' 1.5 '), says: /Pay header is not/ },
    { what: 'names no address', pay: `interledger-psk 10 ${secret}`, says: /Pay header is not/ },
    {
      what: 'names an address with a hole',
      pay: goodPay.replace('.AAA', '..AAA'),
      says: /Pay header is not/
    },
    {
      what: 'is on another ledger',
      pay: goodPay.replace('test.', 'g.'),
      says: /not on this client's ledger/
    },
    { what: 'cuts the secret short', pay: goodPay.slice(0, -1), says: /Pay header is not/ },
    { what: 'says too much', pay: `${goodPay} more`, says: /Pay header is not/ }
  ])('pays nothing and says so if it $what', async ({ pay, says }) => {
    const shop = await fakeShop((_req, res) =>
      res.writeHead(200, pay === undefined ? {} : { Pay: pay }).end()
    )
    const run = stage.run('src/streaming-client2.ts', { ...env(), SHOP_URL: shop.url })
    expect(await run.ends()).toBe(1)
    expect(run.output).toMatch(says)
    expect(run.output).not.toMatch(anySummary)
    await shop.close()
  })
})

test('a client says so when money of an earlier run comes back', async () => {
  const hand = await Customer.connect(ledger)
  const { timeMs } = await ledger.newest()
  const address = `test.crypto.xrp.${ledger.shop.address}.AAAAAAAAAAA`
  const offer = { amount: '10', address, sharedSecret: secret }
  const expiresInMs = timeMs - Date.now() + 15_000
  await Promise.all([0, 1, 2].map(paymentId => hand.prepare(offer, '10', { paymentId, expiresInMs })))
  await hand.disconnect()
  // It pays nobody: there is no shop.
  const run = stage.run('src/streaming-client2.ts', {
    ...env(),
    SHOP_URL: `http://localhost:${await freePort()}/`
  })
  await run.says(/\nRecovered 3 expired payments from an earlier run: 30 drops\n/)
  expect(await run.interrupt()).toBe(0)
  expect(run.output).not.toMatch(anySummary)
})

test.each<{ what: string; change: Record<string, string>; sentence: RegExp }>([
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
    what: 'the time between payments is no number',
    change: { INTERVAL_MS: '1s' },
    sentence: /^INTERVAL_MS="1s" is not a number of milliseconds from 1 to 2147483647: choose one/
  }
])('a client ends with one sentence and code 1 when $what', async ({ change, sentence }) => {
  const run = stage.run('src/streaming-client1.ts', { ...env(), ...change })
  expect(await run.ends()).toBe(1)
  expect(run.output.trim()).toMatch(sentence)
})

test('a client says so when SHOP_URL is https and the shop speaks no TLS', async () => {
  const server = await fakeShop((_req, res) => res.end())
  const shopUrl = server.url.replace('http:', 'https:')
  const run = stage.run('src/streaming-client2.ts', { ...env(), SHOP_URL: shopUrl })
  expect(await run.ends()).toBe(1)
  expect(run.output.trim()).toBe(`The shop at ${shopUrl} does not speak TLS: write SHOP_URL with http://`)
  await server.close()
})

test('a client takes no other web server for a shop', async () => {
  const server = await fakeShop((_req, res) => res.end('<h1>It works!</h1>'))
  const run = stage.run('src/streaming-client1.ts', { ...env(), SHOP_URL: server.url })
  expect(await run.ends()).toBe(1)
  expect(run.output.trim()).toBe(
    `${server.url} is not a letter shop: its answer (200) has no Pay header. Check SHOP_URL`
  )
  await server.close()
})

test.each(['src/streaming-client1.ts', 'src/streaming-shop.ts'])(
  '%s says what to do when there is no plugins.ts',
  async script => {
    const bare = await setStage()
    await rm(join(bare.folder, 'plugins.ts'))
    const run = bare.run(script, env(), [], throughTsx)
    expect(await run.ends()).toBe(1)
    expect(run.output.trim().split('\n').at(-1)).toBe(
      'There is no plugins.ts: make it with "npm install", or copy plugins.example.ts to plugins.ts'
    )
    expect(run.output).not.toMatch(/^\s+at /m)
    await bare.strike()
  }
)
