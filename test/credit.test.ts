import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type SandboxLedger, startSandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { Customer, type Offer, parsePay } from './support/customer.ts'
import { type FaultyLedger, startFaultyLedger } from './support/fault-proxy.ts'
import { needsSandbox, openLedger, type TestLedger } from './support/ledger.ts'
import { LetterStream } from './support/letters.ts'
import { copyProject, type ProjectCopy, type Script, testPlugins } from './support/scripts.ts'

// Both shops give the letter when they accept a payment, and limit what is accepted and not final.

let project: ProjectCopy
beforeAll(async () => {
  project = await copyProject()
  for (const shop of ['shop-from-before', 'streaming-shop'])
    await project.edit(`src/${shop}.ts`, 'maxUnpaid = 10_000', 'maxUnpaid = 30')
  await project.edit('src/shop/finances.ts', 'maxAgeMs = 5_000', 'maxAgeMs = 100')
})
afterAll(() => project.remove())

/** A letter, or the status in its place. */
async function ask(url: string, payToken?: string): Promise<string | number> {
  const res = await fetch(url, payToken === undefined ? {} : { headers: { 'Pay-Token': payToken } })
  const body = await res.text()
  return res.status === 200 ? body.slice(-1) : res.status
}

async function offerOf(url: string): Promise<Offer> {
  return parsePay((await fetch(url)).headers.get('Pay'))
}

async function openShop(env: Record<string, string>, name = 'shop-from-before') {
  const shop = project.run(`src/${name}.ts`, { ...env, PORT: '0' })
  return { shop, url: `${(await shop.waitForOutput(/Visit (http:\S+)/))[1]}/` }
}

const acceptedBy = (shop: Script) => shop.output.match(/Accepted payment/g)?.length ?? 0
const isAccepted = (count: number) => (output: string) => output.match(/Accepted payment/g)?.length === count

describe('on a ledger that closes when it is told to', () => {
  let ledger: TestLedger
  let customer: Customer

  beforeAll(async () => {
    needsSandbox('others close ledgers as well')
    ledger = await openLedger({ closeIntervalMs: 0 })
    customer = await Customer.connect(ledger)
  })
  afterAll(async () => {
    await customer.disconnect()
    await ledger.close()
  })

  async function closeLedgerWith(transactions: number): Promise<void> {
    while ((await ledger.openTransactions()) < transactions) await delay(10)
    await ledger.closeLedger()
  }

  async function prepare(offer: Offer, amounts: string[], deviations = {}): Promise<void> {
    const prepared = amounts.map((amount, paymentId) =>
      customer.prepare(offer, amount, { paymentId, ...deviations })
    )
    await closeLedgerWith(amounts.length)
    await Promise.all(prepared)
  }

  test('shop-from-before sells letters for accepted payments before the ledger has their fulfillments', async () => {
    const { shop, url } = await openShop(ledger.env)
    const offer = await offerOf(url)
    await prepare(offer, ['20'])
    await shop.waitUntil(isAccepted(1))
    const answers = await Promise.all([1, 2, 3, 4].map(() => ask(url, offer.sharedSecret)))
    expect(answers.filter(answer => answer === 402)).toHaveLength(2)
    expect(shop.output).not.toContain('Payment complete')
    await closeLedgerWith(1)
    await shop.waitForOutput(/Payment complete/)
    await shop.kill()
  })

  test.each(['shop-from-before', 'streaming-shop'])(
    '%s accepts no more than maxUnpaid, and the payments beyond it in their order',
    async name => {
      const { shop, url } = await openShop(ledger.env, name)
      const stream = name === 'streaming-shop' ? await LetterStream.open(url) : undefined
      const offer = stream ? parsePay(stream.pay) : await offerOf(url)
      await prepare(offer, ['10', '10', '10', '10', '50', '10', '10', '10'])
      // One larger than the limit waits until nothing is unpaid.
      for (const [accepted, isPaid] of [
        [3, 3],
        [4, 1],
        [5, 1],
        [8, 3]
      ] as const) {
        await shop.waitUntil(isAccepted(accepted))
        await closeLedgerWith(isPaid)
      }
      await shop.waitUntil(output => output.match(/Payment complete/g)?.length === 8)
      stream?.leave()
      await shop.kill()
    }
  )
})

