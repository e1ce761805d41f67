import { randomInt } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, type TestContext } from 'vitest'
import { Client } from 'xrpl'
import { accounts } from '../src/xrpl-sandbox/index.ts'
import { Customer } from './support/customer.ts'
import { aside, needsSandbox } from './support/ledger.ts'
import { pairs } from './support/pairs.ts'
import { freePort, type Script, setStage } from './support/scripts.ts'

/** A stage, with the ledger's state on it and a port for the ledger and the shop, each the same whenever they start. */
async function useStage({ onTestFinished }: TestContext) {
  needsSandbox('it kills the ledger')
  const stage = await setStage()
  onTestFinished(() => stage.strike())
  const ledgerPort = await freePort()
  const shopPort = await freePort()
  const stateFile = join(stage.folder, 'ledger-state')
  const ledgerUrl = `ws://localhost:${ledgerPort}`

  async function openLedger(): Promise<Script> {
    const args = ['--port', String(ledgerPort), '--close-interval', '500', '--state', stateFile]
    const ledger = stage.run('src/xrpl-sandbox/main.ts', {}, args)
    await ledger.says(/Sandbox ledger at/)
    return ledger
  }

  async function openShop(shop: string): Promise<Script> {
    const run = stage.run(shop, { TEST_LEDGER: ledgerUrl, PORT: String(shopPort) })
    await run.says(/Visit/)
    return run
  }

  function startClient(client: string): Script {
    return stage.run(client, {
      TEST_LEDGER: ledgerUrl,
      SHOP_URL: `http://localhost:${shopPort}/`,
      INTERVAL_MS: '200'
    })
  }

  return { stateFile, ledgerUrl, openLedger, openShop, startClient }
}

describe.each(pairs)('$client and $shop', ({ client, shop, lettersIn }) => {
  aside.for([
    { how: 'where it was', keepsState: true },
    { how: 'empty', keepsState: false }
  ])('go on when the ledger was killed and comes back $how', async ({ keepsState }, context) => {
    const { stateFile, openLedger, openShop, startClient } = await useStage(context)
    const ledger = await openLedger()
    const seller = await openShop(shop)
    const buyer = startClient(client)
    await buyer.prints(output => lettersIn(output).length >= 3)
    await ledger.kill()
    await seller.says(/The ledger cannot be reached: reconnecting\n/)
    await buyer.says(/The ledger cannot be reached: reconnecting\n/)
    if (!keepsState) await rm(stateFile)
    await openLedger()
    await seller.says(/The ledger is back\n/)
    await buyer.says(/The ledger is back\n/)
    if (!keepsState) await buyer.says(/restarted empty/)
    const before = lettersIn(buyer.output).length
    await buyer.prints(output => lettersIn(output).length >= before + 3)
    expect(await buyer.interrupt()).toBe(0)
    expect(await seller.interrupt()).toBe(0)
    expect(buyer.output + seller.output).not.toMatch(/^\s+at /m)
    expect(buyer.output.match(/cannot be reached: reconnecting/g)).toHaveLength(1)
    const [, payments, fates = ''] = /^(\d+) payments, \d+ letters: (.*)$/m.exec(buyer.output) ?? []
    const known = [...fates.matchAll(/\d+/g)].reduce((sum, [number]) => sum + Number(number), 0)
    expect(known).toBe(Number(payments))
    if (keepsState) expect(fates).not.toContain('undecided')
    expect(buyer.output).not.toContain('Recovered')
    expect(buyer.output).toMatch(/^[\d.]+ XRP spent: \d+0 drops on letters, \d+0 in fees$/m)
  })
})

const drops = 'every drop is with its owner: paid for a letter, or returned'
aside(`after kills at random moments, ${drops}`, async context => {
  const { ledgerUrl, openLedger, openShop, startClient } = await useStage(context)
  const { client, shop, lettersIn } = pairs[1] as (typeof pairs)[number]
  const run = { ledger: await openLedger(), shop: await openShop(shop), client: startClient(client) }
  const start = {
    ledger: openLedger,
    shop: () => openShop(shop),
    client: async () => startClient(client)
  }
  for (const victim of ['client', 'shop', 'ledger'] as const) {
    await run.client.prints(output => lettersIn(output).length >= 2)
    await delay(randomInt(1_000))
    await run[victim].kill()
    // A client stops when its shop does: another takes its place.
    if (victim === 'shop') expect(await run.client.ends()).toBe(1)
    run[victim] = await start[victim]()
    if (victim === 'shop') run.client = startClient(client)
  }
  const before = lettersIn(run.client.output).length
  await run.client.prints(output => lettersIn(output).length >= before + 2)
  expect(await run.client.interrupt()).toBe(0)
  expect(await run.shop.interrupt()).toBe(0)

  // Everything expires, and the customer's next run fetches back what was not taken.
  const observer = new Client(ledgerUrl)
  await observer.connect()
  const customer = await Customer.connect({ url: ledgerUrl })
  let open = Number.POSITIVE_INFINITY
  for (let ledgers = 0; open > 0 && ledgers < 5_000; ledgers += 100) {
    for (let n = 0; n < 100; n++) await observer.request({ command: 'ledger_accept' } as never)
    const { result } = await observer.request({
      command: 'account_objects',
      account: accounts.customer.address
    })
    open = result.account_objects.length
  }
  expect(open).toBe(0)

  const { result } = await observer.request({
    command: 'account_tx',
    account: accounts.shop.address,
    limit: 10_000
  })
  expect(result.marker).toBeUndefined()
  const count = { EscrowCreate: 0, EscrowFinish: 0, EscrowCancel: 0 } as Record<string, number>
  const fees = { [accounts.shop.address]: 0, [accounts.customer.address]: 0 } as Record<string, number>
  for (const { tx_json, meta } of result.transactions) {
    const { Account, TransactionType, Fee } = tx_json as unknown as Record<string, string>
    if (Account && Account in fees) fees[Account] = (fees[Account] as number) + Number(Fee)
    const isSuccess = (meta as { TransactionResult: string }).TransactionResult === 'tesSUCCESS'
    if (isSuccess && TransactionType) count[TransactionType] = (count[TransactionType] ?? 0) + 1
  }
  expect(count.EscrowFinish).toBeGreaterThan(5)
  expect(count.EscrowCreate).toBe((count.EscrowFinish as number) + (count.EscrowCancel as number))
  const paid = 10 * (count.EscrowFinish as number)
  const balanceOf = async (account: string) => {
    const info = await observer.request({ command: 'account_info', account, ledger_index: 'validated' })
    return Number(info.result.account_data.Balance)
  }
  const funded = 10_000_000_000
  expect(await balanceOf(accounts.shop.address)).toBe(funded + paid - (fees[accounts.shop.address] as number))
  // The fees of a cancel that came too late do not touch the shop, and so are not in its history.
  const spent = funded - (await balanceOf(accounts.customer.address))
  expect(spent - paid - (fees[accounts.customer.address] as number)).toBeLessThanOrEqual(100)
  expect(spent - paid - (fees[accounts.customer.address] as number)).toBeGreaterThanOrEqual(0)
  await customer.disconnect()
  await observer.disconnect()
})
