// npm start: a shop and a client in one terminal, with a line for each payment that grows as the payment goes on. With
// --raw, the two scripts' own lines.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Lines } from './terminal/lines.ts'
import type { ProgressEvent } from './terminal/progress.ts'

const isRaw = process.argv.includes('--raw')
const lines = new Lines(process.stdout)

// The payments that are not complete, by number.
const payments = new Map<number, { amount: string; locked: string; letter: string; outcome: string }>()
// The client comes before the shop: it ends first, while the shop can still fulfill.
const children: ChildProcess[] = []
let isEnding = false

/** Shows what a script reports. A letter is for the first payment without one: the shop sells them in their order. */
function show(name: string, message: ProgressEvent): void {
  const { event } = message
  if (event === 'listening') run('client', 'streaming-client2.ts', { SHOP_URL: `${message.url}/` })
  else if (isRaw) return
  else if (event === 'notice') lines.print(name, `${message.text}\n`)
  else if (event === 'letter') {
    const [number, payment] = [...payments].find(([, { letter }]) => letter === '') ?? []
    if (payment) payment.letter = message.letter
    showPayment(number)
  } else {
    const payment = payments.get(message.payment) ?? { amount: '', locked: '', letter: '', outcome: '' }
    payments.set(message.payment, payment)
    if (event === 'sent') payment.amount = message.amount
    else if (event === 'locked') payment.locked = timeOfDay()
    else payment.outcome = `${event} ${timeOfDay()}`
    showPayment(message.payment)
  }
}

function showPayment(number = -1, isLast = false): void {
  const payment = payments.get(number)
  if (!payment) return
  const { amount, locked, letter, outcome } = payment
  const columns = [
    `payment ${number}`.padEnd(14),
    `${amount} drops`.padStart(9),
    lines.color('client', (locked && `   locked ${locked}`).padEnd(20)),
    lines.color('shop', (letter && `   letter ${letter}`).padEnd(11)),
    lines.color('shop', outcome && `   ${outcome}`)
  ]
  const isComplete = outcome !== '' && (letter !== '' || !outcome.startsWith('fulfilled'))
  if (isComplete) payments.delete(number)
  lines.grow(number, columns.join('').trimEnd(), isComplete || isLast)
}

/** The time of day, to a tenth of a second. */
function timeOfDay(): string {
  const date = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000)
  return date.toISOString().slice(11, 21)
}

function run(name: string, file: string, env: Record<string, string> = {}): void {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, path], {
    env: { ...process.env, ...env, REPORT_PROGRESS: 'yes' },
    // Ctrl-C reaches all processes of a terminal, but these are to end one after the other. Should this process be
    // killed, the channel to them closes, and they end by themselves.
    detached: true,
    stdio: ['ignore', isRaw ? 'pipe' : 'ignore', 'pipe', 'ipc']
  })
  child.stdout?.setEncoding('utf8').on('data', text => lines.print(name, text))
  child.stderr?.setEncoding('utf8').on('data', text => lines.print(name, isRaw ? text : text.trimStart()))
  child.on('message', message => show(name, message as ProgressEvent))
  child.on('close', code => end(code ?? 1))
  children.unshift(child)
}

async function end(code: number): Promise<void> {
  if (isEnding) return
  isEnding = true
  lines.leaveRow()
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const closed = Promise.all([once(child, 'close'), child.connected && once(child, 'disconnect')])
    child.kill('SIGTERM')
    await closed
  }
  for (const number of payments.keys()) showPayment(number, true)
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(0))
process.stdout.on('error', () => end(0))

if (!isRaw) console.log("Shop and client running; Ctrl-C stops both (-- --raw: the scripts' own lines)")
run('shop', 'streaming-shop.ts')
