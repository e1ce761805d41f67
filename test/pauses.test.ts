import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, type TestContext } from 'vitest'
import { startFaultProxy } from './support/fault-proxy.ts'
import { aside, openLedger, type TestLedger } from './support/ledger.ts'
import { pairs } from './support/pairs.ts'
import { type Script, type Stage, setStage } from './support/scripts.ts'

// A ledger on a busy machine may pause for a while: half of this is taken for a standstill.
const maxSecondsAtRisk = 2
const paused = /Paused: \d+ payments without a letter( \(\d+ not in a ledger yet\))?\n/

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.edit(
    'src/client/payments.ts',
    'maxSecondsAtRisk = 30',
    `maxSecondsAtRisk = ${maxSecondsAtRisk}`
  )
  await stage.edit('src/client/payments.ts', 'minSettleMs = 5_000', 'minSettleMs = 30_000')
  await stage.edit('src/client/payments.ts', '3 * maxSecondsAtRisk', '600')
})

afterAll(() => stage.strike())

// A real server closes ledgers less fast.
const closeEveryMs = process.env.RIPPLED_URL ? 250 : 100

/** A ledger that a test can let stand still. */
async function useLedger({ onTestFinished }: TestContext) {
  const ledger = await openLedger({ closeIntervalMs: 0 })
  let pump: NodeJS.Timeout | undefined
  const standStill = () => clearInterval(pump)
  const goOn = () => {
    pump = setInterval(() => ledger.closeLedger().catch(() => {}), closeEveryMs)
  }
  goOn()
  onTestFinished(async () => {
    standStill()
    await ledger.close()
  })
  return { ledger, goOn, standStill }
}

/** A way to a ledger that a test can block. */
async function useProxy(ledger: TestLedger, { onTestFinished }: TestContext) {
  const proxy = await startFaultProxy(Number(new URL(ledger.url).port))
  onTestFinished(() => proxy.close())
  return proxy
}

describe.each(pairs)('$client', ({ client, shop, lettersIn }) => {
  async function start(ledger: TestLedger, urls: { buyer?: string; seller?: string } = {}) {
    const { buyer: buyerLedger = ledger.url, seller: sellerLedger = ledger.url } = urls
    const seller = stage.run(shop, { ...ledger.env, TEST_LEDGER: sellerLedger, PORT: '0' })
    const [, url = ''] = await seller.says(/Listening on (http:\S+)/)
    const env = {
      ...ledger.env,
      TEST_LEDGER: buyerLedger,
      SHOP_URL: `${url}/`,
      INTERVAL_MS: String(100 * maxSecondsAtRisk)
    }
    const buyer = stage.run(client, env)
    await hasLetters(buyer, 3)
    return { buyer, seller }
  }

  function hasLetters(buyer: Script, count: number): Promise<boolean> {
    return buyer.prints(output => lettersIn(output).length >= count)
  }

  async function endsWithAllLetters(buyer: Script): Promise<void> {
    await hasLetters(buyer, lettersIn(buyer.output).length + 3)
    expect(await buyer.interrupt()).toBe(0)
    const [, payments, letters] = /^(\d+) payments, (\d+) letters: /m.exec(buyer.output) ?? []
    expect(letters).toBe(payments)
  }

  aside('pauses while ledgers stand still, says so once, and goes on', async context => {
    const { ledger, goOn, standStill } = await useLedger(context)
    const { buyer, seller } = await start(ledger)
    standStill()
    await buyer.says(/Paused(?![\s\S]*resumed)/)
    // Twice as long as a payment may be without its letter.
    await Promise.race([delay(2_000 * maxSecondsAtRisk), buyer.ends()])
    expect(buyer.output).not.toMatch(/Paused((?!resumed)[\s\S])*Paused/)
    seller.process.kill('SIGSTOP')
    goOn()
    seller.process.kill('SIGCONT')
    await buyer.says(/Paused[\s\S]*Payments resumed\n/)
    await endsWithAllLetters(buyer)
  })

  aside('waits for the ledger while its own line is cut, and goes on', async context => {
    const { ledger } = await useLedger(context)
    const proxy = await useProxy(ledger, context)
    const { buyer } = await start(ledger, { buyer: proxy.url })
    proxy.accepts = false
    proxy.cut()
    await buyer.says(
      /The ledger cannot be reached, reconnecting: start it with "npm run ledger" if it is the sandbox, or /
    )
    proxy.accepts = true
    await buyer.says(/The ledger is back\n/)
    await endsWithAllLetters(buyer)
  })

  aside("waits for the shop while the shop's line is cut, and goes on", async context => {
    const { ledger } = await useLedger(context)
    const proxy = await useProxy(ledger, context)
    const { buyer, seller } = await start(ledger, { seller: proxy.url })
    proxy.accepts = false
    proxy.cut()
    await seller.says(/The ledger cannot be reached/)
    await buyer.says(paused)
    proxy.accepts = true
    await buyer.says(/Payments resumed\n/)
    await endsWithAllLetters(buyer)
  })

  aside('waits for a shop that was asleep, and goes on', async context => {
    const { ledger } = await useLedger(context)
    const { buyer, seller } = await start(ledger)
    seller.process.kill('SIGSTOP')
    await buyer.says(paused)
    seller.process.kill('SIGCONT')
    await buyer.says(/Payments resumed\n/)
    await endsWithAllLetters(buyer)
  })

  aside('goes on after it was asleep itself', async context => {
    const { ledger } = await useLedger(context)
    const { buyer } = await start(ledger)
    buyer.process.kill('SIGSTOP')
    // Longer than a shop would be waited for.
    await delay(4_000 * maxSecondsAtRisk)
    buyer.process.kill('SIGCONT')
    const before = lettersIn(buyer.output).length
    await hasLetters(buyer, before + 3)
    expect(await buyer.interrupt()).toBe(0)
    expect(buyer.output).not.toContain('Stopped')
  })
})
