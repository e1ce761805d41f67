import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Archive } from '../../src/xrpl-sandbox/ledger/archive.ts'
import { metaOf } from '../../src/xrpl-sandbox/ledger/history.ts'
import type { Snapshot } from '../../src/xrpl-sandbox/ledger/ledger.ts'
import { Bench, customer, lock, NEVER, shop } from './support.ts'

describe('an archive', () => {
  test('gives back every record until it is forgotten', () => {
    const archive = new Archive()
    const records = Array.from({ length: 400 }, (_, at) => randomBytes((at * 37) % 2_000))
    records[100] = randomBytes(300_000) // more than a page
    const addresses = records.map(record => archive.append([record.subarray(0, 7), record.subarray(7)]))
    expect(addresses).toEqual(addresses.toSorted((a, b) => a - b))
    const { bytes } = archive
    archive.forgetBefore(addresses[200] as number)
    expect(archive.bytes).toBeLessThan(bytes / 2)
    for (let at = 200; at < 400; at++)
      expect(archive.read(addresses[at] as number).equals(records[at] as Buffer)).toBe(true)
    expect(() => archive.read(addresses[0] as number)).toThrow()
  })
})

/** A history of payments, and of escrows made and finished, with all that was told of it. */
async function past(ledgers: number, historyLimit: number) {
  const bench = await Bench.start({ historyLimit })
  const { ledger } = bench.sandbox
  const snapshots = new Map<number, Snapshot>()
  const told: { hash: string; ledgerIndex: number; meta: object }[] = []
  ledger.on('close', ({ ledger: closed, applied }) => {
    snapshots.set(closed.header.ledgerIndex, structuredClone(ledger.snapshot(closed)))
    for (const { transaction, meta } of applied)
      told.push({
        hash: transaction.hash,
        ledgerIndex: closed.header.ledgerIndex,
        meta: structuredClone(meta)
      })
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
    expect(ledger.snapshot(closed)).toEqual(snapshots.get(index))
  }
  const kept = told.filter(({ ledgerIndex }) => ledgerIndex >= first)
  for (const { hash, ledgerIndex, meta } of kept) {
    const found = history.transaction(hash)
    expect(found).toMatchObject({ hash, ledgerIndex })
    expect(metaOf(found as NonNullable<typeof found>)).toEqual(meta)
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
