import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client, Wallet } from 'xrpl'
import { askWithToken, Customer, offerOf, parsePay } from './support/customer.ts'
import { LetterStream } from './support/http.ts'
import { openLedger, type TestLedger } from './support/ledger.ts'
import { useTestbed } from './support/testbed.ts'
import type { Message } from './xrpl-sandbox/client.ts'

// What one client could take from another, or make a shop believe, with what everybody can see on the ledger.

const bed = useTestbed()
let watcher: Client

beforeAll(async () => {
  watcher = new Client(bed.ledger.url, { timeout: 120_000, connectionTimeout: 120_000 })
  await watcher.connect()
})

afterAll(() => watcher.disconnect())

test('a Pay-Token buys a letter that a fulfillment read from the ledger does not', async () => {
  const { url } = await bed.openShop('shop-from-before')
  const raids: Promise<number>[] = []
  watcher.on('transaction', ({ tx_json }) => {
    if (tx_json?.TransactionType !== 'EscrowFinish') return
    const fulfillment = Buffer.from(String(tx_json.Fulfillment).slice(8), 'hex').toString('base64url')
    raids.push(fetch(url + fulfillment).then(({ status }) => status))
  })
  const offer = await offerOf(url)
  await bed.customer.pay(offer)
  expect(await askWithToken(url, offer)).toMatch(/^Your letter/)
  // From now on the shop knows by what this client gets its letters: it need not be there first.
  // Also of what no ledger has yet.
  await watcher.request({ command: 'subscribe', streams: ['transactions_proposed' as 'transactions'] })
  await bed.customer.pay(offer, '10', { paymentId: 1 })
  await watcher.request({ command: 'subscribe', streams: ['ledger'] })
  while (raids.length < 2) await new Promise(resolve => watcher.once('ledgerClosed', resolve))
  expect(await Promise.all(raids)).not.toContain(200)
  expect(await askWithToken(url, offer)).toMatch(/^Your letter/)
})

/** The customer's own fulfillment of the escrow that it made last, signed. */
async function finishOfOwnEscrow(client: Client, { customer, transactionsOf }: TestLedger, preimage: Buffer) {
  const escrow = (await transactionsOf(customer.address)).findLast(
    ({ TransactionType }) => TransactionType === 'EscrowCreate'
  )
  const wallet = Wallet.fromSeed(customer.secret)
  const finish = await client.autofill({
    TransactionType: 'EscrowFinish',
    Account: wallet.classicAddress,
    Owner: wallet.classicAddress,
    OfferSequence: Number(escrow?.Sequence),
    Condition: String(escrow?.Condition),
    Fulfillment: `A0228020${preimage.toString('hex')}`.toUpperCase(),
    Fee: '350'
  })
  return wallet.sign(finish).tx_blob
}

test('a shop does not report another shop when a payer fulfills its own escrow', async () => {
  const { url, shop } = await bed.openShop('streaming-shop')
  const stream = await LetterStream.open(url)
  const offer = parsePay(stream.pay)
  const preimage = createHash('sha256').update(url).digest()
  const condition = createHash('sha256').update(preimage).digest('base64url')
  await bed.customer.prepare(offer, '10', { condition })
  await shop.waitForOutput(/F05 Wrong Condition/)
  await watcher.submitAndWait(await finishOfOwnEscrow(watcher, bed.ledger, preimage))
  // What comes later on the ledger is told later.
  await bed.customer.pay(offer, '10', { paymentId: 1 })
  expect(await stream.waitForLetters(1)).toHaveLength(1)
  expect(shop.output).not.toContain('Another shop')
  stream.leave()
})

test('a shop counts the fees of fulfillments that failed because another was first', async () => {
  const own = await openLedger({ closeIntervalMs: 0 })
  const payer = await Customer.connect(own)
  const rival = new Client(own.url, { timeout: 120_000, connectionTimeout: 120_000 })
  await rival.connect()
  const { shop: script, url } = await bed.openShop('streaming-shop', own.env)
  const stream = await LetterStream.open(url)
  const offer = parsePay(stream.pay)
  const results = async () => {
    const range = { ledger_index_min: -1, ledger_index_max: -1 }
    const { transactions } = await own.ask<{ transactions: Message[] }>({
      ...{ command: 'account_tx', account: own.shop.address, ...range }
    })
    const mine = transactions.filter(
      ({ tx }) => tx.TransactionType === 'EscrowFinish' && tx.Account === own.shop.address
    )
    return mine.map(({ meta }) => meta.TransactionResult)
  }
  // Which of the two is first in the ledger, nobody can know.
  for (let paymentId = 0; !(await results()).includes('tecNO_TARGET'); paymentId++) {
    const paid = payer.pay(offer, '10', { paymentId })
    while ((await own.openTransactions()) < 1) await delay(5)
    await own.closeLedger()
    await script.waitUntil(output => output.match(/Fulfilling transfer/g)?.length === paymentId + 1)
    while ((await own.openTransactions()) < 1) await delay(5)
    const [, fulfillment = ''] = [...script.output.matchAll(/using fulfillment: (\S+)/g)].at(-1) ?? []
    await rival.submit(await finishOfOwnEscrow(rival, own, Buffer.from(fulfillment, 'base64url')))
    await own.closeLedger()
    await paid
    await script.waitUntil(output => output.match(/Payment complete/g)?.length === paymentId + 1)
  }
  await script.interrupt()
  expect(script.output).toContain(`, ${350 * (await results()).length} drops of fees\n`)
  await rival.disconnect()
  await payer.disconnect()
  await own.close()
})

test('full streaming-shop evicts a client that has been idle since its one payment', async () => {
  const { url } = await bed.openShop('streaming-shop', { maxClients: '2', paidGraceMs: '2000' })
  const [squatter, payer] = [await LetterStream.open(url), await LetterStream.open(url)]
  await Promise.all([squatter, payer].map(({ pay }) => bed.customer.pay(parsePay(pay))))
  let paymentId = 1
  let newcomer = await LetterStream.open(url)
  for (; newcomer.status === 503; newcomer = await LetterStream.open(url)) {
    await bed.customer.pay(parsePay(payer.pay), '10', { paymentId: paymentId++ })
    await delay(50)
  }
  expect(await squatter.waitForEnd()).toHaveLength(1)
  expect(payer.isOver).toBe(false)
  for (const stream of [payer, newcomer]) stream.leave()
})
