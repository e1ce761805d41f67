import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import * as IlpPacket from 'ilp-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, hashes, type SubmittableTransaction, Wallet } from 'xrpl'
import { pskFulfillment, sha256 } from '../src/crypto.ts'
import { accounts } from '../src/xrpl-sandbox/index.ts'
import { askWithToken, Customer, offerOf, parsePay } from './support/customer.ts'
import { LetterStream, RawConnection } from './support/http.ts'
import { openLedger } from './support/ledger.ts'
import type { OpenShop } from './support/scripts.ts'
import { useTestbed } from './support/testbed.ts'

const bed = useTestbed()
const shops: Record<string, OpenShop> = {}

beforeAll(async () => {
  for (const name of ['shop-from-before', 'streaming-shop']) shops[name] = await bed.openShop(name)
})

const shopOf = (name: string) => shops[name] as OpenShop

/** A shop is well if an honest client still gets a letter for a payment. */
async function expectToBeWell(name: string): Promise<void> {
  const { shop, url } = shopOf(name)
  expect(shop.process.exitCode).toBeNull()
  if (name === 'streaming-shop') {
    const stream = await LetterStream.open(url)
    await bed.customer.pay(parsePay(stream.pay))
    expect(await stream.waitForLetters(1)).toMatch(/^[A-Z]$/)
    stream.leave()
  } else {
    const offer = await offerOf(url)
    await bed.customer.pay(offer)
    expect(await askWithToken(url, offer)).toMatch(/^Your letter/)
  }
}

