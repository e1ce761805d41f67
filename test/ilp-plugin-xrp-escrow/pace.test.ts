import { expect, test } from 'vitest'
import { shop, someTransfer, until, usePlugin, useSandbox } from './support.ts'

// How often, on which ledger, and how many: a run asks for two to three seconds.
const runs = [
  { intervalMs: 1000, closeIntervalMs: 1000, count: 3 },
  { intervalMs: 100, closeIntervalMs: 1000, count: 30 },
  { intervalMs: 10, closeIntervalMs: 1000, count: 200 },
  { intervalMs: 1000, closeIntervalMs: 4000, count: 3 },
  { intervalMs: 100, closeIntervalMs: 4000, count: 30 },
  { intervalMs: 10, closeIntervalMs: 4000, count: 200 }
]

test.concurrent.each(runs)(
  'asked every $intervalMs ms on a ledger of $closeIntervalMs ms, transfers are fulfilled as fast as they are asked for',
  async ({ intervalMs, closeIntervalMs, count }) => {
    const sandbox = await useSandbox({ closeIntervalMs })
    const payer = await usePlugin(sandbox.url)
    const payee = await usePlugin(sandbox.url, { secret: shop.secret })
    const fulfillments = new Map<string, string>()
    payee.on('incoming_prepare', ({ id }) => payee.fulfillCondition(id, fulfillments.get(id) as string))
    const sent: Promise<void>[] = []
    await new Promise<void>(resolve => {
      const timer = setInterval(() => {
        const transfer = someTransfer()
        fulfillments.set(transfer.id, transfer.fulfillment)
        sent.push(payer.sendTransfer(transfer))
        if (sent.length < count) return
        clearInterval(timer)
        resolve()
      }, intervalMs)
    })
    const asked = performance.now()
    await until(payer, 'outgoing_fulfill', count)
    await Promise.all(sent)
    // A ledger for the escrow, one for its fulfillment, and what is left of the one they came into.
    expect(performance.now() - asked).toBeLessThan(3 * closeIntervalMs + 500)
  },
  60_000
)
