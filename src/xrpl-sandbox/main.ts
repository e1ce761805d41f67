import { parseArgs } from 'node:util'
import { accounts } from './accounts.ts'
import { probe } from './background.ts'
import type { LedgerClosed } from './ledger/ledger.ts'
import { startSandboxLedger } from './server.ts'

const USAGE = 'npm run ledger -- [--port 6006] [--close-interval 1000] [--delay 0] [--state FILE]'

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}

function readOptions() {
  // A negative number is a wrong value, not another option.
  const args = process.argv
    .slice(2)
    .join('\0')
    .replace(/\0(?=-\d)/g, '=')
    .split('\0')
  try {
    return parseArgs({
      args: args[0] === '' ? [] : args,
      options: {
        help: { type: 'boolean', short: 'h' },
        port: { type: 'string', default: '6006' },
        'close-interval': { type: 'string', default: '1000' },
        delay: { type: 'string', default: '0' },
        state: { type: 'string' },
        'stop-when-idle': { type: 'string', default: '0' }
      }
    }).values
  } catch (error) {
    const [complaint = ''] = (error as Error).message.split('\n')
    return fail(`${complaint.replace(/\.$/, '')}. Usage: ${USAGE}`)
  }
}

function wholeNumber(name: string, value: string, max: number): number {
  if (!/^\d+$/.test(value) || Number(value) > max)
    fail(`--${name} must be a whole number from 0 to ${max}, not "${value}". Usage: ${USAGE}`)
  return Number(value)
}

const options = readOptions()
if (options.help) {
  console.log(
    `Sandbox ledger: ${USAGE} starts an XRP Ledger of this machine alone; src/xrpl-sandbox/README.md says more`
  )
  process.exit(0)
}
const port = wholeNumber('port', options.port, 65_535)
const closeIntervalMs = wholeNumber('close-interval', options['close-interval'], 3_600_000)
const delayMs = wholeNumber('delay', options.delay, 60_000)
const idleMs = wholeNumber('stop-when-idle', options['stop-when-idle'], 3_600_000)

const sandbox = await startSandboxLedger({ port, closeIntervalMs, delayMs, stateFile: options.state }).catch(
  async error => {
    const url = `ws://localhost:${port}`
    const isTaken = error.cause?.code === 'EADDRINUSE'
    if (isTaken && (await probe(url)) === 'ledger')
      fail(`Sandbox ledger: one runs at ${url} already, and serves as well`)
    return fail(error.message)
  }
)

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

// Whoever started this in the background waits for the word.
if (process.connected) {
  process.send?.('listening')
  process.disconnect()
}

const rhythm = closeIntervalMs > 0 ? `closes every ${closeIntervalMs} ms` : 'closes on ledger_accept'
console.log(
  `Sandbox ledger at ${sandbox.url} (play money, ${rhythm}; shop ${accounts.shop.address}, ` +
    `customer ${accounts.customer.address}): run the scripts in other terminals; Ctrl-C stops it`
)
sandbox.ledger.on('close', ({ ledger, applied }: LedgerClosed) => {
  if (applied.length === 0) return
  const results = new Map<string, number>()
  for (const { meta } of applied)
    results.set(meta.TransactionResult, (results.get(meta.TransactionResult) ?? 0) + 1)
  const summary = [...results].map(([result, count]) => `${count} ${result}`).join(', ')
  console.log(`Ledger ${ledger.header.ledgerIndex}: ${summary}`)
})
