// npm run picture: runs streaming-shop and streaming-client2 and draws what appears in their terminals once letters
// flow, when it appeared, over and over, as terminals.svg.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const letters = 10
const rows = 9 // of the shop's terminal
const pauseSeconds = 1.5 // before it all begins again

/** What a script printed, and when: seconds since the start. */
type Recording = { atSeconds: number; text: string }[]

const started = performance.now()

function run(name: string): { child: ChildProcess; recording: Recording } {
  const path = fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const recording: Recording = [{ atSeconds: since(), text: `$ npm run ${name}\n` }]
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    recording.push({ atSeconds: since(), text })
    child.emit('printed')
  })
  return { child, recording }
}

function since(): number {
  return (performance.now() - started) / 1000
}

async function printed(run: { child: ChildProcess; recording: Recording }, pattern: RegExp): Promise<void> {
  while (!pattern.test(run.recording.map(({ text }) => text).join(''))) await once(run.child, 'printed')
}

/** The dots and letters of a client, without its other lines. */
function streamOf(recording: Recording): Recording {
  return recording.filter(({ text }) => /^[.A-Z]+$/.test(text))
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Hashes and secrets, cut to where they can be told apart. */
function shortened(text: string): string {
  return text.replace(/([\w-]{6})[\w-]{37}(?![\w-])/g, '$1…')
}

const shop = run('streaming-shop')
await printed(shop, /Visit/)
const client = run('streaming-client2')
const received = () => streamOf(client.recording).flatMap(({ text }) => text.match(/[A-Z]/g) ?? [])
while (received().length < letters) await once(client.child, 'printed')
client.child.kill('SIGINT')
await once(client.child, 'close')
shop.child.kill('SIGINT')
await once(shop.child, 'close')

// From the first payment to the last letter.
const stream = streamOf(client.recording)
const [first, last] = [stream.at(0)?.atSeconds ?? 0, stream.at(-1)?.atSeconds ?? 0]
const sold = shop.recording
  .filter(({ atSeconds }) => atSeconds >= first && atSeconds <= last)
  .flatMap(({ atSeconds, text }) =>
    text
      .split('\n')
      .filter(Boolean)
      .map(line => ({ atSeconds, text: shortened(line) }))
  )
const cycle = last - first + pauseSeconds
const percent = (atSeconds: number) => (((atSeconds - first) / cycle) * 100).toFixed(1)

// Each moment at which something appears is an animation of its own, which begins again with the cycle.
const moments = [...new Set([...stream, ...sold].map(({ atSeconds }) => percent(atSeconds)))]
const moment = (atSeconds: number) => `m${moments.indexOf(percent(atSeconds))}`
const appearing = moments.map(
  (at, number) =>
    `@keyframes m${number} { 0%, ${at}% { opacity: 0 } ${Number(at) + 0.1}%, 100% { opacity: 1 } } .m${number} { animation-name: m${number} }`
)
// The shop's terminal scrolls when it is full.
const lineHeight = 20
const scrolled = new Map(
  sold.map(({ atSeconds }, line) => [percent(atSeconds), Math.max(0, line + 1 - rows)])
)
const scrolling = [...scrolled].map(
  ([at, lines]) => `${at}% { transform: translateY(${-lines * lineHeight}px) }`
)

const height = 44 + rows * lineHeight + 16
const letterWidth = 21
const perRow = 12
const drawnLetters = stream
  .flatMap(({ atSeconds, text }) => [...text].map(letter => ({ atSeconds, letter })))
  .map(({ atSeconds, letter }, position) => {
    const [x, y] = [20 + (position % perRow) * letterWidth, 84 + Math.floor(position / perRow) * 44]
    return `<text class="${letter === '.' ? 'payment' : 'letter'} ${moment(atSeconds)}" x="${x}" y="${y}">${letter}</text>`
  })
const drawnLines = sold.map(
  ({ atSeconds, text }, line) =>
    `<text class="line ${moment(atSeconds)}" x="328" y="${64 + line * lineHeight}" xml:space="preserve">${escapeXml(text)}</text>`
)
const description =
  'Two terminals: a client in which a dot appears for each payment and a letter for each dot, and a shop that accepts the payments'
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 ${height}" role="img" aria-label="${description}">
<style>
svg { --window: #f3f5f7; --edge: #d5dae0; --text: #384049; --title: #68727d; --letter: #9a5b00; }
@media (prefers-color-scheme: dark) { svg { --window: #1d2228; --edge: #333b44; --text: #d5dbe1; --title: #8b96a1; --letter: #f2c14e; } }
.window { fill: var(--window); stroke: var(--edge); }
text { font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--text); animation: 1s step-end infinite; animation-duration: ${cycle.toFixed(2)}s; }
.title { fill: var(--title); animation: none; }
.payment, .letter { font-size: 34px; }
.letter { fill: var(--letter); font-weight: bold; }
.lines { animation: scroll ${cycle.toFixed(2)}s step-end infinite; }
${appearing.join('\n')}
@keyframes scroll { 0% { transform: none } ${scrolling.join(' ')} }
@media (prefers-reduced-motion: reduce) { text { animation: none } .lines { animation: none; transform: translateY(${-Math.max(0, sold.length - rows) * lineHeight}px) } }
</style>
<clipPath id="shop"><rect x="312" y="48" width="548" height="${height - 58}"/></clipPath>
<rect class="window" x="0.5" y="0.5" width="296" height="${height - 1}" rx="8"/>
<text class="title" x="20" y="26">$ npm run streaming-client2</text>
<rect class="window" x="312.5" y="0.5" width="547" height="${height - 1}" rx="8"/>
<text class="title" x="328" y="26">$ npm run streaming-shop</text>
${drawnLetters.join('\n')}
<g clip-path="url(#shop)"><g class="lines">
${drawnLines.join('\n')}
</g></g>
</svg>
`
await writeFile(new URL('terminals.svg', import.meta.url), svg)
console.log(
  `Drew ${stream.length} pieces of the client and ${sold.length} lines of the shop into docs/terminals.svg`
)
