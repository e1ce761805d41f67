import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Wallet } from 'xrpl'
import {
  next,
  shop,
  someTransfer,
  storiesOf,
  type TestPlugin,
  until,
  useFaultyLedger,
  usePlugin
} from './support.ts'

const transfers = import.meta.env.MODE === 'soak' ? 10_000 : 300
const atATime = 40
// On average; by what was achieved, or a slow machine would get nowhere.
const transfersPerCut = 20

/** Fulfills whatever comes in, and counts how often that was refused. */
function fulfillAll(payee: TestPlugin, fulfillments: Map<string, string>) {
  const failures: unknown[] = []
  payee.on('incoming_prepare', async ({ id }) => {
    const fulfillment = fulfillments.get(id) as string
    // While the connection is down, the plugin says so at once.
    for (;;) {
      try {
        return await payee.fulfillCondition(id, fulfillment)
      } catch (err) {
        if ((err as Error).name !== 'UnreachableError') return failures.push(err as Error)
        if (!payee.isConnected()) await next(payee, 'connect')
      }
    }
  })
  return failures
}

test(`${transfers} transfers over connections that break at random are settled once each, to the drop`, async () => {
  // Ed25519 is the faster algorithm: here the processor sets the pace.
  const secret = 'sEdTM1uX8pu2do5XvTnutH6HsouMaM2'
  const addresses = [Wallet.fromSeed(secret).classicAddress, shop.address]
  const funding = addresses.map(address => ({ address, xrp: 10_000 }))
  const ledger = await useFaultyLedger({ closeIntervalMs: 100, funding })
  const payer = await usePlugin(ledger.url, { secret })
  const payee = await usePlugin(ledger.url, { secret: shop.secret })
  for (const plugin of [payer, payee]) plugin.setMaxListeners(0)
  // The balances are read past the faults.
  const direct = [
    await usePlugin(ledger.sandbox.url, { secret }),
    await usePlugin(ledger.sandbox.url, { secret: shop.secret })
  ]
  const balances = () => Promise.all(direct.map(async plugin => BigInt(await plugin.getBalance())))
  const before = await balances()
  const all = Array.from({ length: transfers }, () => someTransfer())
  const failures = fulfillAll(payee, new Map(all.map(({ id, fulfillment }) => [id, fulfillment])))

  let cuts = 0
  let untilCut = randomInt(2 * transfersPerCut)
  payee.on('incoming_fulfill', async () => {
    if (untilCut-- > 0) return
    untilCut = randomInt(2 * transfersPerCut)
    await delay(randomInt(200))
    if (++cuts % 3 === 0) ledger.proxy.cutCleanly()
    else ledger.proxy.cut()
  })

  /** Sends one transfer after the other, as often as the connection lets it. */
  async function send(): Promise<void> {
    for (let transfer = all[sent++]; transfer; transfer = all[sent++]) {
      for (;;) {
        try {
          await payer.sendTransfer(transfer)
          break
        } catch (err) {
          if ((err as Error).name !== 'UnreachableError') throw err
          if (!payer.isConnected()) await next(payer, 'connect')
        }
      }
    }
  }
  let sent = 0
  await Promise.all(Array.from({ length: atATime }, send))
  await until(payer, 'outgoing_fulfill', transfers)
  await until(payee, 'incoming_fulfill', transfers)

  expect(failures).toEqual([])
  const stories = (plugin: TestPlugin) =>
    [...storiesOf(plugin.told)].map(([id, story]) => [id, ...story].join(' '))
  const ids = all.map(({ id }) => id).sort()
  expect(stories(payer).sort()).toEqual(ids.map(id => `${id} outgoing_prepare outgoing_fulfill`))
  expect(stories(payee).sort()).toEqual(ids.map(id => `${id} incoming_prepare incoming_fulfill`))
  expect(cuts).toBeGreaterThan(5)
  const after = await balances()
  const changes = before.map((drops, account) => (after[account] ?? 0n) - drops)
  expect(changes).toEqual([BigInt(transfers * (-10 - 10)), BigInt(transfers * (10 - 350))])
}, 600_000)
