import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { noChromium, openChromium } from './support/chromium.ts'
import { fastLedger, type Stage, setStage } from './support/scripts.ts'

let ledger: SandboxLedger
let stage: Stage

beforeEach(async () => {
  // Its page keeps what is in the last 24 ledgers.
  ledger = await fastLedger({ closeIntervalMs: 500 })
  stage = await setStage()
})

afterEach(async () => {
  await stage.strike()
  await ledger.close()
})

describe.skipIf(noChromium)(`the page of the ledger${noChromium ? ` (${noChromium})` : ''}`, () => {
  test('shows what streaming-shop and streaming-client2 do, letter by letter', async () => {
    const browser = await openChromium()
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', message => complaints.push(message.text()))
    page.on('pageerror', err => complaints.push(String(err)))
    await page.goto(ledger.url.replace('ws:', 'http:'))
    await page.locator('#status.up').waitFor()

    const shop = stage.run('src/streaming-shop.ts', { TEST_LEDGER: ledger.url, PORT: '0' })
    const [, url = ''] = await shop.says(/Visit (http:\S+)/)
    const client = stage.run('src/streaming-client2.ts', {
      TEST_LEDGER: ledger.url,
      SHOP_URL: url,
      INTERVAL_MS: '500'
    })
    const [, fulfillment = ''] = await shop.says(/using fulfillment: ([\w-]{43})/)
    const first = page.locator('#list > li', { hasText: /^#0\b/ })
    await first.getByText(/fulfilled, \d+ ledger/).waitFor()
    // The lanes move down while new ones come: a click might meet another.
    await first.locator('summary').press('Enter')
    expect(await first.innerText()).toMatch(/#0\s+customer to shop\s+fulfilled, \d+ ledgers?\s+10 drops/)
    await first.getByText(fulfillment).waitFor()
    await client.interrupt()
    await shop.interrupt()

    const letters = shop.output.match(/Payment complete/g)?.length
    const totals = () => page.locator('#total-fulfilled td').allInnerTexts()
    await expect.poll(async () => Number((await totals())[0])).toBeGreaterThanOrEqual(letters ?? 0)
    const [count, drops, fees] = (await totals()).map(cell => Number(cell.replaceAll(',', '')))
    expect([drops, fees]).toEqual([10 * (count as number), 350 * (count as number)])
    expect(complaints).toEqual([])
    await browser.close()
  })
})
