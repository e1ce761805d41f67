import { createHash, randomBytes } from 'node:crypto'
import type { Browser, BrowserContext, Page, WebSocketRoute } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Wallet } from 'xrpl'
import { accounts, type SandboxLedger, startSandboxLedger } from '../../src/sandbox-ledger/index.ts'
import { noChromium, openChromium } from '../support/chromium.ts'
import { RawClient } from './client.ts'

if (noChromium) console.warn(`test/sandbox-ledger/watch.test.ts is skipped: ${noChromium}`)

const shop = Wallet.fromSeed(accounts.shop.secret)
const customer = Wallet.fromSeed(accounts.customer.secret)
/** Interledger RFC 0003: amount 107, example.alice, no data. */
const examplePacket = Buffer.from('0118000000000000006b0d6578616d706c652e616c6963650000', 'hex').toString(
  'base64url'
)
const toHex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()
const short = (address: string) => `${address.slice(0, 6)}…${address.slice(-4)}`

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
    memos = {}
  } = {}): Promise<Escrow> {
    const condition = createHash('sha256').update(preimage).digest('hex').toUpperCase()
    const sequence = await this.submit(customer, {
      TransactionType: 'EscrowCreate',
      Destination: shop.address,
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
  let context: BrowserContext
  let page: Page
  let users: Users
  /** What the browser had to say, and where it went. */
  let complaints: string[]
  let requests: string[]

  beforeAll(async () => {
    browser = await openChromium()
    context = await browser.newContext({ timezoneId: 'UTC', reducedMotion: 'reduce' })
  })
  afterAll(() => browser?.close())

  beforeEach(async () => {
    users = await Users.start()
    page = await context.newPage()
    complaints = []
    requests = []
    page.on('console', message => complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(String(error)))
    page.on('request', request => requests.push(request.url()))
  })
  afterEach(async () => {
    await page.close()
    await users.stop()
    expect(complaints).toEqual([])
  })

  const home = () => `http://localhost:${users.sandbox.port}/`
  const text = (selector: string) => page.locator(selector).innerText()
  const connected = () => page.locator('#status.up').waitFor()
  const totals = (kind: string) => page.locator(`#totals [data-kind=${kind}] td`).allInnerTexts()
  const entry = (words: string) => page.locator('#list details', { hasText: words })
  const balances = async () => {
    const cells = await page.locator('#accounts tbody').allInnerTexts()
    return cells.map(cell => cell.split(/\s+/).filter(Boolean))
  }

  async function open(search = '') {
    await page.goto(home() + search)
    await connected()
  }

  /** Stands between the page and the ledger: asks for another API version, or cuts the wire. */
  async function intercept({ apiVersion = 1 } = {}) {
    const wires: WebSocketRoute[] = []
    await page.routeWebSocket(/^ws:/, wire => {
      const ledger = wire.connectToServer()
      wires.push(wire)
      wire.onMessage(message =>
        ledger.send(JSON.stringify({ api_version: apiVersion, ...JSON.parse(message.toString()) }))
      )
    })
    return wires
  }

  describe.each([{ apiVersion: 1 }, { apiVersion: 2 }])('with API version $apiVersion', ({ apiVersion }) => {
    it('shows escrows as they are made and fulfilled, and what they come to', async () => {
      await intercept({ apiVersion })
      await open()
      expect(await text('#nothing')).toContain('npm run streaming-shop')
      const letter = await users.make()
      const unpaid = await users.make({ amount: '25' })
      const madeIn = users.close()
      await expect.poll(() => entry('Made').count()).toBe(2)
      expect(await text('#list > .ledger:first-child h3')).toBe(`Ledger ${madeIn}`)
      expect(await page.locator('#nothing').isHidden()).toBe(true)

      const fulfillment = await users.fulfill(letter)
      users.close()
      await entry('Fulfilled').waitFor()
      const fulfilled = await entry('Fulfilled').innerText()
      expect(fulfilled).toContain(`by ${fulfillment}`)
      expect(fulfilled).toContain(`${short(customer.address)} to ${short(shop.address)}`)
      expect(fulfilled).toContain('10 drops')
      expect(await totals('made')).toEqual(['2', '35', '20'])
      expect(await totals('fulfilled')).toEqual(['1', '10', '350'])
      expect(await totals('returned')).toEqual(['0', '0', '0'])
      expect(await totals('open')).toEqual(['1', '25', ''])
      expect(await totals('other')).toEqual(['2', '', '20'])
      expect(await totals('all')).toEqual(['', '', '390'])
      expect(await text('#price')).toBe('For each drop that was paid, 37 went in fees.')
      expect(await balances()).toEqual([
        [customer.address, '9,999.999945', '−55'],
        [shop.address, '9,999.999660', '−340']
      ])
      expect(await text('#rhythm-sums')).toMatch(/2 made.*1 fulfilled.*0 returned/s)
      expect(await page.locator('#bars-made').getAttribute('d')).toMatch(/^M\S+ \S+h3V/)
      expect(unpaid.sequence).toBe(letter.sequence + 1)
    })

    it('shows what the ledger had seen before it was opened', async () => {
      const letter = await users.make()
      users.close()
      await users.fulfill(letter)
      users.close()
      await intercept({ apiVersion })
      for (const search of ['', `?account=${shop.address}`]) {
        await open(search)
        await entry('Fulfilled').waitFor()
        expect(await totals('made')).toEqual(['1', '10', '10'])
        expect(await totals('fulfilled')).toEqual(['1', '10', '350'])
        const [account] = (await balances()).slice(-1)
        expect(account).toEqual([shop.address, '9,999.999660', '−340'])
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
    await entry('Returned').waitFor()
    expect(await entry('Returned').innerText()).toContain(`to ${short(customer.address)}`)
    expect(await totals('returned')).toEqual(['1', '10', '10'])
    expect(await totals('open')).toEqual(['0', '0', ''])
    expect(await text('#rhythm-sums')).toContain('1 returned')
    expect(await text('#list')).toContain('4 quiet ledgers')
  })

  it('says why a transaction failed', async () => {
    await open()
    const letter = await users.make()
    users.close()
    const early = { TransactionType: 'EscrowCancel', Owner: customer.address, OfferSequence: letter.sequence }
    await users.submit(customer, early, 'tecNO_PERMISSION')
    users.close()
    await entry('Failed').waitFor()
    expect(await entry('Failed').innerText()).toContain('tecNO_PERMISSION')
    expect(await totals('returned')).toEqual(['0', '0', '0'])
    expect(await totals('open')).toEqual(['1', '10', ''])
  })

  it('shows HTML in memos as the text it is, and reads an ILP packet', async () => {
    await open()
    const html = '<img src="x" onerror="document.title = 1"><script>document.title = 2</script>'
    await users.make({ memos: { note: html, 'https://interledger.org/rel/xrpIlp': examplePacket } })
    users.close()
    await entry('Made').locator('summary').click()
    await page.locator('.facts').waitFor()
    const facts = await text('.facts')
    expect(facts).toContain(`note\n${html}`)
    expect(facts).toContain('107 for example.alice')
    expect(await page.locator('img, #list script').count()).toBe(0)
    expect(await page.title()).toBe('The ledger, as it closes')
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
    await entry('Made').waitFor()
    await wires[0]?.close()
    await page.locator('#status.down').waitFor()
    expect(await text('#status')).toContain('npm run ledger')
    await users.make({ amount: '11' })
    users.close()
    await connected()
    await expect.poll(() => totals('made')).toEqual(['2', '21', '20'])
    expect(await page.locator('#list').innerText()).toContain('11 drops')
  })

  it('begins anew with a ledger that was restarted', async () => {
    await open()
    await users.make()
    users.close()
    await entry('Made').waitFor()
    const { port } = users.sandbox
    await users.stop()
    await page.locator('#status.down').waitFor()
    users = await Users.start(port)
    await users.make({ amount: '12' })
    users.close()
    await connected()
    await expect.poll(() => totals('made')).toEqual(['1', '12', '10'])
    // That the ledger was away is the browser's own message: no page can keep it from the console.
    complaints = complaints.filter(message => !/^WebSocket connection to .* failed/.test(message))
  })

  it('watches the accounts given on the server given, and nothing else', async () => {
    const elsewhere = await Users.start()
    try {
      const other = Wallet.generate()
      const faucet = await fetch(elsewhere.sandbox.url.replace('ws:', 'http:') + '/accounts', {
        method: 'POST',
        body: JSON.stringify({ destination: other.address })
      })
      expect(faucet.ok).toBe(true)
      elsewhere.close()
      await open(`?server=${elsewhere.sandbox.url}&account=${shop.address}&account=${customer.address}`)
      expect(await text('#status')).toContain(elsewhere.sandbox.url)
      await elsewhere.submit(other, {
        TransactionType: 'Payment',
        Destination: accounts.genesis.address,
        Amount: '1'
      })
      await users.make({ amount: '99' })
      users.close()
      const letter = await elsewhere.make()
      elsewhere.close()
      await elsewhere.fulfill(letter)
      elsewhere.close()
      await entry('Fulfilled').waitFor()
      expect(await totals('made')).toEqual(['1', '10', '10'])
      expect(await page.locator('#list').innerText()).not.toContain(short(other.address))
      expect((await balances()).map(([address]) => address)).toEqual([shop.address, customer.address])
    } finally {
      await elsewhere.stop()
    }
  })

  it.each([
    ['?server=http://example.com', 'must begin with ws:// or wss://'],
    ['?server=wss://example.com', 'add &account=r…']
  ])('says what is wrong with %s', async (search, message) => {
    await page.goto(home() + search)
    expect(await text('#status')).toContain(message)
  })

  it('says what the server says of an account that is none', async () => {
    await page.goto(`${home()}?account=rNobody`)
    await expect.poll(() => text('#status')).toContain('Account malformed')
  })

  it('stands still while it is paused', async () => {
    await open()
    await page.getByRole('button', { name: 'Pause' }).click()
    await users.make()
    users.close()
    await page.evaluate('new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))')
    expect(await entry('Made').count()).toBe(0)
    await page.getByRole('button', { name: 'Pause' }).click()
    await entry('Made').waitFor()
  })

  it('keeps the last fifty ledgers with something in them', async () => {
    await open()
    for (let count = 0; count < 52; count++) {
      await users.make()
      users.close()
    }
    await expect.poll(() => totals('made')).toEqual(['52', '520', '520'])
    expect(await page.locator('#list > .ledger').count()).toBe(50)
    for (let count = 0; count < 200; count++) users.close()
    await expect.poll(() => text('#list > li:first-child')).toMatch(/^200 quiet ledgers/)
    expect(await page.locator('#list > .ledger').count()).toBe(50)
  })

  it('fits a telephone of 360 pixels', async () => {
    await page.setViewportSize({ width: 360, height: 640 })
    await users.fulfill(await users.make({ memos: { type: 'x'.repeat(500) } }).finally(() => users.close()))
    users.close()
    await open()
    for (const words of ['Made', 'Fulfilled', 'Payment'])
      await entry(words).first().locator('summary').click()
    await page.locator('.facts').nth(2).waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  })

  it('can be used with the keyboard alone', async () => {
    await users.make()
    users.close()
    await open()
    await entry('Made').waitFor()
    const focused = () => page.evaluate('document.activeElement.innerText') as Promise<string>
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Skip to the ledgers')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Pause')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    expect(await focused()).toContain('Made')
    await page.keyboard.press('Enter')
    await page.locator('.facts').waitFor()
    // New ledgers do not take the focus away.
    await users.make()
    users.close()
    await expect.poll(() => entry('Made').count()).toBe(2)
    expect(await focused()).toContain('Made')
  })

  it('has landmarks, headings and named parts', async () => {
    await users.make()
    users.close()
    await open()
    await entry('Made').waitFor()
    for (const name of ['Payments per ledger', 'Totals', 'Accounts', 'Ledgers, the newest first']) {
      expect(await page.getByRole('region', { name }).count(), name).toBe(1)
      expect(await page.getByRole('heading', { name, level: 2 }).count(), name).toBe(1)
    }
    expect(await page.getByRole('status').count()).toBe(1)
    expect(await page.getByRole('img', { name: 'Payments per ledger' }).count()).toBe(1)
    expect(await page.getByRole('table').count()).toBe(2)
  })
})
