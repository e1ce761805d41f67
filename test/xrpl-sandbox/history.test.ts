import { expect, test } from 'vitest'
import type { ClosedLedger } from '../../src/xrpl-sandbox/ledger/history.ts'
import type { Ledger } from '../../src/xrpl-sandbox/ledger/ledger.ts'
import { Bench, customer, lock, NEVER, shop } from './support.ts'

/** The whole state as it was after a ledger of the history. */
function stateAfter(ledger: Ledger, closed: ClosedLedger) {
  const state = ledger.history.stateAfter(closed, ledger.validated)
  return state && Object.fromEntries(ledger.indexes(closed).map(index => [index, state.read(index)]))
}

/** A history of payments, and of escrows made and finished, with all that was told of it. */
async function past(ledgers: number, historyLimit: number) {
  const bench = await Bench.start({ historyLimit })
  const { ledger } = bench.sandbox
  const snapshots = new Map<number, object>()
  const told: { hash: string; ledgerIndex: number; meta: object }[] = []
  ledger.on('close', closed => {
    const { ledgerIndex } = closed.header
    snapshots.set(ledgerIndex, structuredClone(stateAfter(ledger, closed) as object))
    for (const { hash, meta } of closed.transactions)
      told.push({ hash, ledgerIndex, meta: structuredClone(meta) })
  })
  const { Condition, Fulfillment } = lock('past')
  for (let count = 0; count < ledgers; count++) {
    const { tx_json } = await bench.createEscrow(customer, shop, { Condition, CancelAfter: NEVER })
    for (let more = 0; more < 3; more++) await bench.pay(customer, shop, 1 + more)
    await bench.close()
    await bench.finishEscrow(shop, customer, tx_json.Sequence, { Condition, Fulfillment })
    await bench.close()
  }
  return { bench, ledger, snapshots, told }
}

test('the history tells every state, transaction and account as it was when its ledger closed', async () => {
  const { bench, ledger, snapshots, told } = await past(25, 60)
  const { history } = ledger
  const first = history.first.header.ledgerIndex
  expect(first).toBeGreaterThan(20)
  for (let index = first; index < ledger.openIndex; index++) {
    const closed = history.ledger(index) as NonNullable<ReturnType<typeof history.ledger>>
    expect(stateAfter(ledger, closed)).toEqual(snapshots.get(index))
  }
  const kept = told.filter(({ ledgerIndex }) => ledgerIndex >= first)
  for (const { hash, ledgerIndex, meta } of kept) {
    const found = history.transaction(hash)
    expect(found).toMatchObject({ hash, header: { ledgerIndex } })
    expect(found?.meta).toEqual(meta)
  }
  for (const { hash } of told.filter(({ ledgerIndex }) => ledgerIndex < first))
    expect(history.transaction(hash)).toBeUndefined()
  for (const forward of [true, false]) {
    const all = history.accountTransactions(shop.address, { min: 0, max: 2 ** 31, forward, limit: 1_000 })
    const hashes = kept.map(({ hash }) => hash)
    expect(all.transactions.map(({ hash }) => hash)).toEqual(forward ? hashes : hashes.reverse())
  }
  await bench.stop()
})
