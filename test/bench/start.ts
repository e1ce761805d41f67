import { RawClient } from '../sandbox-ledger/client.ts'
import { freePort, type Script, setStage } from '../support/scripts.ts'
import type { Run } from './processes.ts'
import { median } from './statistics.ts'
import type { Section, Table } from './table.ts'

const closeIntervalMs = 1000
const goalMs = 2 * closeIntervalMs + 2_000

/** Like plugins.example.ts, on a port of its own; it says how far it has come. */
const plugins = (port: number) => `
console.log('[modules]')
import PluginXrpEscrow from 'ilp-plugin-xrp-escrow'
import { accounts, sandboxLedger } from './src/sandbox-ledger/index.ts'
const server = await sandboxLedger({ port: ${port}, closeIntervalMs: ${closeIntervalMs} })
console.log('[ledger]')
const open = (secret: string) => {
  const plugin = new PluginXrpEscrow({ server, secret })
  plugin.once('connect', () => console.log('[connected]'))
  return plugin
}
export const xrp = { Customer: () => open(accounts.customer.secret), Shop: () => open(accounts.shop.secret) }
`

interface Phase {
  name: string
  /** what the script prints when the phase is over */
  until: RegExp
}

const modules = { name: 'start Node.js, load the modules', until: /\[modules\]/ }
const connect = { name: 'connect to the ledger', until: /\[connected\]/ }
const shopPhases: Phase[] = [
  modules,
  { name: 'start the ledger in the background', until: /\[ledger\]/ },
  connect,
  { name: 'open the web server ("Visit")', until: /Visit/ }
]
const clientPhases: Phase[] = [
  modules,
  { name: 'find the ledger', until: /\[ledger\]/ },
  connect,
  { name: 'ask the shop, wait the first interval (1 s)', until: /^\.+/m },
  { name: 'the first payment and its letter', until: /^\.+[A-Z]/m }
]

/** How long it takes until something happens, and what it is spent on. */
export async function start({ isQuick }: Run): Promise<Section> {
  const plain = 'typescript' in process.features && Boolean(process.features.typescript)
  const loaders = [
    { name: 'tsx', options: ['--import', 'tsx'] },
    ...(plain ? [{ name: 'node', options: [] }] : [])
  ]
  const tables: Table[] = []
  for (const { name, options } of loaders) {
    const runs: { shop: number[]; client: number[] }[] = []
    for (let run = 0; run < (isQuick ? 1 : 5); run++) runs.push(await measure(options))
    tables.push(
      toTable(
        `The shop, with ${name}`,
        'listening',
        shopPhases,
        runs.map(({ shop }) => shop)
      ),
      toTable(
        `The client, with ${name}`,
        'first letter',
        clientPhases,
        runs.map(({ client }) => client),
        goalMs
      )
    )
  }
  return {
    title: '5. Start',
    tables,
    notes: [
      `Milliseconds, medians; a ledger every second; the shop is there before the client. The goal is two ledgers and 2 s.`,
      ...(plain
        ? []
        : [`Node.js ${process.version} does not run TypeScript by itself: "node" is measured from 22.18 on.`])
    ]
  }
}

/** Starts a shop, and then a client, both on a ledger that they have to start. Returns the times of their phases. */
async function measure(loader: string[]): Promise<{ shop: number[]; client: number[] }> {
  const port = await freePort()
  const stage = await setStage(plugins(port))
  try {
    const shopStart = performance.now()
    const shop = stage.run('src/streaming-shop.ts', { PORT: '0' }, [], loader)
    const shopTimes = await timesOf(shop, shopPhases, shopStart)
    const SHOP_URL = /Visit (http:\S+)/.exec(shop.output)?.[1] ?? ''
    const clientStart = performance.now()
    const client = stage.run('src/streaming-client2.ts', { SHOP_URL }, [], loader)
    return { shop: shopTimes, client: await timesOf(client, clientPhases, clientStart) }
  } finally {
    await stage.strike()
    const ledger = await RawClient.connect(`ws://localhost:${port}`)
    await ledger.ask({ command: 'stop' })
    ledger.close()
  }
}

async function timesOf(script: Script, phases: Phase[], start: number): Promise<number[]> {
  const times: number[] = []
  let before = start
  for (const { until } of phases) {
    await script.says(until)
    const now = performance.now()
    times.push(now - before)
    before = now
  }
  return times
}

function toTable(name: string, end: string, phases: Phase[], runs: number[][], goal?: number): Table {
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
      { key: 'total', head: end, ...(goal !== undefined && { atMost: goal }) }
    ],
    rows: [...parts, { what: `until the ${end === 'listening' ? 'shop listens' : 'first letter'}`, total }]
  }
}
