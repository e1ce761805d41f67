import { readFile } from 'node:fs/promises'
import { copyProject, freePort, type ProjectCopy, type Script, withTsx } from '../support/scripts.ts'
import { RawClient } from '../xrpl-sandbox/client.ts'
import type { Run } from './processes.ts'
import { median } from './statistics.ts'
import type { Section, Table } from './table.ts'

const closeIntervalMs = 1000
const goals = { shop: 800, client: 2 * closeIntervalMs + 2_000, clientModules: 350 }

/** plugins.example.ts, with its ledger on a port of its own; it says when it has loaded what it needs. */
const plugins = async (port: number) =>
  (await readFile(new URL('../../plugins.example.ts', import.meta.url), 'utf8'))
    .replace('sandboxLedger()', `sandboxLedger({ port: ${port}, closeIntervalMs: ${closeIntervalMs} })`)
    .replace('function open', "console.log('[modules]')\nfunction open")

interface Phase {
  name: string
  /** what the script prints when the phase is over */
  until: RegExp
}

const connect = { name: 'connect to the ledger', until: /Watch the account/ }
const shopPhases: Phase[] = [
  { name: 'start Node.js, load the modules, start the ledger in the background', until: /\[modules\]/ },
  connect,
  { name: 'open the web server ("Visit")', until: /Visit/ }
]
const clientPhases: Phase[] = [
  { name: 'start Node.js, load the modules, find the ledger', until: /\[modules\]/ },
  connect,
  { name: 'ask the shop, wait the first interval (1 s)', until: /^\.+/m },
  { name: 'the first payment and its letter', until: /^\.+[A-Z]/m }
]

/** How long it takes until something happens, and what it is spent on. */
export async function start({ isQuick }: Run): Promise<Section> {
  const plain = 'typescript' in process.features && Boolean(process.features.typescript)
  const loaders = [{ name: 'tsx', options: withTsx }, ...(plain ? [{ name: 'node', options: [] }] : [])]
  const tables: Table[] = []
  for (const { name, options } of loaders) {
    const port = await freePort()
    const project = await copyProject(await plugins(port))
    const runs: { shop: number[]; client: number[] }[] = []
    try {
      // The first run fills the loader's cache, as a reader's first run does.
      await measure(project, port, options)
      for (let run = 0; run < (isQuick ? 1 : 5); run++) runs.push(await measure(project, port, options))
    } finally {
      await project.remove()
    }
    tables.push(
      toTable(
        `The shop, with ${name}`,
        'listening',
        shopPhases,
        runs.map(({ shop }) => shop),
        goals.shop
      ),
      toTable(
        `The client, with ${name}`,
        'first letter',
        clientPhases,
        runs.map(({ client }) => client),
        goals.client
      )
    )
  }
  return {
    title: '5. Start',
    tables,
    notes: [
      `Milliseconds, medians; a ledger every second; the shop is there before the client. The client's goal is ` +
        `two ledgers and 2 s, and ${goals.clientModules} ms for its first phase through tsx.`,
      ...(plain
        ? []
        : [`Node.js ${process.version} does not run TypeScript by itself: "node" is measured from 22.18 on.`])
    ]
  }
}

/** Starts a shop, and then a client, both on a ledger that they have to start. Returns the times of their phases. */
async function measure(
  project: ProjectCopy,
  port: number,
  loader: string[]
): Promise<{ shop: number[]; client: number[] }> {
  const shopStart = performance.now()
  const shop = project.run('streaming-shop', { PORT: '0' }, [], loader)
  const shopTimes = await timesOf(shop, shopPhases, shopStart)
  const SHOP_URL = /Visit (http:\S+)/.exec(shop.output)?.[1] ?? ''
  const clientStart = performance.now()
  const client = project.run('streaming-client2', { SHOP_URL }, [], loader)
  const clientTimes = await timesOf(client, clientPhases, clientStart)
  await Promise.all([shop.kill(), client.kill()])
  const ledger = await RawClient.connect(`ws://localhost:${port}`)
  await ledger.ask({ command: 'stop' })
  ledger.close()
  return { shop: shopTimes, client: clientTimes }
}

async function timesOf(script: Script, phases: Phase[], start: number): Promise<number[]> {
  const times: number[] = []
  let before = start
  for (const { until } of phases) {
    await script.waitForOutput(until)
    const now = performance.now()
    times.push(now - before)
    before = now
  }
  return times
}

function toTable(name: string, end: string, phases: Phase[], runs: number[][], goal: number): Table {
  const parts = phases.map((phase, at) => ({
    what: phase.name,
    ms: median(runs.map(run => run[at] as number))
  }))
  const total = median(runs.map(run => run.reduce((sum, ms) => sum + ms, 0)))
  return {
    name,
    columns: [
      { key: 'what', head: 'phase', names: true },
      { key: 'ms', head: 'ms' },
      { key: 'total', head: end, atMost: goal }
    ],
    rows: [...parts, { what: `until the ${end === 'listening' ? 'shop listens' : 'first letter'}`, total }]
  }
}
