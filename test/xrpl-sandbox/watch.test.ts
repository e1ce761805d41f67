import axe from 'axe-core'
import { serializeIlpPayment } from 'ilp-packet'
import type { Browser, Page, WebSocketRoute } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { accounts } from '../../src/xrpl-sandbox/index.ts'
import { noChromium, openChromium } from '../support/chromium.ts'
import { copyProject, freePort } from '../support/scripts.ts'
import { Bench, customer, lock, shop, wallet } from './support.ts'

const ilpMemo = 'https://interledger.org/rel/xrpIlp'
const desktop = { width: 1280, height: 800 }
const toHex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()

/** The memo of a payment as the tutorial's clients number them. */
function numbered(paymentId: number) {
  const account = `test.xrp.${shop.address}.client.${paymentId}`
  const packet = serializeIlpPayment({ account, amount: '10', data: Buffer.alloc(0) })
  return { [ilpMemo]: packet.toString('base64url') }
}

let bench: Bench

function close(count = 1) {
  for (let i = 0; i < count; i++) bench.sandbox.ledger.close()
}

/** Waits for a submission, then closes the ledger that it is in. */
async function validated<T>(submission: Promise<T>): Promise<T> {
  const result = await submission
  close()
  return result
}

async function accepted(submission: ReturnType<Bench['submit']>) {
  const { engine_result, tx_json } = await submission
  expect(engine_result).toBe('tesSUCCESS')
  return tx_json
}

let escrows = 0

/** Creates an escrow of the customer. */
async function create({ Amount = '10', seconds = 1000, memos = {}, Destination = shop.address } = {}) {
  const { Condition, Fulfillment } = lock(String(escrows++))
  const CancelAfter = bench.sandbox.ledger.closedHeader.closeTime + seconds
  const Memos = Object.entries<string>(memos).map(([type, data]) => ({
    Memo: { MemoType: toHex(type), MemoData: toHex(data) }
  }))
  const terms = { Amount, Condition, CancelAfter, ...(Memos.length > 0 && { Memos }) }
  const { Sequence } = await accepted(bench.createEscrow(customer, { address: Destination }, terms))
  return { Sequence: Number(Sequence), Condition, Fulfillment }
}

type Escrow = Awaited<ReturnType<typeof create>>

/** Returns the fulfillment as the page shows it. */
async function fulfill({ Sequence, ...lock }: Escrow) {
  await accepted(bench.finishEscrow(shop, customer, Sequence, lock))
  return Buffer.from(lock.Fulfillment.slice(8), 'hex').toString('base64url')
}

