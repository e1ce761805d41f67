import { expect, onTestFinished, test } from 'vitest'
import { noChromium, openChromium } from './support/chromium.ts'
import { copyProject, fastLedger } from './support/scripts.ts'

test.skipIf(noChromium)('the ledger viewer shows the payments of streaming-client2 one by one', async () => {
  // The page keeps what is in the last 24 ledgers.
  const ledger = await fastLedger({ closeIntervalMs: 500 })
  onTestFinished(() => ledger.close())
  const project = await copyProject()
  onTestFinished(() => project.remove())
  const browser = await openChromium()
  onTestFinished(() => browser.close())
  const page = await browser.newPage()
  await page.goto(ledger.url.replace('ws:', 'http:'))
  await page.locator('#status.up').waitFor()

  const shop = project.run('src/streaming-shop.ts', { TEST_LEDGER: ledger.url, PORT: '0' })
  const [, url = ''] = await shop.waitForOutput(/Visit (http:\S+)/)
  const env = { TEST_LEDGER: ledger.url, SHOP_URL: url, INTERVAL_MS: '500' }
  const client = project.run('src/streaming-client2.ts', env)
  const [, fulfillment = ''] = await shop.waitForOutput(/using fulfillment: ([\w-]{43})/)
  const first = page.locator('#list > li', { hasText: /^#0\b/ })
  await first.getByText(/fulfilled, \d+ ledger/).waitFor()
  // The lanes move down while new ones come: a click might meet another.
  await first.locator('summary').press('Enter')
  expect(await first.innerText()).toMatch(/#0\s+customer to shop\s+fulfilled, \d+ ledgers?\s+10 drops/)
  await first.getByText(fulfillment).waitFor()
  await client.interrupt()
  await shop.interrupt()
})
