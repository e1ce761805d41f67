import { expect, test } from 'vitest'
import { shop, someTransfer, until, usePlugin, useSandbox } from './support.ts'

// How often, on which ledger, and how many.
const runs = [
  { intervalMs: 1000, closeIntervalMs: 1000, count: 3 },
  { intervalMs: 100, closeIntervalMs: 1000, count: 20 },
  { intervalMs: 10, closeIntervalMs: 1000, count: 100 },
  { intervalMs: 1000, closeIntervalMs: 4000, count: 2 },
  { intervalMs: 100, closeIntervalMs: 4000, count: 10 },
  { intervalMs: 10, closeIntervalMs: 4000, count: 100 }
]

/** Asks for transfers at a steady rate. Returns how many ledgers after the last one all were fulfilled. */
async function ledgersBehind({ intervalMs, closeIntervalMs, count }: (typeof runs)[number]): Promise<number> {
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
  const asked = sandbox.ledger.openIndex
  await until(payer, 'outgoing_fulfill', count)
  await Promise.all(sent)
  return sandbox.ledger.closedHeader.ledgerIndex - asked
}

test('transfers are fulfilled as fast as they are asked for, however often and however slow the ledger', async () => {
  const behind = await Promise.all(runs.map(ledgersBehind))
  // The last one is in the ledger that is open when it is asked for, or in the next, and its fulfillment follows.
  for (const [index, run] of runs.entries()) expect(behind[index], JSON.stringify(run)).toBeLessThanOrEqual(3)
})
