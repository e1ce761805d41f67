import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type ClientAccount, ClientAccounts, type Payment } from '../src/shop/client-accounts.ts'
import { Customer, type Offer, parsePay } from './support/customer.ts'
import { type FaultyLedger, startFaultyLedger } from './support/fault-proxy.ts'
import { needsSandbox, openLedger, type TestLedger } from './support/ledger.ts'
import { type Script, type Stage, setStage } from './support/scripts.ts'

let stage: Stage
beforeAll(async () => {
  stage = await setStage()
})
afterAll(() => stage.strike())

/** A letter, or the status in its place. */
async function ask(url: string, { payToken }: { payToken?: string } = {}): Promise<string | number> {
  const res = await fetch(url, payToken === undefined ? {} : { headers: { 'Pay-Token': payToken } })
  const body = await res.text()
  return res.status === 200 ? body.slice(-1) : res.status
}

async function offerOf(url: string): Promise<Offer> {
  return parsePay((await fetch(url)).headers.get('Pay'))
}

describe('shop-from-before, on a ledger that tells each of its clients at another time', () => {
  let ledger: TestLedger
  let customer: Customer
  let shop: Script
  let url: string

  beforeAll(async () => {
    ledger = await openLedger({ delayMs: 250, delaySeed: 7 })
    customer = await Customer.connect(ledger)
    shop = stage.run('src/shop-from-before.ts', { ...ledger.env, PORT: '0' })
    url = `${(await shop.says(/Visit (http:\S+)/))[1]}/`
  })
  afterAll(async () => {
    await customer.disconnect()
    await ledger.close()
  })

  test.each(['the shared secret', 'the fulfillment'])(
    'gives a letter for each payment whose client asks at once, with %s',
    async key => {
      const offer = await offerOf(url)
      const answers: Promise<string | number>[] = []
      customer.plugin.on('outgoing_fulfill', (_transfer, fulfillment) => {
        const isToken = key === 'the shared secret'
        answers.push(isToken ? ask(url, { payToken: offer.sharedSecret }) : ask(url + fulfillment))
      })
      for (let paymentId = 0; paymentId < 12; paymentId++) customer.prepare(offer, '10', { paymentId })
      while (answers.length < 12) await once(customer.plugin, 'outgoing_fulfill')
      expect((await Promise.all(answers)).join('')).toMatch(/^[A-Z]{12}$/)
      customer.plugin.removeAllListeners('outgoing_fulfill')
    }
  )
})

describe('shop-from-before, on a ledger that closes when it is told to', () => {
  let ledger: TestLedger
  let customer: Customer
  let shop: Script
  let url: string

  beforeAll(async () => {
    ledger = await openLedger({ closeIntervalMs: 0 })
    customer = await Customer.connect(ledger)
    shop = stage.run('src/shop-from-before.ts', { ...ledger.env, PORT: '0' })
    url = `${(await shop.says(/Visit (http:\S+)/))[1]}/`
  })
  afterAll(async () => {
    await customer.disconnect()
    await ledger.close()
  })

  /** Has a payment accepted by the shop, and its fulfillment on its way. */
  async function pay(offer: Offer, amount?: string, paymentId = 0): Promise<void> {
    const prepared = customer.prepare(offer, amount, { paymentId })
    while ((await ledger.openTransactions()) === 0) await new Promise(setImmediate)
    await ledger.closeLedger()
    const { executionCondition } = await prepared
    await shop.says(new RegExp(`Accepted payment with condition ${executionCondition}`))
    while ((await ledger.openTransactions()) === 0) await new Promise(setImmediate)
  }

  test('never gives one credit to two requests', async () => {
    const offer = await offerOf(url)
    await pay(offer, '20')
    const answers = Promise.all([1, 2, 3, 4].map(() => ask(url, { payToken: offer.sharedSecret })))
    await ledger.closeLedger()
    expect((await answers).filter(answer => answer === 402)).toHaveLength(2)
  })

  test('has fifty requests wait only as far as there is a payment for them', async () => {
    const offer = await offerOf(url)
    await pay(offer)
    const answers: (string | number)[] = []
    const asked = Array.from({ length: 50 }, async () => {
      answers.push(await ask(url, { payToken: offer.sharedSecret }))
    })
    while (answers.length < 39) await new Promise(setImmediate)
    await ledger.closeLedger()
    await Promise.all(asked)
    expect(answers.slice(0, 39)).toEqual(Array(39).fill(402))
    expect(answers.filter(answer => answer !== 402)).toHaveLength(1)
  })

  test('gives the credit of a client who hangs up to the next one', async () => {
    const offer = await offerOf(url)
    await pay(offer)
    const hangUp = new AbortController()
    const init = { headers: { 'Pay-Token': offer.sharedSecret }, signal: hangUp.signal }
    const gone = expect(fetch(url, init)).rejects.toThrow(/abort/)
    const other = ask(url, { payToken: offer.sharedSecret })
    hangUp.abort()
    await gone
    await ledger.closeLedger()
    expect(await other).toMatch(/[A-Z]/)
  })
})