describe('on ledgers that close by themselves', () => {
  let ledger: TestLedger
  let customer: Customer
  beforeAll(async () => {
    ledger = await openLedger({ delayMs: 250, delaySeed: 7 })
    customer = await Customer.connect(ledger)
  })
  afterAll(async () => {
    await customer.disconnect()
    await ledger.close()
  })

  test.each(['the Pay-Token', 'the fulfillment'])(
    'shop-from-before has a letter for each payment when its client asks with %s',
    async key => {
      const { shop, url } = await openShop(ledger.env)
      const offer = await offerOf(url)
      const answers: Promise<string | number>[] = []
      const payments = Array.from({ length: 12 }, async (_, paymentId) => {
        const fulfillment = await customer.pay(offer, '10', { paymentId })
        answers.push(key === 'the Pay-Token' ? ask(url, offer.sharedSecret) : ask(url + fulfillment))
      })
      await Promise.all(payments)
      expect((await Promise.all(answers)).join('')).toMatch(/^[A-Z]{12}$/)
      await shop.kill()
    }
  )

  test('shop-from-before keeps the letter of a client that has disconnected while the shop slept', async () => {
    const { shop, url } = await openShop(ledger.env)
    const offer = await offerOf(url)
    await customer.pay(offer)
    shop.process.kill('SIGSTOP')
    const init = { headers: { 'Pay-Token': offer.sharedSecret } }
    const impatient = Array.from({ length: 5 }, () =>
      fetch(url, { ...init, signal: AbortSignal.timeout(300) })
    )
    await Promise.allSettled(impatient)
    const patient = fetch(url, init)
    shop.process.kill('SIGCONT')
    const { status, headers } = await patient
    expect(status).toBe(200)
    // A connection that is kept could be closed at the moment when it is used again.
    expect(headers.get('Connection')).toBe('close')
    expect(headers.get('Cache-Control')).toBe('no-store')
    await shop.kill()
  })
})

describe('out of touch with the ledger', () => {
  let ledger: FaultyLedger | undefined
  let customer: Customer | undefined
  afterEach(async () => {
    await customer?.disconnect()
    await ledger?.close()
  })

  test('shop-from-before keeps an accepted payment, fulfills it when the ledger is back, and counts it once', async () => {
    needsSandbox('its proxy is before one')
    ledger = await startFaultyLedger({ closeIntervalMs: 200 })
    customer = await Customer.connect({ url: ledger.sandbox.url })
    const { shop, url } = await openShop({ TEST_LEDGER: ledger.url })
    const offer = await offerOf(url)
    const submitted = ledger.proxy.seen(/EscrowFinish/)
    const paid = customer.pay(offer)
    await submitted
    ledger.proxy.accepts = false
    ledger.proxy.cut()
    await paid
    expect(await ask(url, offer.sharedSecret)).toMatch(/^[A-Z]$/)
    expect(await ask(url, offer.sharedSecret)).toBe(402)
    ledger.proxy.accepts = true
    await shop.waitForOutput(/Payment complete/)
    expect(await shop.interrupt()).toBe(0)
    expect(shop.output).toContain('1 letter sold, 10 drops earned, 350 drops of fees\n')
  })
})

/** A shop whose first fulfillment fails, and is made on SIGUSR2. */
function copyWithFailure(error: { name: string; code?: string }): Promise<ProjectCopy> {
  return copyProject(`${testPlugins}
const { Shop } = xrp
xrp.Shop = () => {
  const plugin = Shop()
  const fulfillCondition = plugin.fulfillCondition.bind(plugin)
  plugin.fulfillCondition = async (...terms) => {
    plugin.fulfillCondition = fulfillCondition
    process.once('SIGUSR2', () => fulfillCondition(...terms))
    throw Object.assign(new Error('ledgers are missing'), ${JSON.stringify(error)})
  }
  return plugin
}
`)
}

test('shop-from-before collects a payment whose first fulfillment was lost in a gap of the history', async () => {
  const withGap = await copyWithFailure({ name: 'UnreachableError', code: 'HISTORY_GAP' })
  const ledger = await openLedger()
  const customer = await Customer.connect(ledger)
  try {
    const shop = withGap.run('src/shop-from-before.ts', { ...ledger.env, PORT: '0' })
    const [, url = ''] = await shop.waitForOutput(/Visit (http:\S+)/)
    await customer.pay(await offerOf(url))
    await shop.waitForOutput(/Payment complete/)
    expect(shop.output).not.toContain('Error fulfilling')
  } finally {
    await customer.disconnect()
    await withGap.remove()
    await ledger.close()
  }
})

