import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openLedger, type TestLedger } from './support/ledger.ts'
import { pairs } from './support/pairs.ts'
import { type Script, type Stage, setStage } from './support/scripts.ts'

let stage: Stage
let ledger: TestLedger
let pump: NodeJS.Timeout | undefined

beforeAll(async () => {
  stage = await setStage()
  await stage.edit('src/client/payments.ts', 'maxSecondsAtRisk = 30', 'maxSecondsAtRisk = 1')
})

beforeEach(async () => {
  ledger = await openLedger({ closeIntervalMs: 0 })
  goOn()
})

afterEach(async () => {
  standStill()
  await ledger.close()
})

afterAll(() => stage.strike())

function goOn(): void {
  pump = setInterval(() => ledger.closeLedger().catch(() => {}), 100)
}

function standStill(): void {
  clearInterval(pump)
}

describe.each(pairs)('$client', ({ client, shop, lettersIn }) => {
  async function start(): Promise<{ buyer: Script; seller: Script }> {
    const seller = stage.run(shop, { ...ledger.env, PORT: '0' })
    const [, url = ''] = await seller.says(/Listening on (http:\S+)/)
    const buyer = stage.run(client, { ...ledger.env, SHOP_URL: `${url}/`, INTERVAL_MS: '100' })
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

  test('waits while ledgers stand still, says so once, and goes on', async () => {
    const { buyer } = await start()
    standStill()
    await buyer.says(/The ledger stands still: waiting for it to go on\n/)
    // Twice as long as a payment may be without its letter.
    const ticks = new Promise(resolve => setTimeout(resolve, 2_000))
    await Promise.race([ticks, buyer.ends()])
    goOn()
    await buyer.says(/Paying again\n/)
    await endsWithAllLetters(buyer)
    expect(buyer.output.match(/waiting/g)).toHaveLength(1)
  })

  test('waits for a shop that was asleep', async () => {
    const { buyer, seller } = await start()
    seller.process.kill('SIGSTOP')
    await buyer.says(/The shop has not taken the last \d+ payments: waiting for it\n/)
    seller.process.kill('SIGCONT')
    await buyer.says(/Paying again\n/)
    await endsWithAllLetters(buyer)
  })
})
