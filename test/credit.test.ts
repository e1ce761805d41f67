import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type SandboxLedger, startSandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { askWithToken, Customer, type Offer, offerOf, parsePay } from './support/customer.ts'
import { DistortingServer } from './support/distorting-server.ts'
import { LetterStream } from './support/http.ts'
import { needsSandbox, openLedger, type TestLedger } from './support/ledger.ts'
import { copyProject, type ProjectCopy, type Script, testPlugins } from './support/scripts.ts'

// Both shops give the letter when they accept a payment, and limit what is accepted and not final. The groups run
// beside each other.

let project: ProjectCopy
beforeAll(async () => {
  project = await copyProject()
})
afterAll(() => project.remove())

const openShop = (env: Record<string, string>, name = 'shop-from-before') =>
  project.openShop(name, { ...env, maxUnpaid: '30', maxAgeMs: '100' })

const isAccepted = (count: number) => (output: string) => output.match(/Accepted payment/g)?.length === count

describe.concurrent('on a ledger that the test closes', () => {
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

  test.sequential('shop-from-before sells letters for accepted payments before the ledger has their fulfillments', async () => {
    const { shop, url } = await openShop(ledger.env)
    const offer = await offerOf(url)
    await prepare(offer, ['20'])
    await shop.waitUntil(isAccepted(1))
    const answers = await Promise.all([1, 2, 3, 4].map(() => askWithToken(url, offer)))
    expect(answers.filter(answer => answer === 402)).toHaveLength(2)
    expect(shop.output).not.toContain('Payment complete')
    await closeLedgerWith(1)
    await shop.waitForOutput(/Payment complete/)
    await shop.kill()
  })

  test.sequential.each(['shop-from-before', 'streaming-shop'])(
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

describe.concurrent('on ledgers that close by themselves', () => {
  let ledger: TestLedger
  let customer: Customer
  let shop: Script
  let url: string
  beforeAll(async () => {
    ledger = await openLedger({ delayMs: 250, delaySeed: 7 })
    customer = await Customer.connect(ledger)
    ;({ shop, url } = await openShop(ledger.env))
  })
  afterAll(async () => {
    await customer.disconnect()
    await ledger.close()
  })

  test.each(['the Pay-Token', 'the fulfillment'])(
    'shop-from-before has a letter for each payment when its client asks with %s',
    async key => {
      const offer = await offerOf(url)
      const answers = Array.from({ length: 12 }, async (_, paymentId) => {
        const fulfillment = await customer.pay(offer, '10', { paymentId })
        return key === 'the Pay-Token' ? askWithToken(url, offer) : (await fetch(url + fulfillment)).text()
      })
      expect((await Promise.all(answers)).join('')).toMatch(/^(Your letter: [A-Z]){12}$/)
    }
  )

  test('shop-from-before collects a payment whose first fulfillment was lost in a gap of the history', async () => {
    const withGap = await copyWithFailure({ name: 'UnreachableError', code: 'HISTORY_GAP' })
    const { shop, url } = await withGap.openShop('shop-from-before', ledger.env)
    await customer.pay(await offerOf(url))
    await shop.waitForOutput(/Payment complete/)
    expect(shop.output).not.toContain('Error fulfilling')
    await withGap.remove()
  })

  test.sequential('shop-from-before keeps the letter of a client that has disconnected while the shop slept', async () => {
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
  })
})

test.concurrent.each([
  { outcome: 'rolled back', error: { name: 'AlreadyRolledBackError' }, before: /^402$/, after: 2 },
  {
    outcome: 'unknown',
    error: { name: 'UnreachableError', code: 'LEDGER_RESET' },
    before: /^Your letter: [A-Z]$/,
    after: 1
  }
])(
  'shop-from-before has one letter for a payment that it gave up as $outcome, when the money comes after all',
  async ({ error, before, after }) => {
    const givesUp = await copyWithFailure(error)
    const ledger = await openLedger()
    const customer = await Customer.connect(ledger)
    try {
      const { shop, url } = await givesUp.openShop('shop-from-before', ledger.env)
      const offer = await offerOf(url)
      const paid = customer.pay(offer)
      await shop.waitForOutput(/Error fulfilling the transfer/)
      const answers = [await askWithToken(url, offer)]
      expect(String(answers[0])).toMatch(before)
      shop.process.kill('SIGUSR2')
      await paid
      // What comes later on the ledger is told later.
      const { executionCondition = '' } = await customer.prepare(offer, '10', { paymentId: 1 })
      await shop.waitForOutput(new RegExp(`Payment complete: ${executionCondition.slice(0, 8)}`))
      for (let n = 0; n < 3; n++) answers.push(await askWithToken(url, offer))
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

test.concurrent('shop-from-before keeps an accepted payment, fulfills it when the ledger is back, and counts it once', async () => {
  const ledger = await openLedger()
  const server = await DistortingServer.start(ledger)
  const customer = await Customer.connect(ledger)
  const { shop, url } = await openShop({ ...ledger.env, TEST_LEDGER: server.url })
  const offer = await offerOf(url)
  const submitted = new Promise<void>(resolve => {
    const answer = (result: object) => void (/EscrowFinish/.test(JSON.stringify(result)) && resolve())
    server.distortions = [{ answer }]
  })
  const paid = customer.pay(offer)
  await submitted
  server.isOpen = false
  server.cut()
  await paid
  expect(await askWithToken(url, offer)).toMatch(/^Your letter: [A-Z]$/)
  expect(await askWithToken(url, offer)).toBe(402)
  server.isOpen = true
  await shop.waitForOutput(/Payment complete/)
  expect(await shop.interrupt()).toBe(0)
  expect(shop.output).toContain('1 letter sold, 10 drops earned, 350 drops of fees\n')
  await customer.disconnect()
  await server.close()
  await ledger.close()
})

describe.concurrent('on a network whose fees rise', () => {
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
    // The shop may submit a fulfillment at the same moment.
    const isSubmitted = new Promise<void>(resolve => {
      ledger.ledger.on('proposed', ({ fields }) => fields.TransactionType === 'EscrowCreate' && resolve())
    })
    const prepared = customer.prepare(offer, '10', { expiresInMs: 200_000 })
    await isSubmitted
    ledger.setOpenLedgerFee(openLedgerFee)
    ledger.ledger.close()
    await prepared
  }

  test.sequential.each(['shop-from-before', 'streaming-shop'])(
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
      expect(shop.output).not.toContain('Accepted payment')

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

  test.sequential('shop-from-before revokes the unspent credit of a payment that has expired', async () => {
    const env = { TEST_LEDGER: ledger.url, maxAgeMs: '600000' }
    const { shop, url } = await project.openShop('shop-from-before', env)
    const [spent, unspent] = [await offerOf(url), await offerOf(url)]
    await prepare(spent, 10)
    await prepare(unspent, tooHigh)
    await shop.waitUntil(isAccepted(2))
    expect(await askWithToken(url, spent)).toMatch(/^Your letter: [A-Z]$/)
    // Each ledger is a second later, at least.
    for (let n = 0; n < 250; n++) ledger.ledger.close()
    await shop.waitUntil(output => output.match(/Error fulfilling|Payment complete/g)?.length === 2)
    expect(await askWithToken(url, unspent)).toBe(402)
    expect(await askWithToken(url, spent)).toBe(402)
    await shop.kill()
  })
})