test.each([
  { outcome: 'rolled back', error: { name: 'AlreadyRolledBackError' }, before: /^402$/, after: 2 },
  {
    outcome: 'unknown',
    error: { name: 'UnreachableError', code: 'LEDGER_RESET' },
    before: /^[A-Z]$/,
    after: 1
  }
])(
  'shop-from-before has one letter for a payment that it gave up as $outcome, when the money comes after all',
  async ({ error, before, after }) => {
    const givesUp = await copyWithFailure(error)
    const ledger = await openLedger()
    const customer = await Customer.connect(ledger)
    try {
      const shop = givesUp.run('src/shop-from-before.ts', { ...ledger.env, PORT: '0' })
      const [, url = ''] = await shop.waitForOutput(/Visit (http:\S+)/)
      const offer = await offerOf(url)
      const paid = customer.pay(offer)
      await shop.waitForOutput(/Error fulfilling the transfer/)
      const answers = [await ask(url, offer.sharedSecret)]
      expect(String(answers[0])).toMatch(before)
      shop.process.kill('SIGUSR2')
      await paid
      // What comes later on the ledger is told later.
      const { executionCondition = '' } = await customer.prepare(offer, '10', { paymentId: 1 })
      await shop.waitForOutput(new RegExp(`Payment complete: ${executionCondition.slice(0, 8)}`))
      for (let n = 0; n < 3; n++) answers.push(await ask(url, offer.sharedSecret))
      expect(answers.slice(1).filter(answer => answer !== 402)).toHaveLength(after)
      expect(await shop.interrupt()).toBe(0)
      expect(shop.output).toContain('2 letters sold, 20 drops earned, 700 drops of fees\n')
      expect(shop.output).not.toContain('Another shop')
    } finally {
      await customer.disconnect()
      await givesUp.remove()
      await ledger.close()
    }
  }
)

describe('on a network whose fees rise', () => {
  let ledger: SandboxLedger
  let customer: Customer
  beforeEach(async () => {
    needsSandbox('it sets the fees')
    ledger = await startSandboxLedger({ port: 0, closeIntervalMs: 0 })
    customer = await Customer.connect(ledger)
  })
  afterEach(async () => {
    await customer?.disconnect()
    await ledger?.close()
  })

  /** A fulfillment costs 35 times as much as a reference transaction, at most `maxFeeDrops`. */
  const tooHigh = 1_000

  async function prepare(offer: Offer, openLedgerFee: number): Promise<void> {
    const isSubmitted = once(ledger.ledger, 'proposed')
    const prepared = customer.prepare(offer, '10', { expiresInMs: 200_000 })
    await isSubmitted
    ledger.setOpenLedgerFee(openLedgerFee)
    ledger.ledger.close()
    await prepared
  }

  test.each(['shop-from-before', 'streaming-shop'])(
    '%s pauses while fees are too high, and accepts what has waited when they fall',
    async name => {
      const { shop, url } = await openShop({ TEST_LEDGER: ledger.url }, name)
      const stream = name === 'streaming-shop' ? await LetterStream.open(url) : undefined
      const offer = stream ? parsePay(stream.pay) : await offerOf(url)
      ledger.setOpenLedgerFee(tooHigh)
      await ledger.closeLedger()
      let refused = await fetch(url)
      for (; refused.status !== 503; refused = await fetch(url)) {
        await refused.body?.cancel()
        await delay(50)
      }
      expect(refused.headers.get('Retry-After')).toBe('10')
      expect(await refused.text()).toBe(
        "The network's fees are too high just now: please come back in 10 s\n"
      )
      // The plugins ask for the fee once a ledger: the customer hears of this one, and the shop does not.
      ledger.setOpenLedgerFee(10)
      await prepare(offer, tooHigh)
      expect((await fetch(url)).status).toBe(503)
      expect(acceptedBy(shop)).toBe(0)

      ledger.setOpenLedgerFee(10)
      const pump = setInterval(() => ledger.closeLedger(), 200)
      await shop.waitForOutput(/Payment complete/)
      const served = await fetch(url)
      expect(served.status).toBe(name === 'streaming-shop' ? 200 : 402)
      await served.body?.cancel()
      clearInterval(pump)
      stream?.leave()
      await shop.kill()
    }
  )

  test('shop-from-before revokes the unspent credit of a payment that has expired', async () => {
    const own = await copyProject()
    await own.edit('src/shop/finances.ts', 'maxAgeMs = 5_000', 'maxAgeMs = 600_000')
    const shop = own.run('src/shop-from-before.ts', { TEST_LEDGER: ledger.url, PORT: '0' })
    const url = `${(await shop.waitForOutput(/Visit (http:\S+)/))[1]}/`
    const [spent, unspent] = [await offerOf(url), await offerOf(url)]
    await prepare(spent, 10)
    await prepare(unspent, tooHigh)
    await shop.waitUntil(isAccepted(2))
    expect(await ask(url, spent.sharedSecret)).toMatch(/^[A-Z]$/)
    // Each ledger is a second later, at least.
    for (let n = 0; n < 250; n++) ledger.ledger.close()
    await shop.waitUntil(output => output.match(/Error fulfilling|Payment complete/g)?.length === 2)
    expect(await ask(url, unspent.sharedSecret)).toBe(402)
    expect(await ask(url, spent.sharedSecret)).toBe(402)
    await own.remove()
  })
})
