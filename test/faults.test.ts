import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, type TestContext } from 'vitest'
import { accounts, startSandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { Customer } from './support/customer.ts'
import { DistortingServer } from './support/distorting-server.ts'
import { aside, needsSandbox } from './support/ledger.ts'
import { copyProject, freePort, pairs, type Script } from './support/scripts.ts'
import { RawClient } from './xrpl-sandbox/client.ts'

/** A copy of the project, and a ledger that can go away and come back, on ports that stay the same. */
async function useProject({ onTestFinished }: TestContext) {
  needsSandbox('its ledger goes away')
  const project = await copyProject()
  const start = () => startSandboxLedger({ port: 0, closeIntervalMs: 500 })
  let sandbox = await start()
  const server = await DistortingServer.start(sandbox)
  const shopPort = await freePort()
  onTestFinished(async () => {
    await project.remove()
    await server.close()
    await sandbox.close()
  })
  return {
    ledgerUrl: () => sandbox.url,
    loseLedger() {
      server.isOpen = false
      server.cut()
    },
    findLedger() {
      server.isOpen = true
    },
    async resetLedger() {
      await sandbox.close()
      sandbox = await start()
      server.upstream = sandbox
    },
    async openShop(shop: string): Promise<Script> {
      return (await project.openShop(shop, { TEST_LEDGER: server.url, PORT: String(shopPort) })).shop
    },
    startClient(client: string): Script {
      const env = { SHOP_URL: `http://localhost:${shopPort}/`, INTERVAL_MS: '200', expiresInMs: '200000' }
      return project.run(client, { TEST_LEDGER: server.url, ...env })
    }
  }
}

aside.for(pairs)('$client and $shop go on after the ledger comes back empty', async (pair, context) => {
  const { client, shop, lettersIn } = pair
  const { loseLedger, resetLedger, findLedger, openShop, startClient } = await useProject(context)
  const seller = await openShop(shop)
  const buyer = startClient(client)
  await buyer.waitUntil(output => lettersIn(output).length >= 3)
  loseLedger()
  for (const script of [seller, buyer])
    await script.waitForOutput(/The ledger cannot be reached, reconnecting: start /)
  await resetLedger()
  findLedger()
  for (const script of [seller, buyer]) await script.waitForOutput(/The ledger is back\n/)
  await buyer.waitForOutput(/restarted|reset/)
  const before = lettersIn(buyer.output).length
  await buyer.waitUntil(output => lettersIn(output).length >= before + 3)
  expect(await buyer.interrupt()).toBe(0)
  expect(await seller.interrupt()).toBe(0)
  expect(buyer.output + seller.output).not.toMatch(/^\s+at /m)
  expect(buyer.output.match(/cannot be reached, reconnecting/g)).toHaveLength(1)
  const [, payments, outcomes = ''] = /^(\d+) payments, \d+ letters: (.*)$/m.exec(buyer.output) ?? []
  const known = [...outcomes.matchAll(/\d+/g)].reduce((sum, [number]) => sum + Number(number), 0)
  expect(known).toBe(Number(payments))
  expect(buyer.output).not.toContain('Recovered')
  expect(buyer.output).toMatch(/^\d+0 drops spent \([\d.e-]+ XRP\): \d+0 for letters, \d+0 in fees$/m)
})

aside(
  'every drop is paid for a letter or returned after client, shop and ledger were killed at random moments',
  async context => {
    const { ledgerUrl, loseLedger, findLedger, openShop, startClient } = await useProject(context)
    const { client, shop, lettersIn } = pairs[1] as (typeof pairs)[number]
    const run = { shop: await openShop(shop), client: startClient(client) }
    for (const victim of ['client', 'shop', 'ledger'] as const) {
      await run.client.waitUntil(output => lettersIn(output).length >= 2)
      await delay(randomInt(1_000))
      if (victim === 'ledger') {
        loseLedger()
        await run.client.waitForOutput(/The ledger cannot be reached/)
        findLedger()
      } else await run[victim].kill()
      if (victim === 'shop') {
        // A client stops when its shop does: another takes its place.
        expect(await run.client.waitForEnd()).toBe(1)
        run.shop = await openShop(shop)
      }
      if (victim !== 'ledger') run.client = startClient(client)
    }
    const before = lettersIn(run.client.output).length
    await run.client.waitUntil(output => lettersIn(output).length >= before + 2)
    expect(await run.client.interrupt()).toBe(0)
    expect(await run.shop.interrupt()).toBe(0)

    // Everything expires, and the customer's next run fetches back what was not taken.
    const observer = await RawClient.connect(ledgerUrl())
    const ask = async (request: object) => (await observer.ask(request)).result
    const validated = { ledger_index: 'validated' }
    const customer = await Customer.connect({ url: ledgerUrl() })
    let open = Number.POSITIVE_INFINITY
    for (let ledgers = 0; open > 0 && ledgers < 5_000; ledgers += 100) {
      for (let n = 0; n < 100; n++) await ask({ command: 'ledger_accept' })
      const account = accounts.customer.address
      open = (await ask({ command: 'account_objects', account, ...validated })).account_objects.length
    }
    expect(open).toBe(0)

    const { transactions, marker } = await ask({
      ...{ command: 'account_tx', account: accounts.shop.address, limit: 10_000 },
      ...{ ledger_index_min: -1, ledger_index_max: -1 }
    })
    expect(marker).toBeUndefined()
    const count = { EscrowCreate: 0, EscrowFinish: 0, EscrowCancel: 0 } as Record<string, number>
    const fees = { [accounts.shop.address]: 0, [accounts.customer.address]: 0 } as Record<string, number>
    for (const { tx, meta } of transactions) {
      if (tx.Account in fees) fees[tx.Account] = (fees[tx.Account] as number) + Number(tx.Fee)
      const isSuccess = meta.TransactionResult === 'tesSUCCESS'
      if (isSuccess) count[tx.TransactionType] = (count[tx.TransactionType] ?? 0) + 1
    }
    expect(count.EscrowFinish).toBeGreaterThan(5)
    expect(count.EscrowCreate).toBe((count.EscrowFinish as number) + (count.EscrowCancel as number))
    const paid = 10 * (count.EscrowFinish as number)
    const balanceOf = async (account: string) => {
      const { account_data } = await ask({ command: 'account_info', account, ...validated })
      return Number(account_data.Balance)
    }
    const funded = 10_000_000_000
    expect(await balanceOf(accounts.shop.address)).toBe(
      funded + paid - (fees[accounts.shop.address] as number)
    )
    // The fees of a cancel that came too late do not touch the shop, and so are not in its history.
    const spent = funded - (await balanceOf(accounts.customer.address))
    expect(spent - paid - (fees[accounts.customer.address] as number)).toBeLessThanOrEqual(100)
    expect(spent - paid - (fees[accounts.customer.address] as number)).toBeGreaterThanOrEqual(0)
    await customer.disconnect()
    observer.close()
  }
)
