import { setTimeout as delay } from 'node:timers/promises'
import type { PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { notice } from './progress.ts'
import { count, printable, reasonOf } from './text.ts'

const disconnectTimeoutMs = 1_000
const maxClockErrorMs = 60_000
const maxErrorLength = 1_000
const noticeAfterMs = 500
// npm passes on a Ctrl-C that the script gets from its terminal too.
const sameSignalMs = 500

const actions: ((code: number) => unknown)[] = []
let isEnding = false
// How often a Ctrl-C came while what is to be done before the end was going on.
let interruptions = 0
let lastSignalAt = Number.NEGATIVE_INFINITY

/** Registers what to do before the script ends: the last registered comes first. */
export function onShutdown(action: (code: number) => unknown): void {
  actions.unshift(action)
}

/** Whether the script is ending. */
export function isShuttingDown(): boolean {
  return isEnding
}

/**
 * Ends the script in good order.
 *
 * @param code - exit code: 0 if the person at the terminal asked for it
 * @param message - what happened, then what to do
 */
export async function shutdown(code: number, message?: string): Promise<never> {
  if (isEnding) return new Promise(() => {})
  isEnding = true
  if (message) console.error(`\n${message}`)
  for (const action of actions) {
    interruptions = 0
    try {
      await action(code)
    } catch (err) {
      console.error(describe(err))
    }
  }
  process.exit(code)
}

/**
 * Waits at the end of a script for what is not complete yet, and says so. A further Ctrl-C ends it.
 *
 * @param pending - how many payments that is
 * @param maxIdleMs - how long to wait while that number stays the same
 */
export async function waitForPayments(pending: () => number, maxIdleMs: number): Promise<void> {
  const waiting = () => `\nWaiting for ${count(pending(), 'payment')} (Ctrl-C again stops at once)`
  const notYet = setTimeout(() => pending() > 0 && notice(waiting()), noticeAfterMs)
  let changedAt = performance.now()
  for (let left = pending(); left > 0 && interruptions === 0; left = pending()) {
    await delay(20)
    if (pending() !== left) changedAt = performance.now()
    if (performance.now() - changedAt >= maxIdleMs) break
  }
  clearTimeout(notYet)
}

/**
 * Logs when a plugin loses its connection and gets it back, and whether this machine's clock is off: the ledger's time
 * decides what has expired. Disconnects the plugin when the script ends.
 */
export function logConnectionState(plugin: PluginXrpEscrow): void {
  const log = (text: string) => isShuttingDown() || notice(`\n${text}`)
  const advice = 'start it with "npm run ledger" if it is the sandbox, or check your internet connection'
  plugin.on('disconnect', () => log(`The ledger cannot be reached, reconnecting: ${advice}`))
  plugin.on('connect', () => log('The ledger is back'))
  plugin.on('error', err => isShuttingDown() || console.error(`\n${describe(err)}`))
  onShutdown(() => Promise.race([plugin.disconnect(), delay(disconnectTimeoutMs)]))
  const aheadMs = 'getLedgerTime' in plugin ? Date.now() - plugin.getLedgerTime().getTime() : 0
  const minutes = count(Math.round(Math.abs(aheadMs) / 60_000), 'minute')
  const error = `${minutes} ${aheadMs > 0 ? 'ahead of' : 'behind'} the ledger's, which decides what has expired`
  if (Math.abs(aheadMs) >= maxClockErrorMs) notice(`    - The clock of this machine is ${error}: set it`)
}

/** An error for the person at the terminal: a sentence, or the stack if it is a fault of the program. */
export function describe(err: unknown): string {
  const isFault = [TypeError, RangeError, ReferenceError, SyntaxError].some(fault => err instanceof fault)
  const lines = isFault ? `${(err as Error).stack}`.split('\n') : [reasonOf(err)]
  return lines.map(line => printable(line, maxErrorLength)).join('\n')
}

/** A sentence about an error that a script cannot start with. */
function explain(err: Error & { code?: string }): string {
  if (err.code === 'ERR_MODULE_NOT_FOUND' && err.message.includes("plugins.ts' imported"))
    return 'There is no plugins.ts: make it with "npm install", or copy plugins.example.ts to plugins.ts'
  if (err.name !== 'UnreachableError') return describe(err)
  const isHere = /"wss?:\/\/(localhost|127\.|\[::1\])/.test(err.message)
  const advice = isHere
    ? 'is it running? The server is named'
    : 'check your internet connection, and the server'
  return `${describe(err)}: ${advice} in plugins.ts`
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    const isSame = performance.now() - lastSignalAt < sameSignalMs
    lastSignalAt = performance.now()
    if (isSame) return
    if (isEnding && ++interruptions > 1) process.exit(1)
    shutdown(0)
  })
}
process.on('uncaughtException', err => shutdown(1, explain(err)))
// The scripts of "npm start" end with it.
if (process.env.REPORT_PROGRESS) process.on('disconnect', () => shutdown(0))
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  // The reader of the output has gone, for example "head".
  if (err.code === 'EPIPE') process.exit(0)
  shutdown(1, `The output cannot be written (${err.message}): make room, or print it elsewhere`)
})
