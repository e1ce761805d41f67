import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DistortingServer } from './support/distorting-server.ts'
import { openLedger, type TestLedger } from './support/ledger.ts'
import { copyProject, type ProjectCopy, pairs, type Script } from './support/scripts.ts'

const patienceSeconds = 10
const constants = {
  maxSecondsAtRisk: '1',
  patienceMs: String(patienceSeconds * 1_000),
  maxSettleMs: '120000'
}
// A real server closes ledgers less fast.
const closeEveryMs = process.env.RIPPLED_URL ? 500 : 200
const isReal = process.env.RIPPLED_URL !== undefined

const isPaused = (output: string) =>
  /Paused: \d+ payments without a letter(?![\s\S]*Payments resumed\n)/.test(output)

const isDisconnected = (output: string) =>
  /The ledger cannot be reached(?![\s\S]*The ledger is back\n)/.test(output)

let project: ProjectCopy

beforeAll(async () => {
  project = await copyProject()
})

afterAll(() => project.remove())

// The pairs run beside each other; what happens to one pair happens in turn.
describe.each(pairs)('$client', { concurrent: !isReal }, ({ client, shop, lettersIn }) => {
  describe.sequential('pauses', () => {
    let ledger: TestLedger
    let pump: NodeJS.Timeout | undefined
    let sellersServer: DistortingServer
    let buyersServer: DistortingServer
    let seller: Script
    let buyer: Script

    function closeLedgers(): void {
      pump = setInterval(() => ledger.closeLedger().catch(() => {}), closeEveryMs)
    }

    beforeAll(async () => {
      ledger = await openLedger({ closeIntervalMs: 0 })
      closeLedgers()
      sellersServer = await DistortingServer.start(ledger)
      buyersServer = await DistortingServer.start(ledger)
      const open = await project.openShop(shop, { ...ledger.env, TEST_LEDGER: sellersServer.url })
      seller = open.shop
      const env = { TEST_LEDGER: buyersServer.url, SHOP_URL: open.url, INTERVAL_MS: '200' }
      buyer = project.run(client, { ...ledger.env, ...env, ...constants })
      await getLetters()
    })

    afterAll(async () => {
      clearInterval(pump)
      await buyer.kill()
      await seller.kill()
      await buyersServer.close()
      await sellersServer.close()
      await ledger.close()
    })

    async function getLetters(): Promise<void> {
      const before = lettersIn(buyer.output).length
      await buyer.waitUntil(output => lettersIn(output).length >= before + 3)
    }

    test(`${client} reconnects when its connection to the ledger is cut, and goes on`, async () => {
      const lost = buyer.waitForNextOutput(
        /The ledger cannot be reached, reconnecting: start it with "npm run ledger" if it is the sandbox, or /
      )
      buyersServer.isOpen = false
      buyersServer.cut()
      await lost
      const back = buyer.waitForNextOutput(/The ledger is back\n/)
      buyersServer.isOpen = true
      await back
      await getLetters()
    })

    test(`${client} pauses while its shop has no connection to the ledger, and goes on`, async () => {
      const lost = seller.waitForNextOutput(/The ledger cannot be reached/)
      sellersServer.isOpen = false
      sellersServer.cut()
      await lost
      await buyer.waitUntil(isPaused)
      sellersServer.isOpen = true
      await buyer.waitUntil(output => !isPaused(output))
      await getLetters()
    })

    test(`${client} pauses while its shop is suspended, and goes on`, async () => {
      seller.process.kill('SIGSTOP')
      await buyer.waitUntil(isPaused)
      seller.process.kill('SIGCONT')
      await buyer.waitUntil(output => !isPaused(output))
      await getLetters()
    })

    test(`${client} pauses while no ledger closes, and goes on`, async () => {
      clearInterval(pump)
      await buyer.waitUntil(isPaused)
      closeLedgers()
      await buyer.waitUntil(output => !isPaused(output))
      await getLetters()
    })

    test(`${client} goes on after it was suspended for longer than it waits for a shop`, async () => {
      buyer.process.kill('SIGSTOP')
      await delay((patienceSeconds + 1) * 1_000)
      buyer.process.kill('SIGCONT')
      await getLetters()
      // Its connection to the ledger may have broken meanwhile.
      await buyer.waitUntil(output => !isDisconnected(output))
    })

    test(`${client} has said once that it pauses each time, and has a letter for each payment at the end`, async () => {
      expect(await buyer.interrupt()).toBe(0)
      const [, payments, letters] = /^(\d+) payments, (\d+) letters: /m.exec(buyer.output) ?? []
      expect(letters, buyer.output).toBe(payments)
      expect(buyer.output).not.toMatch(/Paused(?:(?!Payments resumed)[\s\S])*Paused/)
      expect(buyer.output).not.toContain('Stopped')
      expect(await seller.interrupt()).toBe(0)
    })
  })
})
