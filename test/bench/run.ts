// npm run bench: measures what this program exists for. Nothing here passes or fails.
// -- --only 1,2 for some of the items, --quick for a short try, --json FILE to keep the figures, --compare FILE to see
// them beside those that were kept.
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { parseArgs } from 'node:util'
import { cost } from './cost.ts'
import { derivation } from './derivation.ts'
import { fill } from './fill.ts'
import { growth } from './growth.ts'
import { manyClients } from './many-clients.ts'
import { pace } from './pace.ts'
import type { Run } from './processes.ts'
import { start } from './start.ts'
import { compare, print, type Section } from './table.ts'

const items: ((run: Run) => Section | Promise<Section>)[] = [
  derivation,
  pace,
  manyClients,
  growth,
  start,
  cost,
  fill
]

interface Report {
  conditions: { date: string; node: string; cpu: string; cores: number; load?: number; quick: boolean }
  seconds: number
  sections: (Section & { item: number })[]
}

const { values } = parseArgs({
  options: {
    compare: { type: 'string' },
    json: { type: 'string' },
    only: { type: 'string', default: items.map((_, at) => at + 1).join() },
    quick: { type: 'boolean', default: false }
  }
})
const chosen = values.only.split(',').map(Number)
const strange = chosen.find(number => !items[number - 1])
if (strange !== undefined) {
  console.error(
    `--only "${values.only}" is not a list of items: choose from 1 to ${items.length}, for example --only 1,2`
  )
  process.exit(1)
}

const earlier: Partial<Report> = values.compare ? JSON.parse(await readFile(values.compare, 'utf8')) : {}

const startedAt = new Date()
const conditions = {
  date: startedAt.toISOString().slice(0, 16).replace('T', ' '),
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
  load: loadavg()[0],
  quick: values.quick
}
console.log(
  `${conditions.date} UTC, Node.js ${conditions.node}, ${conditions.cores} cores of ${conditions.cpu}, ` +
    `${conditions.memoryGiB} GiB, ${conditions.system}`
)
console.log(
  `The ledger is the sandbox and closes every second unless a table says otherwise; load before the start ` +
    `${conditions.load?.toFixed(1)}. A star marks a goal that was missed.`
)
if (conditions.quick) console.log('A quick try: too short for figures to rely on.')

if (earlier.conditions) {
  const { date, node, cores, cpu, load, quick } = earlier.conditions
  console.log(
    `Before: ${date} UTC, Node.js ${node}, ${cores} cores of ${cpu}, load ${load?.toFixed(1)}${quick ? ', a quick try' : ''}.`
  )
}

const sections: Report['sections'] = []
for (const item of chosen) {
  const section = await items[item - 1]?.({ isQuick: values.quick })
  if (!section) continue
  const before = earlier.sections?.find(other => other.item === item)
  console.log(`\n${print(before ? compare(section, before) : section)}`.trimEnd())
  sections.push({ item, ...section })
}
const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000)
console.log(`\nTook ${seconds} s.`)
if (values.json)
  await writeFile(values.json, `${JSON.stringify({ conditions, seconds, sections }, null, 2)}\n`)
process.exit(0)
