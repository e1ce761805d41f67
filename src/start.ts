// npm start: a shop and a client in one terminal, with a line for each payment that grows as the payment goes on. With
// --raw, the two scripts' own lines.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Lines } from './terminal/lines.ts'
import type { ProgressEvent } from './terminal/progress.ts'

const usage = 'npm start [-- --raw]'
// npm passes on a Ctrl-C that this process gets from its terminal too.
const sameSignalMs = 500

/** A payment that is not complete. */
interface PaymentLine {
  number: number
  amount: string
  sentAt: number
  /** seconds after it was sent */
  locked: string
  letter: string
  outcome: string
}

const isRaw = readOptions()
const lines = new Lines(process.stdout)
// By the id of their transfer.
const payments = new Map<string, PaymentLine>()
let sent = 0
// The client comes before the shop: it ends first, while the shop can still fulfill.
const children: ChildProcess[] = []
let ending: ChildProcess | undefined
let endsSince: number | undefined

function readOptions(): boolean {
  try {
    const { help, raw } = parseArgs({
      options: { help: { type: 'boolean', short: 'h' }, raw: { type: 'boolean', default: false } }
    }).values
    if (!help) return raw
    console.log(
      `${usage}\nRuns a shop and a client in one terminal; --raw shows all that the two scripts print`
    )
    return process.exit(0)
  } catch (err) {
    console.error(`${(err as Error).message.split(/\.? To specify|\n/)[0]}. Usage: ${usage}`)
    return process.exit(1)
  }
}

/** Shows what a script reports. */
function show(name: string, message: ProgressEvent): void {
  const { event } = message
  if (event === 'listening') run('client', 'streaming-client2.ts', { SHOP_URL: `${message.url}/` })
  else if (isRaw) return
  else if (event === 'notice') lines.print(name, `${message.text}\n`)
  else showPayment(message)
}

function showPayment(message: Extract<ProgressEvent, { id: string }>): void {
  const { event, id } = message
  if (event === 'sent') {
    const { amount } = message
    const sentAt = performance.now()
    payments.set(id, { number: sent++, amount, sentAt, locked: '', letter: '', outcome: '' })
  }
  const payment = payments.get(id)
  if (!payment) return
  const seconds = `${((performance.now() - payment.sentAt) / 1000).toFixed(1)} s`
  if (event === 'letter') payment.letter = message.letter
  else if (event === 'locked') payment.locked = seconds
  else if (event !== 'sent') payment.outcome = `${event} ${seconds}`
  const isComplete = payment.outcome !== '' && (payment.letter !== '' || event !== 'fulfilled')
  if (isComplete) payments.delete(id)
  showLine(payment, isComplete)
}

function showLine({ number, amount, locked, letter, outcome }: PaymentLine, isComplete: boolean): void {
  // In 57 characters, up to payment 999 and 99.9 s.
  const columns = [
    `#${number}`.padEnd(4),
    `${amount} drops`.padStart(9),
    lines.color('client', (locked && `  locked ${locked}`).padEnd(15)),
    // The shop may hear of a ledger before the client.
    lines.color('shop', (locked && letter && `  letter ${letter}`).padEnd(10)),
    lines.color('shop', outcome && `  ${outcome}`)
  ]
  lines.grow(number, columns.join('').trimEnd(), isComplete)
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
  if (endsSince !== undefined) return
  endsSince = performance.now()
  lines.leaveRow()
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const closed = Promise.all([once(child, 'close'), child.connected && once(child, 'disconnect')])
    ending = child
    child.kill('SIGTERM')
    await closed
  }
  for (const payment of payments.values()) showLine(payment, true)
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // A further Ctrl-C is for the script that is waited for.
    if (endsSince !== undefined && performance.now() - endsSince > sameSignalMs) {
      lines.leaveRow()
      ending?.kill(signal)
    }
    end(0)
  })
}
process.stdout.on('error', () => end(0))

if (!isRaw) {
  console.log('Shop and client running; Ctrl-C stops both')
  console.log('One line per payment, with the seconds since it was sent')
}
run('shop', 'streaming-shop.ts')
