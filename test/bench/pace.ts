import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Script, setStage } from '../support/scripts.ts'
import {
  cpuMsOf,
  type LetterLog,
  type Run,
  reportOf,
  startClient,
  startLedger,
  startOwn,
  startShop
} from './processes.ts'
import { quantile } from './statistics.ts'
import type { Row, Section } from './table.ts'

// So many ledgers may close after the last payment; then what has not come is not delivered.
const ledgersToWait = 3
// The floor is not taken more often than this, so that it does not itself slow down what it is compared with.
const minFloorIntervalMs = 50
const floorPath = fileURLToPath(new URL('floor.ts', import.meta.url))
const floors = ['client', 'shop']

/** Whether every payment gets its letter, how fast, and what it costs. */
export async function pace({ isQuick }: Run): Promise<Section> {
  const rows: Row[] = []
  for (const closeIntervalMs of isQuick ? [1000] : [1000, 4000]) {
    for (const intervalMs of isQuick ? [100, 10] : [1000, 100, 10]) {
      rows.push(await measure(closeIntervalMs, intervalMs, isQuick ? 6_000 : 30_000))
    }
  }
  const which = [
    { key: 'close', head: 'close (s)' },
    { key: 'interval', head: 'interval (ms)' }
  ]
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
      {
        name: 'CPU per letter (ms), and its floor with ripple-binary-codec and ripple-keypairs',
        columns: [
          ...which,
          { key: 'sandboxMs', head: 'sandbox', digits: 2 },
          { key: 'clientMs', head: 'client', digits: 2 },
          { key: 'clientFloorMs', head: 'floor', digits: 2 },
          { key: 'clientTimes', head: 'times', digits: 2, atMost: 1.5 },
          { key: 'shopMs', head: 'shop', digits: 2 },
          { key: 'shopFloorMs', head: 'floor', digits: 2 },
          { key: 'shopTimes', head: 'times', digits: 2, atMost: 1.5 }
        ],
        rows
      }
    ],
    notes: [
      'Due: the time divided by the interval; a timer of Node.js is late rather than early. Latency: from a payment to ' +
        `its letter, divided by the time between two ledgers. A letter counts as delivered until ${ledgersToWait} ` +
        'ledgers after the last payment.',
      'Floor: signing, encoding and hashing the same transactions and nothing else, in processes beside the scripts, ' +
        `at the same interval but at least ${minFloorIntervalMs} ms.`
    ]
  }
}

async function measure(closeIntervalMs: number, intervalMs: number, durationMs: number): Promise<Row> {
  const stage = await setStage()
  const floorIntervalMs = Math.max(intervalMs, minFloorIntervalMs)
  const floorScripts = floors.map(role => startOwn(floorPath, [role, `${floorIntervalMs}`]))
  try {
    const ledger = await startLedger(stage, closeIntervalMs)
    const shop = await startShop(stage, ledger)
    const client = startClient(stage, ledger, shop, intervalMs)
    await client.log.letters(1)
    await delay(2_000)

    const scripts = [ledger.script, client.script, shop.script]
    // Whole ledgers, or the last one's work would be missing.
    const wholeMs = Math.max(1, Math.floor(durationMs / closeIntervalMs)) * closeIntervalMs
    const before = await Promise.all([...scripts.map(cpuMsOf), ...floorScripts.flatMap(workOf)])
    const first = client.log.askedAt.length
    await delay(wholeMs)
    const after = await Promise.all([...scripts.map(cpuMsOf), ...floorScripts.flatMap(workOf)])
    const end = client.log.askedAt.length
    await client.log.letters(end, ledgersToWait * closeIntervalMs)

    const asked = end - first
    const spent = after.map((value, at) => value - (before[at] ?? 0))
    const [sandboxMs, clientMs, shopMs] = spent.slice(0, scripts.length).map(ms => ms / asked) as [
      number,
      number,
      number
    ]
    const [clientFloorMs, shopFloorMs] = floors.map((_, at) => {
      const [ms = 0, done = 0] = spent.slice(scripts.length + 2 * at)
      return ms / done
    }) as [number, number]
    const latencies = latenciesOf(client.log, first, end).map(ms => ms / closeIntervalMs)
    return {
      close: closeIntervalMs / 1000,
      interval: intervalMs,
      seconds: wholeMs / 1000,
      due: wholeMs / intervalMs,
      asked,
      delivered: latencies.length,
      ratio: latencies.length / asked,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      sandboxMs,
      clientMs,
      clientFloorMs,
      clientTimes: clientMs / clientFloorMs,
      shopMs,
      shopFloorMs,
      shopTimes: shopMs / shopFloorMs
    }
  } finally {
    await Promise.all(floorScripts.map(script => script.kill()))
    await stage.strike()
  }
}

/** CPU time of a floor, and how many transactions it was for. */
function workOf(script: Script): [Promise<number>, Promise<number>] {
  return [cpuMsOf(script), reportOf(script, 'SIGHUP', /done: (\d+) transactions\n/)]
}

/** Of payments from one number to another, as far as their letters have come: these come in order. */
function latenciesOf({ askedAt, letterAt }: LetterLog, first: number, end: number): number[] {
  return letterAt.slice(first, end).map((at, index) => at - (askedAt[first + index] as number))
}
