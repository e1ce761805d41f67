#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { accounts } from './accounts.ts'
import { command, probe } from './launcher.ts'
import type { ClosedLedger } from './ledger/history.ts'
import { startSandboxLedger } from './server.ts'

// The heap may grow by half of what is kept before garbage is collected: V8 alone would let it grow more.
setFlagsFromString('--heap-growing-percent=50')

const usage = `${command} [--port 6006] [--close-interval 1000] [--delay 0]`

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        help: { type: 'boolean', short: 'h' },
        port: { type: 'string', default: '6006' },
        'close-interval': { type: 'string', default: '1000' },
        delay: { type: 'string', default: '0' },
        'stop-when-idle': { type: 'string', default: '0' }
      }
    }).values
  } catch (err) {
    const [complaint = ''] = (err as Error).message.split('\n')
    return fail(`${complaint.replace(/\.$/, '')}. Usage: ${usage}`)
  }
}

function wholeNumber(name: string, value: string, max: number): number {
  if (!/^\d+$/.test(value) || Number(value) > max)
    fail(`--${name} must be a whole number from 0 to ${max}, not "${value}". Usage: ${usage}`)
  return Number(value)
}

const options = readOptions()
if (options.help) {
  console.log(`${usage}\nStarts an XRP Ledger for this machine alone; see the README of xrpl-sandbox`)
  process.exit(0)
}
const port = wholeNumber('port', options.port, 65_535)
const closeIntervalMs = wholeNumber('close-interval', options['close-interval'], 3_600_000)
const delayMs = wholeNumber('delay', options.delay, 60_000)
const idleMs = wholeNumber('stop-when-idle', options['stop-when-idle'], 3_600_000)

const sandbox = await startSandboxLedger({ port, closeIntervalMs, delayMs }).catch(async err => {
  const url = `ws://localhost:${port}`
  const isTaken = err.cause?.code === 'EADDRINUSE'
  if (isTaken && (await probe(url)) === 'sandbox')
    fail(`Sandbox ledger: already running at ${url}; use that one`)
  return fail(err.message)
})

async function stop() {
  await sandbox.close()
  process.exit(0)
}
process.on('SIGINT', stop)
process.on('SIGTERM', stop)
sandbox.events.on('stop', () => process.exit(0))

if (idleMs > 0) {
  let idle = setTimeout(stop, idleMs)
  sandbox.events.on('clients', count => {
    clearTimeout(idle)
    if (count === 0) idle = setTimeout(stop, idleMs)
  })
}

// The process that started this in the background waits for the message.
if (process.connected) {
  process.send?.('listening')
  process.disconnect()
}

const closing = closeIntervalMs > 0 ? `closes every ${closeIntervalMs} ms` : 'closes on ledger_accept'
console.log(
  `Sandbox ledger at ${sandbox.url} (play money, ${closing}; shop ${accounts.shop.address}, ` +
    `customer ${accounts.customer.address}); Ctrl-C stops it`
)
sandbox.ledger.on('close', ({ header, transactions }: ClosedLedger) => {
  if (transactions.length === 0) return
  const results = new Map<string, number>()
  for (const { meta } of transactions)
    results.set(meta.TransactionResult, (results.get(meta.TransactionResult) ?? 0) + 1)
  const summary = [...results].map(([result, count]) => `${count} ${result}`).join(', ')
  console.log(`Ledger ${header.ledgerIndex}: ${summary}`)
})
