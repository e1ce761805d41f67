import { fileURLToPath } from 'node:url'
import { cpuMsOf, type Run, reportOf, startOwn } from './processes.ts'
import { quantile } from './statistics.ts'
import { ledgersToWait, stream } from './streaming.ts'
import type { Row, Section, Table } from './table.ts'

// The floor is not taken more often than this, so that it does not itself slow down what it is compared with.
const minFloorIntervalMs = 50
const floorPath = fileURLToPath(new URL('floor.ts', import.meta.url))
const floors = ['client', 'shop']

const which = [
  { key: 'close', head: 'close (s)', names: true },
  { key: 'interval', head: 'interval (ms)', names: true }
]

/** Whether every payment gets its letter, how fast, and what it costs. */
export async function pace({ isQuick }: Run): Promise<Section> {
  const rows: Row[] = []
  for (const closeIntervalMs of isQuick ? [1000] : [1000, 4000]) {
    for (const intervalMs of isQuick ? [100, 10] : [1000, 100, 10]) {
      // A payment every second takes its time to be thirty.
      const durationMs = closeIntervalMs === intervalMs ? 30_000 : 20_000
      rows.push(await measure(closeIntervalMs, intervalMs, isQuick ? 6_000 : durationMs))
    }
  }
  return {
    title: '2. Keeping pace',
    tables: [
      {
        name: 'Payments and their letters',
        columns: [
          ...which,
          { key: 'seconds', head: 'seconds' },
          { key: 'due', head: 'due' },
          { key: 'asked', head: 'asked' },
          { key: 'delivered', head: 'delivered' },
          { key: 'ratio', head: 'ratio', digits: 3, atLeast: 0.98 },
          { key: 'p50', head: 'latency p50', digits: 2, atMost: 1.2 },
          { key: 'p99', head: 'p99', digits: 2, atMost: 2.2 }
        ],
        rows
      },
      cpuTable(
        'CPU per letter (ms), and its floor: encoding, signing, hashing',
        rows.filter(({ interval }) => Number(interval) < 1000),
        1.3
      ),
      // Too few letters for the JIT compiler to have warmed up.
      cpuTable(
        'The same at a payment every second',
        rows.filter(({ interval }) => Number(interval) >= 1000),
        2
      )
    ],
    notes: [
      'Due: the time divided by the interval. Latency: from a payment to ' +
        `its letter, divided by the time between two ledgers. A letter counts as delivered until ${ledgersToWait} ` +
        'ledgers after the last payment.',
      'Floor: signing, encoding and hashing the same transactions and nothing else, in processes beside the scripts, ' +
        `at the same interval but at least ${minFloorIntervalMs} ms.`
    ]
  }
}

function cpuTable(name: string, rows: Row[], clientGoal: number): Table {
  return {
    name,
    columns: [
      ...which,
      { key: 'sandboxMs', head: 'sandbox', digits: 2 },
      { key: 'clientMs', head: 'client', digits: 2 },
      { key: 'clientFloorMs', head: 'floor', digits: 2 },
      { key: 'clientTimes', head: 'times', digits: 2, atMost: clientGoal },
      { key: 'shopMs', head: 'shop', digits: 2 },
      { key: 'shopFloorMs', head: 'floor', digits: 2 },
      { key: 'shopTimes', head: 'times', digits: 2, atMost: 1.5 }
    ],
    rows
  }
}

async function measure(closeIntervalMs: number, intervalMs: number, durationMs: number): Promise<Row> {
  const floorIntervalMs = Math.max(intervalMs, minFloorIntervalMs)
  const floorScripts = floors.map(role => startOwn(floorPath, [role, `${floorIntervalMs}`]))
  // CPU time of each floor, and how many transactions it was for.
  const meters = floorScripts.flatMap(script => [
    () => cpuMsOf(script),
    () => reportOf(script, 'SIGCONT', /done: (\d+) transactions\n/)
  ])
  try {
    const streaming = await stream(closeIntervalMs, intervalMs, durationMs, meters)
    const { asked, latencies, cpuMs, counted } = streaming
    const [clientFloor = 0, creates = 0, shopFloor = 0, finishes = 0] = counted
    const seconds = Math.round(streaming.seconds)
    const clientMs = cpuMs.client / asked
    const clientFloorMs = clientFloor / creates
    const shopMs = cpuMs.shop / asked
    const shopFloorMs = shopFloor / finishes
    return {
      close: closeIntervalMs / 1000,
      interval: intervalMs,
      seconds,
      due: (seconds * 1000) / intervalMs,
      asked,
      delivered: latencies.length,
      ratio: latencies.length / asked,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      sandboxMs: cpuMs.sandbox / asked,
      clientMs,
      clientFloorMs,
      clientTimes: clientMs / clientFloorMs,
      shopMs,
      shopFloorMs,
      shopTimes: shopMs / shopFloorMs
    }
  } finally {
    await Promise.all(floorScripts.map(script => script.kill()))
  }
}
