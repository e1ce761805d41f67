// npm start: a shop and a client in one terminal, with a line for each payment that grows as the payment goes on.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import * as lines from './terminal/lines.ts'
import type { ProgressEvent } from './terminal/progress.ts'
import { onShutdown, shutdown } from './terminal/shutdown.ts'

/** A payment that is not complete. */
interface PaymentLine {
  number: number
  amount: string
  sentAt: number
  /** seconds after it was sent */
  locked?: string
  letter?: string
  outcome?: string
}

// By the id of their transfer.
const payments = new Map<string, PaymentLine>()
let sent = 0
let ending: ChildProcess | undefined

/** Shows what a script reports of a payment. */
function showPayment(message: Extract<ProgressEvent, { id: string }>): void {
  const { event, id } = message
  if (event === 'sent')
    payments.set(id, { number: sent++, amount: message.amount, sentAt: performance.now() })
  const payment = payments.get(id)
  if (!payment) return
  const seconds = `${((performance.now() - payment.sentAt) / 1000).toFixed(1)} s`
  if (event === 'letter') payment.letter = message.letter
  else if (event === 'locked') payment.locked = seconds
  else if (event !== 'sent') payment.outcome = `${event} ${seconds}`
  const isComplete = Boolean(payment.outcome && (payment.letter || event !== 'fulfilled'))
  if (isComplete) payments.delete(id)
  showLine(payment, isComplete)
}

function showLine(payment: PaymentLine, isComplete: boolean): void {
  const { number, amount, locked = '', letter = '', outcome } = payment
  // In 57 characters, up to payment 999 and 99.9 s.
  const columns = [
    `#${number}`.padEnd(4),
    `${amount} drops`.padStart(9),
    lines.color('client', (locked && `  locked ${locked}`).padEnd(15)),
    // The shop may hear of a ledger before the client.
    lines.color('shop', (locked && letter && `  letter ${letter}`).padEnd(10)),
    lines.color('shop', outcome ? `  ${outcome}` : '')
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
    stdio: ['ignore', 'ignore', 'pipe', 'ipc']
  })
  child.stderr?.setEncoding('utf8').on('data', text => lines.print(name, text))
  child.on('message', (message: ProgressEvent) => {
    if (message.event === 'listening') run('client', 'streaming-client2.ts', { SHOP_URL: `${message.url}/` })
    else if (message.event === 'notice') lines.print(name, message.text)
    else showPayment(message)
  })
  child.on('close', code => shutdown(code ?? 1))
  // The client, which is run after the shop, ends before it: then the shop can still fulfill.
  onShutdown(async function () {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = Promise.all([once(child, 'close'), child.connected && once(child, 'disconnect')])
    ending = child
    child.kill('SIGTERM')
    await closed
  })
}

onShutdown(function () {
  for (const payment of payments.values()) showLine(payment, true)
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    lines.leaveRow()
    // A further Ctrl-C is for the script that is waited for.
    ending?.kill(signal)
  })
}

const [option] = process.argv.slice(2)
if (option !== undefined) {
  console.log('Usage: npm start, without options: runs a shop and a client in one terminal')
  process.exit(option === '--help' ? 0 : 1)
}
console.log('Shop and client running; Ctrl-C stops both')
console.log('One line per payment, with the seconds since it was sent')
run('shop', 'streaming-shop.ts')