test('a client who pays again keeps the credit, however late the end of its last request is noticed', async () => {
  const accounts = new ClientAccounts(10)
  const { clientId } = accounts.newClient()
  const account = () => accounts.get(clientId) as ClientAccount
  const res = new ServerResponse(new IncomingMessage(new Socket()))
  const first = accounts.accept(account(), 10, 'first')
  const answer = accounts.ask(account(), res)
  accounts.credit(first)
  expect(await answer).toBe('paid')
  const second = accounts.accept(account(), 10, 'second')
  res.emit('close')
  accounts.credit(second)
  expect(account().balance).toBe(10)
})

test('a request has its half second for a payment nobody has heard of, though another one fails meanwhile', async () => {
  const accounts = new ClientAccounts(10)
  const { clientId } = accounts.newClient()
  const account = () => accounts.get(clientId) as ClientAccount
  const ask = (payment?: Payment) =>
    accounts.ask(account(), new ServerResponse(new IncomingMessage(new Socket())), payment)
  const failing = accounts.accept(account(), 10, 'first')
  const answers = [ask(), ask(failing), ask()]
  accounts.fail(failing)
  expect(await answers[1]).toBe('unpaid')
  accounts.credit(accounts.accept(account(), 10, 'second'))
  expect(await Promise.all(answers)).toEqual(['paid', 'unpaid', 'unpaid'])
})

test('shop-from-before wastes no letter on a client who has lost patience while the shop slept', async () => {
  const ledger = await openLedger()
  const customer = await Customer.connect(ledger)
  const shop = stage.run('src/shop-from-before.ts', { ...ledger.env, PORT: '0' })
  const url = `${(await shop.says(/Visit (http:\S+)/))[1]}/`
  const offer = await offerOf(url)
  await customer.pay(offer)
  await shop.says(/Payment complete/)
  shop.process.kill('SIGSTOP')
  const init = { headers: { 'Pay-Token': offer.sharedSecret } }
  const impatient = Array.from({ length: 5 }, () => fetch(url, { ...init, signal: AbortSignal.timeout(300) }))
  await Promise.allSettled(impatient)
  const patient = fetch(url, init)
  shop.process.kill('SIGCONT')
  const { status, headers } = await patient
  expect(status).toBe(200)
  // A connection that is kept could be given up in the moment in which it is used again.
  expect(headers.get('Connection')).toBe('close')
  await customer.disconnect()
  await shop.kill()
  await ledger.close()
})

describe('shop-from-before, out of touch with the ledger', () => {
  let ledger: FaultyLedger | undefined
  let customer: Customer | undefined
  afterEach(async () => {
    await customer?.disconnect()
    await ledger?.close()
  })

  test('asks its clients to come back before they lose patience, and loses no payment', async () => {
    needsSandbox('its proxy is before one')
    const own = await setStage()
    await own.edit('src/shop/client-accounts.ts', 'maxWaitMs = 8_000', 'maxWaitMs = 300')
    ledger = await startFaultyLedger({ closeIntervalMs: 200 })
    customer = await Customer.connect({ url: ledger.sandbox.url })
    const shop = own.run('src/shop-from-before.ts', { TEST_LEDGER: ledger.url, PORT: '0' })
    const url = `${(await shop.says(/Visit (http:\S+)/))[1]}/`
    const offer = await offerOf(url)
    // The answer to its submission
    const submitted = ledger.proxy.seen(/EscrowFinish/)
    const paid = customer.pay(offer)
    await submitted
    ledger.proxy.accepts = false
    ledger.proxy.cut()
    const fulfillment = await paid
    for (const how of [url, url + fulfillment]) {
      const res = await fetch(how, { headers: { 'Pay-Token': offer.sharedSecret } })
      expect([res.status, res.headers.get('Retry-After')]).toEqual([503, '1'])
    }
    ledger.proxy.accepts = true
    await shop.says(/Payment complete/)
    expect(await ask(url + fulfillment)).toMatch(/[A-Z]/)
    await own.strike()
  })
})
