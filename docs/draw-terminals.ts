// npm run picture: runs streaming-shop and streaming-client2 on a sandbox and draws what appeared in their terminals,
// when it appeared, as terminals.svg.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const letters = 8
const columns = 68
const lineHeight = 17
const charWidth = 7.23
const padding = 14
const titleHeight = 30
const gap = 24

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

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Cuts a recording into lines of the terminal, each of pieces that appeared at different times. */
function toLines(recording: Recording): Recording[] {
  const lines: Recording[] = [[]]
  for (const { atSeconds, text } of recording) {
    text.split('\n').forEach((part, i) => {
      if (i > 0) lines.push([])
      if (part) lines.at(-1)?.push({ atSeconds, text: part })
    })
  }
  return lines.filter(line => line.length > 0)
}

function drawWindow(title: string, lines: Recording[], x: number, height: number): string {
  const width = columns * charWidth + 2 * padding
  const rows = lines.map((line, row) => {
    let column = 0
    return line
      .map(({ atSeconds, text }) => {
        const shown = column + text.length > columns ? `${text.slice(0, columns - column - 1)}…` : text
        const piece = `<text class="${/^[.A-Z]+$/.test(text) ? 'stream' : 'line'}" style="animation-delay:${atSeconds.toFixed(2)}s" x="${(x + padding + column * charWidth).toFixed(1)}" y="${titleHeight + padding + (row + 1) * lineHeight - 5}" xml:space="preserve">${escapeXml(shown)}</text>`
        column += text.length
        return piece
      })
      .join('')
  })
  return [
    `<rect class="window" x="${x}" y="0" width="${width.toFixed(0)}" height="${height}" rx="8"/>`,
    `<text class="title" x="${x + padding}" y="20">${title}</text>`,
    ...rows
  ].join('\n')
}

const shop = run('streaming-shop')
await printed(shop, /Visit/)
const client = run('streaming-client2')
await printed(client, new RegExp(`(?:\\.[.]*[A-Z][.A-Z]*?){${letters}}`))
client.child.kill('SIGINT')
await once(client.child, 'close')
shop.child.kill('SIGINT')
await once(shop.child, 'close')

const [shopLines, clientLines] = [toLines(shop.recording), toLines(client.recording)]
const height = titleHeight + 2 * padding + Math.max(shopLines.length, clientLines.length) * lineHeight
const windowWidth = Math.round(columns * charWidth + 2 * padding)
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${2 * windowWidth + gap} ${height}" role="img" aria-label="Two terminals: a shop that accepts payments, and a client in which a dot appears for each payment and a letter for each dot">
<style>
.window { fill: #1d2228; }
text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d5dbe1; }
.title { fill: #8b96a1; }
.line, .stream { opacity: 0; animation: appear 0.01s linear forwards; }
.stream { fill: #f2c14e; font-weight: bold; }
@keyframes appear { to { opacity: 1; } }
@media (prefers-reduced-motion: reduce) { .line, .stream { animation: none; opacity: 1; } }
</style>
${drawWindow('the shop', shopLines, 0, height)}
${drawWindow('the client', clientLines, windowWidth + gap, height)}
</svg>
`
await writeFile(new URL('terminals.svg', import.meta.url), svg)
console.log(
  `Drew ${shopLines.length} lines of the shop and ${clientLines.length} of the client into docs/terminals.svg`
)
