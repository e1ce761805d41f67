import { createHash, randomBytes } from 'node:crypto'
import axe from 'axe-core'
import { serializeIlpPayment } from 'ilp-packet'
import type { Browser, Page, WebSocketRoute } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { Wallet } from 'xrpl'
import { accounts, type SandboxLedger, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { noChromium, openChromium } from '../support/chromium.ts'
import { freePort } from '../support/scripts.ts'
import { RawClient } from './client.ts'

if (noChromium) console.warn(`test/xrpl-sandbox/watch.test.ts is skipped: ${noChromium}`)

const shop = Wallet.fromSeed(accounts.shop.secret)
const customer = Wallet.fromSeed(accounts.customer.secret)
const ilpMemo = 'https://interledger.org/rel/xrpIlp'
/** The packet of a payment as the tutorial's clients number them. */
const packet = (paymentId: number) =>
  serializeIlpPayment({
    account: `test.xrp.${shop.address}.client.${paymentId}`,
    amount: '10',
    data: Buffer.alloc(0)
  }).toString('base64url')
const desktop = { width: 1280, height: 800 }
const toHex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()

interface Escrow {
  sequence: number
  preimage: Buffer
  /** In upper-case hex. */
  condition: string
}

/** Those who use the ledger that the page watches; it closes when they say so. */
class Users {
  readonly sandbox: SandboxLedger
  readonly #client: RawClient

  private constructor(sandbox: SandboxLedger, client: RawClient) {
    this.sandbox = sandbox
    this.#client = client
  }

  static async start(port = 0): Promise<Users> {
    const sandbox = await startSandboxLedger({ port, closeIntervalMs: 0 })
    return new Users(sandbox, await RawClient.connect(sandbox.url))
  }

  /** Closes a ledger. */
  close(): number {
    return this.sandbox.ledger.close().header.ledgerIndex
  }

  async submit(wallet: Wallet, fields: object, expected = 'tesSUCCESS'): Promise<number> {
    const { result } = await this.#client.ask({ command: 'account_info', account: wallet.address })
    const { Sequence } = result.account_data
    const transaction = { Account: wallet.address, Fee: '10', Sequence, ...fields }
    const { tx_blob } = wallet.sign(transaction as Parameters<Wallet['sign']>[0])
    const { result: submitted } = await this.#client.ask({ command: 'submit', tx_blob })
    expect(submitted.engine_result).toBe(expected)
    return Sequence
  }

  /** The customer makes an escrow for the shop. */
  async make({
    preimage = randomBytes(32),
    amount = '10',
    seconds = 1000,
    memos = {},
    destination = shop.address
  } = {}): Promise<Escrow> {
    const condition = createHash('sha256').update(preimage).digest('hex').toUpperCase()
    const sequence = await this.submit(customer, {
      TransactionType: 'EscrowCreate',
      Destination: destination,
      Amount: amount,
      Condition: `A0258020${condition}810120`,
      CancelAfter: this.sandbox.ledger.closedHeader.closeTime + seconds,
      Memos: Object.entries<string>(memos).map(([type, data]) => ({
        Memo: { MemoType: toHex(type), MemoData: toHex(data) }
      }))
    })
    return { sequence, preimage, condition }
  }

  /** The shop takes it. */
  async fulfill({ sequence, preimage, condition }: Escrow) {
    await this.submit(shop, {
      TransactionType: 'EscrowFinish',
      Owner: customer.address,
      OfferSequence: sequence,
      Fee: '350',
      Condition: `A0258020${condition}810120`,
      Fulfillment: `A0228020${preimage.toString('hex').toUpperCase()}`
    })
    return preimage.toString('base64url')
  }

  async cancel({ sequence }: { sequence: number }) {
    await this.submit(customer, {
      TransactionType: 'EscrowCancel',
      Owner: customer.address,
      OfferSequence: sequence
    })
  }

  async stop() {
    this.#client.socket.close()
    await this.sandbox.close()
  }
}

describe.skipIf(noChromium)(noChromium ? `The page to watch (${noChromium})` : 'The page to watch', () => {
  let browser: Browser
  let page: Page
  let users: Users
  /** What the browser had to say, and where it went. */
  let complaints: string[]
  let requests: string[]
  /** Does with a connection of a routed page what the test wants. */
  let onWire: (wire: WebSocketRoute) => void

  // One page of each kind for all tests: as it is, with its connections routed, and with its clock in hand besides.
  // Each costs processes of its own.
  const pages = new Map<string, Page>()

  async function usePage(kind: 'plain' | 'routed' | 'timed') {
    page = pages.get(kind) ?? (await openPage(kind))
    pages.set(kind, page)
  }

  async function openPage(kind: 'plain' | 'routed' | 'timed') {
    const opened = await browser.newPage({ timezoneId: 'UTC', reducedMotion: 'reduce', viewport: desktop })
    opened.on('console', message => complaints.push(message.text()))
    opened.on('pageerror', error => complaints.push(String(error)))
    opened.on('request', request => requests.push(request.url()))
    if (kind === 'timed') await opened.clock.install()
    if (kind !== 'plain') await opened.routeWebSocket(/^ws:/, wire => onWire(wire))
    return opened
  }

  beforeAll(async () => {
    browser = await openChromium()
  })
  afterAll(() => browser?.close())

  beforeEach(async () => {
    users = await Users.start()
    complaints = []
    requests = []
    await usePage('plain')
  })
  afterEach(async () => {
    await page.goto('about:blank')
    await users.stop()
    expect(complaints).toEqual([])
  })

  const home = () => `http://localhost:${users.sandbox.port}/`
  const text = (selector: string) => page.locator(selector).innerText()
  const connected = () => page.locator('#status.up').waitFor()
  const totals = (kind: string) => page.locator(`#totals [data-kind=${kind}] td`).allInnerTexts()
  const lanes = () => page.locator('#list > li')
  const lane = (words: string) => page.locator('#list > li', { hasText: words })
  /** Where the strokes of a lane stand, from left to right. */
  const strokes = async (words: string, kind: string) => {
    const d = (await lane(words).locator(`path.${kind}`).first().getAttribute('d')) ?? ''
    return [...d.matchAll(/M(\S+)/g)].map(([, x]) => Number(x))
  }
  const balances = async () => {
    const rows = await page.locator('#accounts summary').allTextContents()
    return rows.map(row => row.split(/\s+/).filter(Boolean))
  }
  const top = (words: string) => lane(words).evaluate(node => node.getBoundingClientRect().top)

  async function open(search = '') {
    await page.goto(home() + search)
    await connected()
  }

  /** Stands between the page and the ledger: asks for another API version, turns the order, lets nobody through. */
  async function intercept({ apiVersion = 1, holdBack = '' } = {}) {
    const wires = Object.assign([] as WebSocketRoute[], { isCut: false })
    await usePage('routed')
    onWire = wire => {
      if (wires.isCut) {
        wire.close()
        return
      }
      const ledger = wire.connectToServer()
      const held: string[] = []
      wires.push(wire)
      wire.onMessage(message =>
        ledger.send(JSON.stringify({ api_version: apiVersion, ...JSON.parse(message.toString()) }))
      )
      ledger.onMessage(message => {
        const isHeld = holdBack && message.includes(holdBack) && held.length === 0
        if (isHeld) held.push(message.toString())
        else for (const next of [message, ...(message.includes('EscrowFinish') ? held : [])]) wire.send(next)
      })
    }
    return wires
  }

  describe.each([{ apiVersion: 1 }, { apiVersion: 2 }])('with API version $apiVersion', ({ apiVersion }) => {
    it('shows a payment as one lane, from made to fulfilled, and what it comes to', async () => {
      await intercept({ apiVersion })
      await open()
      await expect.poll(() => text('#nothing')).toContain('npm run streaming-shop')
      const letter = await users.make({ memos: { [ilpMemo]: packet(7) } })
      await users.make({ amount: '25', memos: { [ilpMemo]: packet(8) } })
      users.close()
      await lane('#7').waitFor()
      await expect
        .poll(() => text('#list > li:first-child'))
        .toMatch(/#8\s+customer to shop\s+locked\s+25 drops/)
      await expect.poll(() => text('#locked')).toMatch(/2 payments\s+35 drops/)
      expect(await page.locator('#nothing').isHidden()).toBe(true)

      users.close()
      const fulfillment = await users.fulfill(letter)
      users.close()
      await lane('fulfilled, 2 ledgers').waitFor()
      await expect.poll(() => lanes().count()).toBe(2)
      await expect.poll(() => text('#locked')).toMatch(/1 payment\s+25 drops/)
      await expect.poll(() => text('#latency')).toContain('2 ledgers')
      await expect.poll(() => text('#price')).toMatch(/37 drops\s+370 drops in all/)
      const [[made = 0], [fulfilled = 0]] = [await strokes('#7', 'made'), await strokes('#7', 'fulfilled')]
      expect(fulfilled - made).toBe(20)
      await expect.poll(() => totals('made')).toEqual(['2', '35', '20'])
      await expect.poll(() => totals('fulfilled')).toEqual(['1', '10', '350'])
      await expect.poll(() => totals('returned')).toEqual(['0', '0', '0'])
      await expect.poll(() => totals('other')).toEqual(['2', '', '20'])
      await expect.poll(balances).toEqual([
        ['shop', '9,999.999660', '−340'],
        ['customer', '9,999.999945', '−55']
      ])
      await expect.poll(() => text('figcaption')).toMatch(/2 made.*1 fulfilled.*0 returned/s)
      expect(await page.locator('#plot .made').getAttribute('d')).toMatch(/^M\S+ 30h7V2h-7z$/)

      await lane('#7').locator('summary').click()
      const facts = await lane('#7').locator('.content').innerText()
      for (const fact of [
        fulfillment,
        customer.address,
        shop.address,
        `10 for test.xrp.${shop.address}.client.7`
      ])
        expect(facts).toContain(fact)
    })

    it('shows what the ledger had seen before it was opened', async () => {
      const letter = await users.make({ memos: { [ilpMemo]: packet(7) } })
      users.close()
      await users.fulfill(letter)
      users.close()
      await intercept({ apiVersion })
      for (const search of ['', `?account=${shop.address}`]) {
        await open(search)
        await lane('#7').waitFor()
        await expect.poll(() => text('#list > li')).toContain('fulfilled, 1 ledger')
        await expect.poll(() => totals('made')).toEqual(['1', '10', '10'])
        await expect.poll(() => totals('fulfilled')).toEqual(['1', '10', '350'])
        expect((await balances())[0]).toEqual(['shop', '9,999.999660', '−340'])
      }
    })
  })

  it('shows the money of an expired escrow going back', async () => {
    await open()
    const letter = await users.make({ seconds: 3 })
    // A ledger's time is at least a second after its parent's.
    for (let count = 0; count < 5; count++) users.close()
    await users.cancel(letter)
    users.close()
    await lane('returned, 5 ledgers').waitFor()
    await expect.poll(() => totals('returned')).toEqual(['1', '10', '10'])
    await expect.poll(() => text('#locked')).toContain('0 payments')
    expect(await strokes('returned', 'returned')).toHaveLength(1)
  })

  it('counts what was locked long before it looked', async () => {
    const letter = await users.make({ amount: '25' })
    const madeIn = users.close()
    for (let count = 0; count < 200; count++) users.close()
    await open()
    await lane('locked, 200 ledgers').waitFor()
    await expect.poll(() => text('#locked')).toMatch(/1 payment\s+25 drops/)
    await users.fulfill(letter)
    users.close()
    await lane('fulfilled, 201 ledgers').locator('summary').click()
    await expect.poll(() => text('.content')).toContain(`Made\nLedger\n${madeIn}\nFulfilled`)
  })

  it('puts made before fulfilled when it hears of them the other way round', async () => {
    await intercept({ holdBack: '"TransactionType":"EscrowCreate"' })
    await open()
    const letter = await users.make({ memos: { [ilpMemo]: packet(7) } })
    users.close()
    await users.fulfill(letter)
    users.close()
    await lane('#7').waitFor()
    await expect.poll(() => lanes().count()).toBe(1)
    await expect.poll(() => text('#list > li')).toContain('fulfilled, 1 ledger')
    const [[made = 0], [fulfilled = 0]] = [await strokes('#7', 'made'), await strokes('#7', 'fulfilled')]
    expect(made).toBeLessThan(fulfilled)
    await expect.poll(() => text('#locked')).toContain('0 payments')
  })

  it('shows many payments of one ledger in one lane, and each of them when it is opened', async () => {
    await open()
    const letters: Escrow[] = []
    for (let number = 0; number < 12; number++)
      letters.push(await users.make({ memos: { [ilpMemo]: packet(number) } }))
    users.close()
    await lane('#0–11').waitFor()
    for (const letter of letters.slice(0, 4)) await users.fulfill(letter)
    users.close()
    await lane('8 of 12 locked').waitFor()
    for (const letter of letters.slice(4)) await users.fulfill(letter)
    users.close()
    await lane('12 fulfilled, 1–2 ledgers').waitFor()
    expect(await strokes('#0–11', 'fulfilled')).toHaveLength(2)
    await expect.poll(() => lanes().count()).toBe(1)
    await lane('#0–11').locator('summary').click()
    await page.locator('#list li li', { hasText: '#11' }).waitFor()
    expect(await page.locator('#list li li').count()).toBe(12)
    await expect
      .poll(() => text('#list li li:last-child'))
      .toMatch(/#0\s+customer to shop\s+fulfilled, 1 ledger/)
  })

  it('keeps what is open where it is while new payments come', async () => {
    await open()
    await users.make({ memos: { [ilpMemo]: packet(0) } })
    users.close()
    await lane('#0').locator('summary').click()
    const before = await top('#0')
    await users.make({ memos: { [ilpMemo]: packet(1) } })
    users.close()
    const newer = page.getByRole('button', { name: 'Close, and show 1 newer' })
    await newer.waitFor()
    expect(await top('#0')).toBe(before)
    expect(await lanes().count()).toBe(1)
    await newer.click()
    await lane('#1').waitFor()
    await expect.poll(() => lanes().count()).toBe(2)
    expect(await page.locator('#list details[open]').count()).toBe(0)
    expect(await newer.isVisible()).toBe(false)
  })

  it('says why a transaction failed', async () => {
    await open()
    const letter = await users.make()
    users.close()
    const early = { TransactionType: 'EscrowCancel', Owner: customer.address, OfferSequence: letter.sequence }
    await users.submit(customer, early, 'tecNO_PERMISSION')
    users.close()
    await page.locator('#others', { hasText: 'tecNO_PERMISSION' }).waitFor()
    await expect.poll(() => totals('returned')).toEqual(['0', '0', '0'])
    await expect.poll(() => text('#locked')).toContain('1 payment')
  })

  it('shows HTML in memos as the text it is, and no number in a packet that is none', async () => {
    await open()
    const html = '<img src="x" onerror="document.title = 1"><script>document.title = 2</script>'
    await users.make({ memos: { note: html, [ilpMemo]: `${html}${'A'.repeat(600)}` } })
    users.close()
    await lane('escrow').locator('summary').click()
    await expect.poll(() => text('.content .facts >> nth=1')).toContain(`note\n${html}`)
    expect(await page.locator('img, #list script').count()).toBe(0)
    expect(await page.title()).toBe('The ledger, as it closes')
  })

  it('goes on after what no ledger would send', async () => {
    const wires = await intercept()
    await open()
    const transaction = {
      TransactionType: 'EscrowCreate',
      Account: 'r',
      Fee: '10',
      hash: 'A',
      ledger_index: 3
    }
    const meta = { TransactionResult: 'tesSUCCESS', TransactionIndex: 0 }
    const AffectedNodes = [{ DeletedNode: { LedgerEntryType: 'Escrow', LedgerIndex: 'B', FinalFields: {} } }]
    const escrow = { meta: { ...meta, AffectedNodes } }
    const none = { meta: { ...meta, AffectedNodes: [] } }
    const memo = { MemoType: 'ZZ', MemoData: '41'.repeat(2_000_000) }
    for (const garbage of [
      { transaction, meta: null },
      { transaction, meta: { ...meta, AffectedNodes: {} } },
      { transaction, meta: { ...meta, AffectedNodes: [null, 1, 'x'] } },
      { transaction: { ...transaction, Fee: 'much' }, ...none },
      { transaction: { ...transaction, Memos: 'none' }, ...none },
      { transaction: { ...transaction, Memos: [{ Memo: memo }] }, ...none },
      { transaction: { ...transaction, TransactionType: 'constructor', hash: 'C' }, ...escrow },
      { transaction: { ...transaction, TransactionType: 'EscrowFinish', hash: 'D' }, ...escrow }
    ])
      wires[0]?.send(JSON.stringify({ type: 'transaction', validated: true, ...garbage }))
    await users.make({ memos: { [ilpMemo]: packet(7) } })
    users.close()
    await lane('#7').waitFor()
    expect(await page.locator('#status.up').count()).toBe(1)
    expect(wires).toHaveLength(1)
  })

  it('goes nowhere but to the ledger, and its policy would not let it', async () => {
    const response = await page.goto(`${home()}index.html`)
    await connected()
    expect(requests).toEqual([`${home()}index.html`])
    const policy = response?.headers()['content-security-policy']
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain('connect-src ws: wss:')
    expect(policy).not.toContain('unsafe')
  })

  it('says that the connection was lost, and fills the gap when it is back', async () => {
    const wires = await intercept()
    await open()
    await users.make()
    users.close()
    await lane('locked').waitFor()
    wires.isCut = true
    await wires[0]?.close()
    await page.locator('#status.down').waitFor()
    await expect.poll(() => text('#status')).toContain('npm run ledger')
    for (let count = 0; count < 45; count++) {
      await users.make({ amount: '11' })
      users.close()
    }
    wires.isCut = false
    await connected()
    await expect.poll(() => totals('made')).toEqual(['46', '505', '460'])
    await lane('11 drops').first().waitFor()
  })

  it('begins anew with a ledger that was restarted', async () => {
    // On a port that nobody is given meanwhile.
    await users.stop()
    users = await Users.start(await freePort())
    await open()
    await users.make()
    users.close()
    await lane('10 drops').waitFor()
    const { port } = users.sandbox
    await users.stop()
    await page.locator('#status.down').waitFor()
    users = await Users.start(port)
    await users.make({ amount: '12' })
    users.close()
    await connected()
    await expect.poll(() => totals('made')).toEqual(['1', '12', '10'])
    await lane('12 drops').waitFor()
    await expect.poll(() => lanes().count()).toBe(1)
    // That the ledger was away is the browser's own message: no page can keep it from the console.
    complaints = complaints.filter(message => !/^WebSocket connection to .* failed/.test(message))
  })

  it('watches the accounts given on the server given, and nothing else, and has a way out', async () => {
    const elsewhere = await Users.start()
    try {
      const other = Wallet.generate()
      const faucet = await fetch(elsewhere.sandbox.url.replace('ws:', 'http:') + '/accounts', {
        method: 'POST',
        body: JSON.stringify({ destination: other.address })
      })
      expect(faucet.ok).toBe(true)
      elsewhere.close()
      await open(`?server=${elsewhere.sandbox.url}&account=${shop.address}&account=${other.address}`)
      await expect.poll(() => text('#status')).toContain(elsewhere.sandbox.url)
      const short = `${other.address.slice(0, 5)}…${other.address.slice(-4)}`
      await expect.poll(() => text('#filter')).toMatch(new RegExp(`Only the payments of\\s+shop\\s+${short}`))
      await elsewhere.submit(customer, {
        TransactionType: 'Payment',
        Destination: accounts.genesis.address,
        Amount: '1'
      })
      await users.make({ amount: '99' })
      users.close()
      await elsewhere.make({ destination: other.address })
      const letter = await elsewhere.make()
      elsewhere.close()
      await elsewhere.fulfill(letter)
      elsewhere.close()
      await lane('fulfilled').waitFor()
      await lane(`customer to ${short}`).waitFor()
      await expect.poll(() => totals('made')).toEqual(['2', '20', '20'])
      expect(await text('#others')).not.toContain('customer to genesis')
      expect((await balances()).map(([name]) => name)).toEqual(['shop', short])
      await page.locator('#accounts summary', { hasText: short }).click()
      await expect.poll(() => text('#accounts')).toContain(other.address)
      await page.getByRole('link', { name: 'Watch the ledger that this page is from' }).first().click()
      await lane('99 drops').waitFor()
      expect(await page.locator('#filter').isHidden()).toBe(true)
    } finally {
      await elsewhere.stop()
    }
  })

  it('says what is wrong with an address, and asks nobody', async () => {
    const wires = await intercept()
    for (const [search, message] of [
      ['?server=http://example.com', 'begins with ws:// or wss://'],
      ['?server=ws://example.com/%23x', 'begins with ws:// or wss:// and has no #'],
      ['?server=ws://', 'is not the address of a server'],
      ['?server=wss://example.com', 'add &account=r…'],
      ['?account=rNobody', '"rNobody" is not an account']
    ]) {
      await page.goto(home() + search)
      await expect.poll(() => text('#notice')).toContain(message)
    }
    expect(wires).toHaveLength(0)
    await page.getByRole('link', { name: 'Watch the ledger that this page is from' }).click()
    await connected()
  })

  it.each([
    [
      'answers nothing that a ledger would',
      (message: string) => message,
      'does not speak as an XRP Ledger does'
    ],
    ['answers no JSON', () => 'hello', 'does not speak as an XRP Ledger does'],
    [
      'refuses the account',
      (message: string) =>
        JSON.stringify({
          id: JSON.parse(message).id,
          status: 'error',
          error: 'actMalformed',
          error_message: 'No.'
        }),
      'answers "No."'
    ]
  ])('gives up a server that %s', async (_, answer, sentence) => {
    let connections = 0
    await usePage('timed')
    onWire = wire => {
      connections++
      wire.onMessage(message => wire.send(answer(message.toString())))
    }
    await page.goto(`${home()}?account=${shop.address}`)
    await expect.poll(() => text('#notice')).toContain(sentence)
    await page.clock.fastForward('05:00')
    expect(connections).toBe(1)
  })

  it('gives up a server that is not there after a few tries', async () => {
    let connections = 0
    await usePage('timed')
    onWire = wire => {
      connections++
      wire.close()
    }
    await page.goto(`${home()}?server=ws://example.com&account=${shop.address}`)
    const forward = async () => {
      await page.clock.runFor(20_000)
      return text('#notice')
    }
    await expect.poll(forward).toContain('No connection to ws://example.com: is the address right')
    await page.clock.fastForward('05:00')
    expect(connections).toBe(5)
    await page.getByRole('button', { name: 'Try again' }).click()
    await expect.poll(() => connections).toBe(6)
  })

  it('stands still while it is paused', async () => {
    await open()
    await page.getByRole('button', { name: 'Pause' }).click()
    await users.make()
    users.close()
    await page.evaluate('new Promise(resolve => setTimeout(requestAnimationFrame, 150, resolve))')
    expect(await lanes().count()).toBe(0)
    await page.getByRole('button', { name: 'Pause' }).click()
    await lane('locked').waitFor()
  })

  it('keeps the last ledgers with something in them, and makes one column of a quiet time', async () => {
    await open()
    for (let number = 0; number < 30; number++) {
      await users.fulfill(await users.make({ memos: { [ilpMemo]: packet(number) } }))
      users.close()
    }
    await expect.poll(() => totals('made')).toEqual(['30', '300', '300'])
    await expect.poll(() => lanes().count()).toBe(24)
    for (let count = 0; count < 200; count++) users.close()
    await expect.poll(() => lanes().count()).toBe(23)
    // Made stands before fulfilled within one ledger too.
    expect(await strokes('#29', 'made')).toEqual([225])
    expect(await strokes('#29', 'fulfilled')).toEqual([229])
  })

  it('fits a telephone of 360 pixels, the payments first', async () => {
    await page.setViewportSize({ width: 360, height: 640 })
    onTestFinished(() => page.setViewportSize(desktop))
    await users.fulfill(await users.make({ memos: { [ilpMemo]: packet(7), type: 'x'.repeat(500) } }))
    users.close()
    await open()
    await lane('#7').waitFor()
    expect(await top('#7')).toBeLessThan(600)
    await lane('#7').locator('summary').click()
    for (const list of ['#accounts', '#others']) await page.locator(`${list} summary`).first().click()
    await page.locator('.facts').nth(2).waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  })

  it('can be used with the keyboard alone', async () => {
    await users.make({ memos: { [ilpMemo]: packet(0) } })
    users.close()
    await open()
    await lane('#0').waitFor()
    const focused = () => page.evaluate('document.activeElement.innerText') as Promise<string>
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Skip to the payments')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Pause')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    expect(await focused()).toContain('#0')
    // New payments do not take the focus away.
    await users.make({ memos: { [ilpMemo]: packet(1) } })
    users.close()
    await lane('#1').waitFor()
    expect(await focused()).toContain('#0')
    await page.keyboard.press('Enter')
    await page.locator('.facts').first().waitFor()
  })

  it('leaves axe nothing to find, in light and dark, with payments, without, and where it gives up', async () => {
    const findings = async () => {
      if (await page.evaluate('!window.axe')) await page.evaluate(axe.source)
      const { violations } = (await page.evaluate('axe.run()')) as axe.AxeResults
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
    }
    const inBoth = async () => {
      for (const colorScheme of ['dark', 'light'] as const) {
        await page.emulateMedia({ colorScheme })
        expect(await findings(), colorScheme).toEqual([])
      }
    }
    await open()
    await page.locator('#others li').first().waitFor()
    await inBoth()
    const letter = await users.make({ memos: { [ilpMemo]: packet(0), note: 'hello' } })
    users.close()
    await users.make()
    await users.fulfill(letter)
    users.close()
    await lane('fulfilled').locator('summary').click()
    await page.locator('#accounts summary').first().click()
    await page.locator('#others summary').first().click()
    await page.locator('.content').waitFor()
    await inBoth()
    for (const name of ['Payments', 'How to read it', 'Totals', 'Accounts', 'Other transactions'])
      expect(await page.getByRole('region', { name, exact: true }).count(), name).toBe(1)
    await page.goto(`${home()}?account=rNobody`)
    await page.locator('#notice').waitFor()
    await inBoth()
  })
})
