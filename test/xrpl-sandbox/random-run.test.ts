import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { rippleEpoch } from '../../src/xrpl-sandbox/ledger/ledger.ts'
import { Bench } from './support.ts'

interface Run {
  firstLedger: number
  /** Close time of the ledger before the first. */
  startTime: number
  /** `submitted`: blobs, each with rippled's engine result or error. */
  ledgers: { closeTime: number; transactionHash: string; submitted: [string, string][] }[]
}

/**
 * Random transactions that a stand-alone rippled 3.2.0 was given: of all types that the sandbox knows, with tickets,
 * flags, other keys, wrong fields, sequences and signatures, and odd encodings of conditions. The hash of a ledger's
 * transactions covers their order and every byte of their metadata.
 */
const file = new URL('../fixtures/rippled-3.2.0-random-run.json', import.meta.url)
const run: Run = JSON.parse(readFileSync(file, 'utf8'))

test('transactions drawn at random have the results that rippled 3.2.0 gave, in the same ledgers', async () => {
  let now = (run.startTime + rippleEpoch) * 1000
  const bench = await Bench.start({ funding: [], now: () => now })
  const { ledger } = bench.sandbox
  expect(ledger.openIndex).toBe(run.firstLedger)
  for (const { closeTime, transactionHash, submitted } of run.ledgers) {
    const results: [string, string][] = []
    for (const [tx_blob] of submitted) {
      const { error, result } = await bench.client.ask({ command: 'submit', tx_blob })
      results.push([tx_blob, error ?? result.engine_result])
    }
    expect(results).toEqual(submitted)
    now = (closeTime - 5 + rippleEpoch) * 1000
    const { header } = ledger.close()
    expect(header).toMatchObject({ closeTime, transactionHash })
  }
  await bench.stop()
})
