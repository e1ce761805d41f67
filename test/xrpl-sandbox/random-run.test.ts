import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { RIPPLE_EPOCH } from '../../src/xrpl-sandbox/ledger/ledger.ts'
import { Bench } from './support.ts'

interface Run {
  firstLedger: number
  /** `submitted`: blobs, each with rippled's engine result or error. */
  ledgers: { closeTime: number; transactionHash: string; submitted: [string, string][] }[]
}

/**
 * Four hundred random transactions that a stand-alone rippled 2.3.0 was given: of all types that the sandbox knows,
 * with tickets, flags, other keys, wrong fields, sequences and signatures. The hash of a ledger's transactions covers
 * their order and every byte of their metadata.
 */
const file = new URL('../fixtures/rippled-2.3.0-random-run.json', import.meta.url)
const run: Run = JSON.parse(readFileSync(file, 'utf8'))

describe('what rippled 2.3.0 was given at random', () => {
  test('has the same results here, in the same ledgers', async () => {
    let now = RIPPLE_EPOCH * 1000
    const bench = await Bench.start({ funding: [], now: () => now })
    const { ledger } = bench.sandbox
    while (ledger.openIndex < run.firstLedger) ledger.close()
    for (const { closeTime, transactionHash, submitted } of run.ledgers) {
      const results: [string, string][] = []
      for (const [tx_blob] of submitted) {
        const { error, result } = await bench.client.ask({ command: 'submit', tx_blob })
        results.push([tx_blob, error ?? result.engine_result])
      }
      expect(results).toEqual(submitted)
      now = closeTime % 10 === 0 ? (closeTime + RIPPLE_EPOCH) * 1000 : now
      const { header } = ledger.close()
      expect([header.ledgerIndex, header.transactionHash]).toEqual([header.ledgerIndex, transactionHash])
    }
    await bench.stop()
  })
})