describe.skipIf(noChromium)(`The ledger viewer${noChromium ? ` (${noChromium})` : ''}`, () => {
  let browser: Browser
  /** The page of the test that runs: this one, or where a test stands between the page and its server, the other. */
  let page: Page
  let plain: Page
  let routed: Page
  /** What the browser's console says, and the connections of the routed page. */
  let complaints: string[]
  let sockets: WebSocketRoute[]
  let onSocket: (socket: WebSocketRoute) => void

  async function newPage(): Promise<Page> {
    const opened = await browser.newPage({ timezoneId: 'UTC', reducedMotion: 'reduce', viewport: desktop })
    opened.setDefaultTimeout(120_000)
    opened.on('console', message => complaints.push(message.text()))
    opened.on('pageerror', err => complaints.push(String(err)))
    return opened
  }

  beforeAll(async () => {
    browser = await openChromium()
    plain = await newPage()
    routed = await newPage()
    await routed.routeWebSocket(/^wss?:/, socket => {
      sockets.push(socket)
      onSocket(socket)
    })
  })
  afterAll(() => browser?.close())

  beforeEach(async () => {
    bench = await Bench.start()
    page = plain
    complaints = []
    sockets = []
    onSocket = socket => socket.connectToServer()
  })
  afterEach(async () => {
    await page.goto('about:blank')
    await bench.stop()
    expect(complaints).toEqual([])
  })

  const home = () => `http://localhost:${bench.sandbox.port}/`
  const text = (selector: string) => page.locator(selector).innerText()
  const connected = () => page.locator('#status.up').waitFor()
  const totals = (kind: string) => page.locator(`#total-${kind} td`).allInnerTexts()
  const lanes = () => page.locator('#list > li')
  const lane = (words: string) => page.locator('#list > li', { hasText: words })
  const top = (words: string) => lane(words).evaluate(node => node.getBoundingClientRect().top)
  /** Where the marks of a lane are, from left to right. */
  const marks = async (words: string, kind: string) => {
    const path = (await lane(words).locator(`path.${kind}`).first().getAttribute('d')) ?? ''
    return [...path.matchAll(/M(\S+)/g)].map(([, x]) => Number(x))
  }
  const balances = async () => {
    const rows = await page.locator('#accounts summary').allTextContents()
    return rows.map(row => row.split(/\s+/).filter(Boolean))
  }

  async function open(search = '') {
    await page.goto(home() + search)
    await connected()
  }

  it('the viewer shows payments live and from history, in both API versions', async () => {
    page = routed
    await open()
    await expect.poll(() => text('#nothing')).toContain('npm run streaming-shop')
    const letter = await create({ memos: numbered(7) })
    await validated(create({ Amount: '25', memos: numbered(8) }))
    await expect.poll(() => text('#list')).toMatch(/^#8\s+customer to shop\s+locked\s+25 drops\s+#7/)
    expect(await page.locator('#nothing').isHidden()).toBe(true)
    onSocket = socket => {
      const ledger = socket.connectToServer()
      const withVersion = (text: string) => JSON.stringify({ api_version: 2, ...JSON.parse(text) })
      socket.onMessage(message => ledger.send(withVersion(`${message}`)))
    }
    await open()
    await lane('#8').waitFor()
    close()
    const fulfillment = await validated(fulfill(letter))
    for (const api_version of [2, 1]) {
      await lane('fulfilled, 2 ledgers').waitFor()
      await expect.poll(() => text('#locked')).toMatch(/1 payment\s+25 drops/)
      expect(await lanes().count()).toBe(2)
      expect(await text('#settlement')).toContain('2 ledgers')
      expect(await text('#fees')).toMatch(/360 drops\s+370 drops in total/)
      expect(await text('figcaption')).toMatch(/2 created.*1 fulfilled.*0 canceled/s)
      const [created, fulfilled] = [await marks('#7', 'created'), await marks('#7', 'fulfilled')]
      expect(Number(fulfilled) - Number(created)).toBe(20)
      expect(await page.locator('#plot .created').getAttribute('d')).toMatch(/^M\S+ 30h7v-28h-7z$/)
      expect(await totals('created')).toEqual(['2', '35', '20'])
      expect(await totals('fulfilled')).toEqual(['1', '10', '350'])
      expect((await balances())[0]).toEqual(['shop', '9,999.999660', '−340'])
      if (api_version === 1) break
      onSocket = socket => socket.connectToServer()
      await open(`?account=${shop.address}`)
    }
    await lane('#7').locator('summary').click()
    await page.locator('.content dl').first().waitFor()
    const facts = await lane('#7').locator('.content').innerText()
    const packet = `10 for test.xrp.${shop.address}.client.7`
    for (const fact of [fulfillment, customer.address, shop.address, packet]) expect(facts).toContain(fact)
  })

  it('the viewer shows the payments of streaming-client2 one by one', async () => {
    const project = await copyProject()
    onTestFinished(() => project.remove())
    const pump = setInterval(close, 500)
    onTestFinished(() => clearInterval(pump))
    await open()
    const env = { TEST_LEDGER: bench.sandbox.url, PORT: '0', INTERVAL_MS: '500' }
    const seller = project.run('streaming-shop', env)
    const [, SHOP_URL = ''] = await seller.waitForOutput(/Visit (http:\S+)/)
    const buyer = project.run('streaming-client2', { ...env, SHOP_URL })
    const [, fulfillment = ''] = await seller.waitForOutput(/using fulfillment: ([\w-]{43})/)
    const first = page.locator('#list > li', { hasText: /^#0\b/ })
    await first.getByText(/fulfilled, \d+ ledger/).waitFor()
    // The lanes move down while new ones come: a click might meet another.
    await first.locator('summary').press('Enter')
    expect(await first.innerText()).toMatch(/#0\s+customer to shop\s+fulfilled, \d+ ledgers?\s+10 drops/)
    await first.getByText(fulfillment).waitFor()
    await buyer.interrupt()
    await seller.interrupt()
  })

  it('the viewer shows expired escrows as canceled, and failed transactions with their result', async () => {
    await open()
    const { Sequence } = await validated(create({ seconds: 3 }))
    const early = await validated(bench.cancelEscrow(customer, customer, Sequence))
    expect(early.engine_result).toBe('tecNO_PERMISSION')
    await page.locator('#others', { hasText: 'tecNO_PERMISSION' }).waitFor()
    // A ledger's time is at least a second after its parent's.
    close(3)
    await validated(accepted(bench.cancelEscrow(customer, customer, Sequence)))
    await lane('canceled, 5 ledgers').waitFor()
    await expect.poll(() => totals('canceled')).toEqual(['1', '10', '10'])
    await expect.poll(() => text('#locked')).toContain('0 payments')
    expect(await marks('canceled', 'canceled')).toHaveLength(1)
  })

  it('the viewer counts escrows that were created before its history', async () => {
    const letter = await validated(create({ Amount: '25' }))
    close(200)
    await open()
    await lane('locked, 200 ledgers').waitFor()
    expect(await text('#locked')).toMatch(/1 payment\s+25 drops/)
    await validated(fulfill(letter))
    await lane('fulfilled, 201 ledgers').locator('summary').click()
    await expect.poll(() => text('#list details[open]')).toMatch(/Created\nLedger\n\d+\nFulfilled/)
  })

  it('many payments of one ledger share a lane, which opens to show each of them', async () => {
    await open()
    const letters: Escrow[] = []
    for (let number = 0; number < 12; number++) letters.push(await create({ memos: numbered(number) }))
    close()
    await lane('#0–11').waitFor()
    for (const letter of letters.slice(0, 4)) await fulfill(letter)
    close()
    await lane('8 of 12 locked').waitFor()
    for (const letter of letters.slice(4)) await fulfill(letter)
    close()
    await lane('12 fulfilled, 1–2 ledgers').waitFor()
    expect(new Set(await marks('#0–11', 'fulfilled')).size).toBe(2)
    expect(await lanes().count()).toBe(1)
    await lane('#0–11').locator('summary').click()
    await page.locator('#list li li', { hasText: '#11' }).waitFor()
    expect(await page.locator('#list li li').count()).toBe(12)
    await page.locator('#list li li summary').last().click()
    await expect.poll(() => text('#list li li:last-child')).toMatch(/#0\s.*fulfilled, 1 ledger.*Condition/s)
  })

  it('a lane opened by keyboard keeps its place and focus while new payments come', async () => {
    await validated(create({ memos: numbered(0) }))
    await open()
    await lane('#0').waitFor()
    const focused = () => page.evaluate('document.activeElement.innerText')
    const keys = { Tab: 'Skip to the payments', Enter: 'Payments', 'Shift+Tab': 'Legend' }
    for (const [key, name] of Object.entries(keys)) {
      await page.keyboard.press(key)
      expect(await focused()).toContain(name)
    }
    await page.keyboard.press('Tab')
    await validated(create({ memos: numbered(1) }))
    await lane('#1').waitFor()
    expect(await focused()).toContain('#0')
    await page.keyboard.press('Enter')
    await page.locator('.facts').first().waitFor()
    const before = await top('#0')
    await validated(create({ memos: numbered(2) }))
    const newer = page.getByRole('button', { name: 'Close details, show 1 newer' })
    await newer.waitFor()
    expect(await top('#0')).toBe(before)
    await newer.click()
    await expect.poll(() => lanes().count()).toBe(3)
    expect(await page.locator('#list details[open]').count()).toBe(0)
  })

  it('the viewer shows HTML in memos as text, and skips malformed transactions', async () => {
    page = routed
    await open()
    const tx = { TransactionType: 'EscrowCreate', Account: 'r', Fee: '10', hash: 'A', ledger_index: 3 }
    const meta = { TransactionResult: 'tesSUCCESS', TransactionIndex: 0, AffectedNodes: [] as unknown }
    const escrow = { DeletedNode: { LedgerEntryType: 'Escrow', LedgerIndex: 'B', FinalFields: {} } }
    const memo = { MemoType: 'ZZ', MemoData: '41'.repeat(2_000_000) }
    for (const [fields, changed] of [
      [{}, { AffectedNodes: {} }],
      [{}, { AffectedNodes: [null, 1, 'x'] }],
      [{ Fee: 'much' }, {}],
      [{ Memos: 'none' }, {}],
      [{ Memos: [{ Memo: memo }] }, {}],
      [{ TransactionType: 'constructor', hash: 'C' }, { AffectedNodes: [escrow] }],
      [{ TransactionType: 'EscrowFinish', hash: 'D' }, { AffectedNodes: [escrow] }]
    ] as const) {
      const message = { transaction: { ...tx, ...fields }, meta: { ...meta, ...changed } }
      sockets[0]?.send(JSON.stringify({ type: 'transaction', validated: true, ...message }))
    }
    const html = '<img src="x" onerror="document.title = 1"><script>document.title = 2</script>'
    await validated(create({ memos: { note: html, [ilpMemo]: `${html}${'A'.repeat(600)}` } }))
    await lane('locked').locator('summary').click()
    await expect.poll(() => text('#list details[open]')).toContain(`note\n${html}`)
    expect(await page.locator('img, #list script').count()).toBe(0)
    expect(await page.title()).toBe('Ledger viewer')
    expect(sockets).toHaveLength(1)
  })

  it('the viewer starts over with a ledger that was restarted', async () => {
    await bench.stop()
    bench = await Bench.start({ port: await freePort() })
    await open()
    await validated(create())
    await lane('10 drops').waitFor()
    await bench.stop()
    await page.locator('#status.down').waitFor()
    await expect.poll(() => text('#status')).toContain('npm run ledger')
    bench = await Bench.start({ port: bench.sandbox.port })
    await validated(create({ Amount: '12' }))
    await connected()
    await expect.poll(() => totals('created')).toEqual(['1', '12', '10'])
    await expect.poll(() => lanes().count()).toBe(1)
    // The browser itself logs that the ledger was away: no page can prevent it.
    complaints = complaints.filter(message => !/^WebSocket connection to .* failed/.test(message))
  })

  it('?server= and ?account= show only these accounts on that server, once the user agrees', async () => {
    const other = wallet('other').address
    const short = `${other.slice(0, 5)}…${other.slice(-4)}`
    await validated(accepted(bench.pay(customer, { address: other }, 20_000_000)))
    const server = `ws://127.0.0.1:${bench.sandbox.port}`
    await page.goto(`${home()}?server=${server}&account=${shop.address}&account=${other}`)
    await page.getByRole('button', { name: 'Connect' }).click()
    await connected()
    expect(await text('#filter')).toMatch(new RegExp(`Only the payments of\\s+shop\\s+${short}`))
    await create({ Amount: '99', Destination: accounts.genesis.address })
    await create({ Destination: other })
    await validated(create())
    await lane(`customer to ${short}`).waitFor()
    await expect.poll(() => totals('created')).toEqual(['2', '20', '20'])
    expect((await balances()).map(([name]) => name)).toEqual(['shop', short])
    await page.getByRole('link', { name: 'View the ledger that this page is from' }).first().click()
    await lane('99 drops').waitFor()
  })

  it('the page loads nothing, and connects unasked only to its own server and the Testnet', async () => {
    page = routed
    const response = await page.goto(home())
    await connected()
    expect(response?.headers()['content-security-policy']).toContain("default-src 'none'")
    sockets = []
    onSocket = () => {}
    const button = page.getByRole('button', { name: 'Connect' })
    const opened = () => sockets.map(socket => socket.url())
    const account = `&account=${shop.address}`
    for (const [search, message] of [
      ['?server=http://example.com', 'use ws:// or wss://'],
      ['?server=ws://example.com/%23x', 'use ws:// or wss://'],
      ['?server=wss://s.altnet.rippletest.net:51233@example.com', 'without a user name'],
      ['?server=ws://', "is not a server's address"],
      ['?server=wss://example.com', 'add &account=r…'],
      ['?account=rNobody', '"rNobody" is not an account'],
      [`?server=wss://example.com:81/x${account}`, 'wss://example.com:81 is neither this sandbox'],
      [`?server=ws://localhost:1${account}`, 'is neither this sandbox nor the XRP Testnet'],
      [`?server=ws://s.altnet.rippletest.net:51233${account}`, 'is neither this sandbox']
    ] as const) {
      await page.goto(home() + search)
      await expect.poll(() => text('#notice')).toContain(message)
      expect(await button.isVisible()).toBe(message.includes('neither'))
      expect(await page.locator('footer').isVisible()).toBe(false)
    }
    expect(sockets).toEqual([])
    await button.click()
    await expect.poll(opened).toEqual(['ws://s.altnet.rippletest.net:51233/'])
    for (const server of [`ws://localhost:${bench.sandbox.port}`, 'wss://s.altnet.rippletest.net:51233']) {
      sockets = []
      await page.goto(`${home()}?server=${server}${account}`)
      await expect.poll(opened).toEqual([`${server}/`])
    }
  })

  it('the viewer reports what a server answers as text, and keeps trying', async () => {
    page = routed
    const failure = { status: 'error', error: 'actMalformed', error_message: '<b>No.</b>' }
    const refuse = (text: string) => JSON.stringify({ ...JSON.parse(text), ...failure })
    for (const [answer, sentence] of [
      [(text: string) => text, 'is not an XRP Ledger server'],
      [() => 'hello', 'is not an XRP Ledger server'],
      [refuse, 'answers "<b>No.</b>"']
    ] as const) {
      sockets = []
      onSocket = socket => socket.onMessage(message => socket.send(answer(`${message}`)))
      await page.goto(`${home()}?account=${shop.address}`)
      await expect.poll(() => text('#status')).toContain(sentence)
    }
    await expect.poll(() => sockets.length).toBeGreaterThan(1)
  })

  it('a page that was paused shows the last ledgers with payments, and a quiet time as one column', async () => {
    await open()
    await page.getByRole('button', { name: 'Pause' }).click()
    for (let number = 0; number < 30; number++)
      await validated(fulfill(await create({ memos: numbered(number) })))
    expect(await lanes().count()).toBe(0)
    await page.getByRole('button', { name: 'Pause' }).click()
    await expect.poll(() => totals('created')).toEqual(['30', '300', '300'])
    await expect.poll(() => lanes().count()).toBe(24)
    close(200)
    await page.getByText(`ledger ${bench.sandbox.ledger.closedHeader.ledgerIndex}`, { exact: true }).waitFor()
    expect(await lanes().count()).toBe(23)
    // Created comes before fulfilled within one ledger too.
    expect(await marks('#29', 'created')).toEqual([225])
    expect(await marks('#29', 'fulfilled')).toEqual([229])
  })

  it('a phone of 360 pixels shows the folded legend, then the payments, without scrolling sideways', async () => {
    await page.setViewportSize({ width: 360, height: 640 })
    onTestFinished(() => page.setViewportSize(desktop))
    await validated(fulfill(await create({ memos: { ...numbered(7), type: 'x'.repeat(500) } })))
    await open()
    await lane('#7').waitFor()
    expect(await top('#7')).toBeLessThan(600)
    const legend = page.locator('#legend')
    expect((await legend.boundingBox())?.y).toBeLessThan(await top('#7'))
    expect(await legend.innerText()).toBe('Legend')
    await legend.locator('summary').click()
    await expect.poll(() => legend.innerText()).toContain('millionths of an XRP')
    await lane('#7').locator('summary').click()
    for (const list of ['#accounts', '#others']) await page.locator(`${list} summary`).first().click()
    await page.locator('.facts').nth(2).waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360)
  })

  it('axe finds nothing, in light and dark, with payments, without, and with a notice', async () => {
    const expectNoFindings = async () => {
      if (await page.evaluate('!window.axe')) await page.evaluate(axe.source)
      for (const colorScheme of ['dark', 'light'] as const) {
        await page.emulateMedia({ colorScheme })
        // In another scheme only the colors differ.
        const rules = colorScheme === 'dark' ? '{}' : "{ runOnly: ['color-contrast'] }"
        const { violations } = (await page.evaluate(`axe.run(${rules})`)) as axe.AxeResults
        expect(violations, colorScheme).toEqual([])
      }
    }
    await open()
    await page.locator('#others li').first().waitFor()
    await expectNoFindings()
    const letter = await validated(create({ memos: { ...numbered(0), note: 'hello' } }))
    await create()
    await validated(fulfill(letter))
    await lane('fulfilled').locator('summary').click()
    await page.locator('#accounts summary').first().click()
    await page.locator('#others summary').first().click()
    await page.locator('.content dl').first().waitFor()
    await expectNoFindings()
    for (const name of ['Payments', 'Legend', 'Totals', 'Accounts', 'Other transactions'])
      expect(await page.getByRole('region', { name, exact: true }).count(), name).toBe(1)
    await page.goto(`${home()}?server=ws://localhost:1&account=${shop.address}`)
    await page.getByRole('button', { name: 'Connect' }).waitFor()
    await expectNoFindings()
  })
})
