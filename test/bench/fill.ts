import { cpus } from 'node:os'
import type { Run } from './processes.ts'
import { quantile } from './statistics.ts'
import { ledgersToWait, stream } from './streaming.ts'
import type { Row, Section } from './table.ts'

const closeIntervalMs = 1000
const intervalMs = 1
// Half of what the public ledger carries: a letter is two transactions.
const goalPerSecond = 750
const busy = 0.9

/** How many letters a second one client and one shop can stream, and what keeps them from more. */
export async function fill({ isQuick }: Run): Promise<Section> {
  const { seconds, asked, came, latencies, cpuMs, idle } = await stream(
    closeIntervalMs,
    intervalMs,
    isQuick ? 6_000 : 30_000
  )
  const shares = Object.entries(cpuMs).map(([name, ms]) => ({ name, share: ms / 1000 / seconds }))
  const full = shares.filter(({ share }) => share >= busy).map(({ name }) => `the ${name}'s core`)
  const machine = idle <= 1 - busy ? ["the machine's cores"] : []
  const row: Row = {
    asked: asked / seconds,
    came: came / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    limit: [...full, ...machine].join(', ') || "the client's pace",
    ...Object.fromEntries(Object.entries(cpuMs).map(([name, ms]) => [name, ms / came])),
    all: Object.values(cpuMs).reduce((sum, ms) => sum + ms, 0) / came
  }
  return {
    title: '7. Filling the ledger',
    tables: [
      {
        name: `A payment every millisecond, as far as that goes, for ${Math.round(seconds)} s`,
        columns: [
          { key: 'asked', head: 'asked/s', atLeast: goalPerSecond },
          { key: 'came', head: 'letters/s', atLeast: goalPerSecond },
          { key: 'p50', head: 'latency p50', digits: 2, atMost: 1.2 },
          { key: 'p99', head: 'p99', digits: 2, atMost: 2.2 },
          { key: 'limit', head: 'the limit' }
        ],
        rows: [row]
      },
      {
        name: 'CPU per letter (ms)',
        columns: [
          { key: 'sandbox', head: 'sandbox', digits: 2 },
          { key: 'client', head: 'client', digits: 2 },
          { key: 'shop', head: 'shop', digits: 2 },
          { key: 'all', head: 'all three', digits: 2, atMost: 2.6 }
        ],
        rows: [row]
      }
    ],
    notes: [
      `${cpus().length} cores, which ran idle ${Math.round(idle * 100)} % of the time; of one core ` +
        `${shares.map(({ name, share }) => `the ${name} had ${Math.round(share * 100)} %`).join(', ')}. ` +
        `Latency as in 2, of what came until ${ledgersToWait} ledgers after the last payment.`
    ]
  }
}
