// npm start: a shop and a client in one terminal, with a line for each payment that grows as the payment goes on. With
// --raw, the two scripts' own lines.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Step } from './client/story.ts'
import { Lines } from './terminal/lines.ts'

const isRaw = process.argv.includes('--raw')
const lines = new Lines(process.stdout)

// The payments whose story is not at its end, by number.
const payments = new Map<number, { amount: string; locked: string; letter: string; outcome: string }>()

/** Goes on with the story. A letter is for the first payment that has none: the shop sells them in their order. */
function tell(step: Step): void {
  if (step.step === 'sent')
    payments.set(step.payment, { amount: step.amount, locked: '', letter: '', outcome: '' })
  const withoutLetter = [...payments].find(([, { letter }]) => letter === '')?.[0]
  const number = step.step === 'letter' ? withoutLetter : step.payment
  const payment = payments.get(number ?? -1)
  if (number === undefined || !payment) return
  if (step.step === 'letter') payment.letter = step.letter
  else if (step.step === 'locked') payment.locked = now()
  else if (step.step !== 'sent') payment.outcome = `${step.step} ${now()}`
  show(number, payment.outcome !== '' && (payment.letter !== '' || !payment.outcome.startsWith('fulfilled')))
}

function show(number: number, isComplete: boolean): void {
  const payment = payments.get(number)
  if (!payment) return
  const { amount, locked, letter, outcome } = payment
  const columns = [
    `payment ${number}`.padEnd(14),
    `${amount} drops`.padStart(9),
    lines.colour('client', (locked && `   locked ${locked}`).padEnd(20)),
    lines.colour('shop', (letter && `   letter ${letter}`).padEnd(11)),
    lines.colour('shop', outcome && `   ${outcome}`)
  ]
  if (isComplete) payments.delete(number)
  lines.grow(number, columns.join('').trimEnd(), isComplete)
}

/** The time of day, to a tenth of a second. */
function now(): string {
  const date = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000)
  return date.toISOString().slice(11, 21)
}

/** What of a script's own lines is worth one beside the payments, or nothing: the steps of the tutorial are not. */
function worthALine(name: string, line: string): string {
  if (name === 'client') {
    const isKnown = /^([.A-Z]*|(Sandbox ledger|XRP test network): .*)$/.test(line)
    return isKnown ? '' : line.replace(/^ +- /, '')
  }
  const isStep = /^( |==)/.test(line) && !/refused|not taken|Error/.test(line)
  return isStep ? '' : line.replace(/^(Sandbox ledger: [^(]*) \(.*/, '$1')
}

function run(name: string, file: string, env: Record<string, string> = {}): ChildProcess {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, path], {
    env: { ...process.env, ...env, TELL_STORY: 'yes' },
    // Ctrl-C reaches all processes of a terminal; these are kept from it, to be ended one after the other. Should this
    // process be killed, the channel to it closes, and they end by themselves.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc']
  })
  for (const output of [child.stdout, child.stderr]) {
    let rest = ''
    output?.setEncoding('utf8').on('data', (text: string) => {
      if (isRaw) return lines.print(name, text)
      const whole = `${rest}${text}`.split('\n')
      rest = whole.pop() ?? ''
      // The dots and letters of a stream are a line without end.
      if (/^[.A-Z]+$/.test(rest)) rest = ''
      for (const line of whole) {
        const shown = output === child.stderr ? line : worthALine(name, line)
        if (shown) lines.print(name, `${shown}\n`)
      }
      return undefined
    })
  }
  if (!isRaw) child.on('message', step => tell(step as Step))
  child.on('close', code => end(code ?? 1))
  children.unshift(child)
  return child
}

/** When a child has printed something that matches: never, if it ends without. */
function said(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let output = ''
  return new Promise(resolve => {
    child.stdout?.on('data', function listen(text: string) {
      output += text
      const match = pattern.exec(output)
      if (!match) return
      child.stdout?.off('data', listen)
      resolve(match)
    })
  })
}

// The client before the shop: it takes its leave.
const children: ChildProcess[] = []
let isEnding = false

async function end(code: number): Promise<void> {
  if (isEnding) return
  isEnding = true
  lines.pass()
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGTERM')
    await once(child, 'close')
  }
  for (const number of payments.keys()) show(number, true)
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(0))
process.stdout.on('error', () => end(0))

if (!isRaw) console.log('A shop and a client, until Ctrl-C (npm start -- --raw shows their own lines)')
const shop = run('shop', 'streaming-shop.ts')
const [, shopUrl] = await said(shop, /Listening on (http\S+)/)
run('client', 'streaming-client2.ts', { SHOP_URL: `${shopUrl}/` })