const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const requests = [
  { what: 'garbage', text: '\x00\xff\xfe\r\n\r\n', status: '400' },
  { what: 'an invalid request target', text: 'GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n', status: '400' },
  { what: 'a dotted path', text: 'GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n', status: '404' },
  {
    what: 'a percent-encoded path',
    text: 'GET /%00%0d%0aPay:%20x HTTP/1.1\r\nHost: x\r\n\r\n',
    status: '404'
  },
  { what: 'HEAD', text: 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n', status: '405' },
  { what: 'OPTIONS of everything', text: 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', status: '405' },
  { what: 'POST', text: 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx', status: '405' },
  {
    what: 'the absolute form',
    text: 'GET http://x.test/ HTTP/1.1\r\nHost: x.test\r\n\r\n',
    status: '(200|402)'
  }
]

describe.each(['shop-from-before', 'streaming-shop'])('%s', name => {
  const open = () => new RawConnection(shopOf(name).url)

  test.each(requests)(`${name} answers $status to $what`, async ({ text, status }) => {
    const connection = open().send(text)
    const shape = new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*\\r\\n\\r\\n`)
    expect(await connection.waitForText(/\r\n\r\n/)).toMatch(shape)
    if (status === '405') expect(connection.received).toMatch(/^Allow: GET\r$/m)
    if (status !== '(200|402)') expect(connection.received).not.toMatch(/^Pay:/m)
    connection.close()
  })

  test(`${name} sells while other requests are half sent, half closed or two in one packet`, async () => {
    const [two, half, gone, closed] = [open(), open(), open(), open()]
    half.send('GET / HTTP/1.1\r\nHo')
    gone.send('GET / HTTP/1.1\r\nHost: x\r\n').close()
    expect((await two.send(get + get).waitForClose()).match(/^HTTP/gm)?.length ?? 0).toBeLessThan(2)
    closed.send(get).socket.end()
    await closed.waitForText(/^HTTP\/1\.1 (200|402) /)
    await expectToBeWell(name)
    for (const connection of [half, closed]) connection.close()
  })
})

test('shop-from-before accepts a payment for an offer that 300 others have followed', async () => {
  const { url } = shopOf('shop-from-before')
  const offer = await offerOf(url)
  const answers = await Promise.all(Array.from({ length: 300 }, () => fetch(url)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([402]))
  await bed.customer.pay(offer)
  expect(await askWithToken(url, offer)).toMatch(/^Your letter/)
})

describe('both shops, on one account', () => {
  let client: Client
  let wallet: Wallet
  beforeAll(async () => {
    wallet = Wallet.fromSeed(bed.ledger.customer.secret)
    client = new Client(bed.ledger.url, { timeout: 120_000, connectionTimeout: 120_000 })
    await client.connect()
  })
  afterAll(() => client.disconnect())

  const hex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()
  const memo = (type: string, data: string) => ({ Memo: { MemoType: hex(type), MemoData: hex(data) } })
  const [ilp, idType, message] = ['xrpIlp', 'xrpId', 'xrpMessage'].map(
    rel => `https://interledger.org/rel/${rel}`
  ) as [string, string, string]
  const condition = `A0258020${'AB'.repeat(32)}810120`
  const packet = IlpPacket.serializeIlpPayment({
    account: `test.crypto.xrp.${accounts.shop.address}.x.0`,
    amount: '10',
    data: Buffer.alloc(0)
  }).toString('base64url')
  const soon = async () => (await bed.ledger.newest()).timeMs / 1000 - 946_684_800 + 100_000

  const id = memo(idType, '00000000-0000-4000-8000-000000000000')
  const payment = { TransactionType: 'Payment', CancelAfter: undefined }
  const transactions: [string, Record<string, unknown>][] = [
    ['an escrow without memos', {}],
    ['an escrow with a memo that has no type', { Memos: [{ Memo: { MemoData: 'AB' } }] }],
    ['an escrow without the memo of its id', { Memos: [memo(ilp, packet)] }],
    ['an escrow with an id that is none', { Memos: [memo(ilp, packet), memo(idType, 'constructor')] }],
    [
      'an escrow without a condition',
      { Condition: undefined, FinishAfter: 1, Memos: [memo(ilp, packet), id] }
    ],
    ['an escrow without an expiry', { CancelAfter: undefined, FinishAfter: 1, Memos: [id] }],
    ['a packet that is garbage', { Memos: [memo(ilp, '\u0000{}'), id] }],
    ['no packet at all', { Memos: [id] }],
    ['a plain payment', payment],
    ['a message that is not JSON', { ...payment, Memos: [memo(message, '{')] }],
    ['a message that is null', { ...payment, Memos: [memo(message, 'null')] }]
  ]

  test('both shops survive transactions of all kinds to their account', async () => {
    const later = await soon()
    for (const [what, { FinishAfter, ...tx }] of transactions) {
      const isPayment = tx.TransactionType === 'Payment'
      const prepared = await client.autofill({
        TransactionType: 'EscrowCreate',
        Account: wallet.classicAddress,
        Destination: bed.ledger.shop.address,
        Amount: '10',
        CancelAfter: later,
        ...(!isPayment && { Condition: condition }),
        ...(FinishAfter !== undefined && { FinishAfter: later - 50_000 }),
        ...tx
      } as Parameters<typeof client.autofill>[0])
      const { result } = await client.submit(wallet.sign(prepared).tx_blob)
      expect(result.engine_result, what).toBe('tesSUCCESS')
    }
    // The customer's payment comes later on the ledger.
    for (const name of Object.keys(shops)) await expectToBeWell(name)
  })

  test('a shop reports once that another uses its account, and then counts its payments', async () => {
    const { shop: elsewhere } = shopOf('shop-from-before')
    const stream = await LetterStream.open(shopOf('streaming-shop').url)
    await bed.customer.pay(parsePay(stream.pay))
    await elsewhere.waitForOutput(/Another shop uses this account: stop it, or /)
    const before = elsewhere.output.length
    for (const paymentId of [1, 2, 3]) await bed.customer.pay(parsePay(stream.pay), '10', { paymentId })
    expect(elsewhere.output.slice(before)).not.toMatch(/rejected|Another shop/)
    stream.leave()
  })

  test('streaming-shop fulfills escrows that were made with tickets', async () => {
    const { shop, url } = shopOf('streaming-shop')
    // Those of the tests before are over.
    const all = (pattern: RegExp) => shop.output.match(pattern)?.length
    await shop.waitUntil(() => all(/Accepted payment/g) === all(/Payment complete/g))
    const before = shop.output.length
    const stream = await LetterStream.open(url)
    const offer = parsePay(stream.pay)
    const submit = async (tx: SubmittableTransaction) => {
      const { result } = await client.submit(wallet.sign(await client.autofill(tx)).tx_blob)
      expect(result.engine_result).toBe('tesSUCCESS')
      await bed.ledger.closeLedger()
    }
    const Account = wallet.classicAddress
    await submit({ TransactionType: 'TicketCreate', Account, TicketCount: 3 })
    const { result } = await client.request({ command: 'account_objects', account: Account })
    const tickets = result.account_objects.filter(object => object.LedgerEntryType === 'Ticket')
    for (const [paymentId, { TicketSequence }] of tickets.entries()) {
      const account = `${offer.address}.${paymentId}`
      const data = Buffer.alloc(0)
      const payment = IlpPacket.serializeIlpPayment({ account, amount: '10', data })
      const hash = sha256(pskFulfillment(Buffer.from(offer.sharedSecret, 'base64url'), payment)).toString(
        'hex'
      )
      await submit({
        TransactionType: 'EscrowCreate',
        Account,
        Sequence: 0,
        TicketSequence,
        Destination: bed.ledger.shop.address,
        Amount: '10',
        Condition: `A0258020${hash.toUpperCase()}810120`,
        CancelAfter: await soon(),
        Memos: [memo(ilp, payment.toString('base64url')), memo(idType, randomUUID())]
      })
    }
    expect(await stream.waitForLetters(3)).toHaveLength(3)
    const told = () => shop.output.slice(before).match(/Payment complete|Error/g) ?? []
    while (told().length < 3) await once(shop.process, 'output')
    expect(told()).toEqual(Array(3).fill('Payment complete'))
    stream.leave()
  })

  test('streaming-shop fulfills a payment whose ID others used first', async () => {
    const thief = Wallet.generate()
    const [id, address] = [randomUUID(), wallet.classicAddress]
    const submit = async (tx: SubmittableTransaction, by: Wallet) => {
      const { result } = await client.submit(by.sign(await client.autofill(tx)).tx_blob)
      expect(result.engine_result).toBe('tesSUCCESS')
      await bed.ledger.closeLedger()
    }
    await submit(
      { TransactionType: 'Payment', Account: address, Destination: thief.address, Amount: '20000000' },
      wallet
    )
    const { result } = await client.request({ command: 'account_info', account: address })
    // The index that the ledger is going to give to the victim's escrow.
    const index = hashes.hashEscrow(address, result.account_data.Sequence).toLowerCase()
    const nextBest = index.replace(/^(.{8})(.{4})(.{3})(.{3})(.{12}).*/, '$1-$2-4$3-a$4-$5')
    for (const stolen of [id, nextBest]) {
      const Memos = [memo(ilp, packet), memo(idType, stolen)]
      const escrow = {
        Destination: bed.ledger.shop.address,
        Amount: '1',
        Condition: condition,
        CancelAfter: await soon(),
        Memos
      }
      await submit({ TransactionType: 'EscrowCreate', Account: thief.address, ...escrow }, thief)
    }
    const stream = await LetterStream.open(shopOf('streaming-shop').url)
    await bed.customer.pay(parsePay(stream.pay), '10', { id })
    expect(await stream.waitForLetters(1)).toMatch(/^[A-Z]$/)
    stream.leave()
  })
})

test('shop-from-before does not let one client spend what another has paid', async () => {
  const { url, shop } = shopOf('shop-from-before')
  const [ada, bob] = [await offerOf(url), await offerOf(url)]
  // Bob pays to Ada's address, under the secret that he knows: his own.
  await bed.customer.prepare({ ...ada, sharedSecret: bob.sharedSecret })
  await shop.waitForOutput(/F05 Wrong Condition/)
  for (const offer of [ada, bob]) expect(await askWithToken(url, offer)).toBe(402)
})

/** Asks until a shop sells again. */
async function untilOpen(url: string): Promise<void> {
  for (;;) {
    const stream = await LetterStream.open(url)
    stream.leave()
    if (stream.status === 200) return
    expect(stream.status).toBe(503)
    await delay(50)
  }
}

describe.concurrent('streaming-shop', () => {
  test('streaming-shop serves clients while strangers open connections and say nothing, and closes those', async () => {
    const { url } = await bed.openShop('streaming-shop', { maxSilentConnections: '20' })
    const silent: RawConnection[] = []
    for (let n = 0; n < 50; n++) {
      const connection = new RawConnection(url)
      await once(connection.socket, 'connect')
      silent.push(connection)
    }
    const stream = await LetterStream.open(url)
    await bed.customer.pay(parsePay(stream.pay))
    // The last are too few to be in the way: they are closed since no headers come.
    for (const connection of silent) await connection.waitForClose()
    expect(silent[0]?.received).not.toMatch(/200|402/)
    expect(silent.at(-1)?.received).toMatch(/^HTTP\/1\.1 408 /)
    stream.leave()
  })

  test('streaming-shop warns of a low balance, then stops selling until it is funded', async () => {
    const poor = await openLedger()
    const payer = await Customer.connect(poor)
    const { address, secret } = poor.shop
    const [wallet, client] = [
      Wallet.fromSeed(secret),
      new Client(poor.url, { timeout: 120_000, connectionTimeout: 120_000 })
    ]
    await client.connect()
    const tx = await client.autofill({ TransactionType: 'AccountSet', Account: address })
    const { result } = await client.request({ command: 'account_info', account: address })
    const burn = { ...tx, Fee: String(Number(result.account_data.Balance) - 3_999) }
    await client.submitAndWait(wallet.sign(burn).tx_blob)
    await client.disconnect()

    const { shop: run, url } = await bed.openShop('streaming-shop', poor.env)
    expect(run.output).toContain('Low balance: enough for 11 letters; fund the account')
    const stream = await LetterStream.open(url)
    const offer = parsePay(stream.pay)
    await Promise.all(Array.from({ length: 20 }, (_, paymentId) => payer.prepare(offer, '10', { paymentId })))
    await run.waitForOutput(/The shop cannot pay its fees: no letters are sold meanwhile/)
    await run.waitUntil(output => output.match(/Payment complete/g)?.length === 11)
    expect(stream.letters).toHaveLength(11)
    const refused = await fetch(url)
    expect(refused.status).toBe(503)
    expect(await refused.text()).toBe('The shop cannot pay its fees: please come back in 10 s\n')

    const funds = { to: `test.crypto.xrp.${address}`, amount: '1000000' }
    await payer.plugin.sendTransfer({ id: randomUUID(), ...funds })
    await untilOpen(url)
    await run.kill()
    await payer.disconnect()
    await poor.close()
  })

  test('full streaming-shop evicts who has not paid, and accepts a client once another has disconnected', async () => {
    const { url } = await bed.openShop('streaming-shop', { maxClients: '3' })
    const open = () => LetterStream.open(url)
    const [payer, idler, newcomer] = [await open(), await open(), await open()]
    await bed.customer.pay(parsePay(payer.pay))
    // Who has been there longest without paying has to go.
    const ghost = new RawConnection(url).send(
      `GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(70_000)}`
    )
    const answer = await ghost.waitForText(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\n/)
    expect(await idler.waitForEnd()).toBe('')
    await bed.customer.pay(parsePay(newcomer.pay))
    await bed.customer.pay(parsePay(/^Pay: (.*)\r$/m.exec(answer)?.[1] ?? null))
    const refused = await fetch(url)
    const sentence = 'The shop is full: please come back in 60 s\n'
    expect([refused.status, await refused.text()]).toEqual([503, sentence])
    // It disconnects in the middle of its request.
    ghost.close()
    await untilOpen(url)
    expect([payer, newcomer].some(({ isOver }) => isOver)).toBe(false)
    for (const stream of [payer, newcomer]) stream.leave()
  })

  test('streaming-shop disconnects a client that does not pay, or pays no more', async () => {
    const { url } = await bed.openShop('streaming-shop', { maxWaitMs: '3000' })
    const [payer, idler] = [await LetterStream.open(url), await LetterStream.open(url)]
    let paymentId = 0
    while (!idler.isOver) await bed.customer.pay(parsePay(payer.pay), '10', { paymentId: paymentId++ })
    expect(idler.letters).toBe('')
    expect(payer.isOver).toBe(false)
    expect(await payer.waitForEnd()).toHaveLength(paymentId)
  })
})
