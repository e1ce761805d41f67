import { expect, test } from 'vitest'
import { TransferLog, type TransferRecord } from '../../src/ilp-plugin-xrp-escrow/transfer-log.ts'
import { customer, prefix, shop } from './support.ts'

/** A record that counts how often its expiry is looked at. */
function countedRecord(sequence: number, cancelAfter: number, looks: { count: number }): TransferRecord {
  return {
    transfer: {
      id: `transfer ${sequence}`,
      from: prefix + customer.address,
      to: prefix + shop.address,
      ledger: prefix,
      amount: '10',
      ilp: ''
    },
    terms: '',
    state: 'prepared',
    escrow: { owner: customer.address, sequence },
    get cancelAfter() {
      looks.count++
      return cancelAfter
    }
  }
}

test('20,000 open transfers are not looked at for each ledger, and each is found when its time is over', () => {
  const looks = { count: 0 }
  const log = new TransferLog('outgoing', 1_000)
  const records = Array.from({ length: 20_000 }, (_, sequence) =>
    countedRecord(sequence, sequence % 2 ? 1_000 : 2_000, looks)
  )
  for (const record of records) log.add(record)
  looks.count = 0
  for (let closeTime = 0; closeTime <= 1_000; closeTime++) expect(log.expired(closeTime)).toEqual([])
  expect(looks.count).toBe(0)

  const [even, odd] = [0, 1].map(rest => records.filter((_, sequence) => sequence % 2 === rest))
  expect(new Set(log.expired(1_001))).toEqual(new Set(odd))
  const before = looks.count
  for (const record of odd ?? []) log.close(record, 'cancelled')
  for (let closeTime = 1_002; closeTime <= 2_000; closeTime++) expect(log.expired(closeTime)).toEqual([])
  expect(looks.count).toBe(before)
  expect(new Set(log.expired(2_001))).toEqual(new Set(even))
})
