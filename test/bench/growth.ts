import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { copyProject, Script, withTsx } from '../support/scripts.ts'
import { heapOf, type Run, startClient, startLedger, startShop } from './processes.ts'
import { mean, slope } from './statistics.ts'
import type { Row, Section, Table } from './table.ts'

const intervalMs = 5
const closeIntervalMs = 1000
// What is under way comes and goes with every ledger: the heap is looked at so often within one.
const looks = 4
const roundTrips = fileURLToPath(new URL('round-trips.ts', import.meta.url))

/** What letters leave behind. */
export async function growth(run: Run): Promise<Section> {
  return {
    title: '4. Growth',
    tables: [...(await heaps(run)), ...(run.isQuick ? [] : [await history()])],
    notes: [
      `A payment every ${intervalMs} ms and a ledger every second; each heap is the mean of ${looks} looks within one ledger.`,
      'A plugin remembers its last 1,000 transfers that are over: until then it grows, from then on it must not.',
      ...(run.isQuick
        ? ['The sandbox with a long history takes two minutes: a quick try leaves it out.']
        : [])
    ]
  }
}

async function heaps({ isQuick }: Run): Promise<Table[]> {
  const marks = isQuick ? [200, 600, 1_000] : [1_000, 6_000, 12_000, 18_000]
  const project = await copyProject()
  try {
    const ledger = await startLedger(project, closeIntervalMs)
    const shop = await startShop(project, ledger)
    const client = await startClient(project, ledger, shop, intervalMs)
    const points: { letters: number; shop: number; client: number }[] = []
    for (const mark of marks) {
      await client.log.letters(mark)
      const letters = client.log.letterAt.length
      const both: number[][] = []
      for (let look = 0; look < looks; look++) {
        both.push(await Promise.all([heapOf(shop.script), heapOf(client.script)]))
        await delay(closeIntervalMs / looks)
      }
      const [shopHeap = 0, clientHeap = 0] = [0, 1].map(at => mean(both.map(pair => pair[at] as number)))
      points.push({ letters, shop: shopHeap, client: clientHeap })
    }
    const slopeOf = (script: 'shop' | 'client', some: typeof points) =>
      slope(some.map(point => ({ x: point.letters, y: point[script] })))
    const named = (label: string, some: typeof points): Row => ({
      label,
      shop: slopeOf('shop', some),
      client: slopeOf('client', some)
    })
    const pairs = points.slice(1).map((point, at) => [points[at] as (typeof points)[number], point])
    return [
      {
        name: 'Heap after a garbage collection',
        columns: [
          { key: 'letters', head: 'letters' },
          { key: 'shop', head: 'shop (KiB)' },
          { key: 'client', head: 'client (KiB)' }
        ],
        rows: points.map(point => ({
          letters: point.letters,
          shop: point.shop / 1024,
          client: point.client / 1024
        }))
      },
      {
        name: 'Growth of the heap, bytes per letter',
        columns: [
          { key: 'label', head: 'from … to letters', names: true },
          { key: 'shop', head: 'shop', atMost: 50 },
          { key: 'client', head: 'client', atMost: 50 }
        ],
        rows: [
          ...pairs.map(pair =>
            named(pair.map(({ letters }) => letters.toLocaleString('en-US')).join(' … '), pair)
          ),
          named('all (least squares)', points)
        ]
      }
    ]
  } finally {
    await project.remove()
  }
}

/** Runs escrow round trips on sandboxes with a short and with a full history. */
async function history(): Promise<Table> {
  const script = new Script([...withTsx, roundTrips, '1000', '25000'], {})
  if ((await script.waitForEnd()) !== 0) throw new Error(`The round trips failed:\n${script.output}`)
  const found = script.output.matchAll(/(\S+), after (\d+) transactions: ([\d.]+) ms of CPU .* (\d+) MiB/g)
  // An escrow round trip is two transactions.
  const rows = [...found].map(([, keys = '', after, ms, memory]) => ({
    keys,
    after: Number(after),
    ms: Number(ms) / 2,
    memory: Number(memory)
  }))
  const msOfShort = (keys: string) => rows.find(row => row.keys === keys)?.ms ?? 0
  return {
    name: 'Sandbox with a history',
    columns: [
      { key: 'keys', head: "the customer's keys", names: true },
      { key: 'after', head: 'transactions behind it', names: true },
      { key: 'ms', head: 'CPU per transaction (ms)', digits: 2 },
      { key: 'ratio', head: 'ratio', digits: 2, atMost: 1.05 },
      { key: 'memory', head: 'memory (MiB)' }
    ],
    rows: rows.map(row => ({ ...row, ratio: row.ms / msOfShort(row.keys) }))
  }
}
