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
let startedAt: number | undefined
let isHurried = false

/** Registers what to do before the script ends: the last registered comes first. */
export function onShutdown(action: (code: number) => unknown): void {
  actions.unshift(action)
}

/** Whether the script is ending. */
export function isShuttingDown(): boolean {
  return startedAt !== undefined
}

/**
 * Ends the script in good order.
 *
 * @param code - exit code: 0 if the person at the terminal asked for it
 * @param message - what happened, then what to do
 */
export async function shutdown(code: number, message?: string): Promise<never> {
  if (startedAt !== undefined) return new Promise(() => {})
  startedAt = performance.now()
  if (message) console.error(`\n${message}`)
  for (const action of actions) {
    try {
      await action(code)
    } catch (err) {
      console.error(describe(err))
    }
  }
  process.exit(code)
}

/**
 * Waits at the end of a script for what is not complete yet, and says so. A second Ctrl-C ends it.
 *
 * @param pending - how many payments that is
 * @param maxIdleMs - how long to wait while that number stays the same
 */
export async function waitForPayments(pending: () => number, maxIdleMs: number): Promise<void> {
  const start = performance.now()
  let isSaid = false
  let changedAt = start
  let left = pending()
  while (left > 0 && !isHurried && performance.now() - changedAt < maxIdleMs) {
    if (!isSaid && performance.now() - start > noticeAfterMs) {
      notice(`\nWaiting for ${count(left, 'payment')} (Ctrl-C again stops at once)`)
      isSaid = true
    }
    await delay(20)
    const before = left
    left = pending()
    if (left !== before) changedAt = performance.now()
  }
}

/** Logs when a plugin loses its connection and gets it back, and disconnects it when the script ends. */
export function logConnectionState(plugin: PluginXrpEscrow): void {
  logClockError(plugin)
  const log = (text: string) => isShuttingDown() || notice(`\n${text}`)
  const advice = 'start it with "npm run ledger" if it is the sandbox, or check your internet connection'
  plugin.on('disconnect', () => log(`The ledger cannot be reached, reconnecting: ${advice}`))
  plugin.on('connect', () => log('The ledger is back'))
  plugin.on('error', err => isShuttingDown() || console.error(`\n${describe(err)}`))
  onShutdown(() => Promise.race([plugin.disconnect(), delay(disconnectTimeoutMs)]))
}

/** An error for the person at the terminal: a sentence, or the stack if it is a fault of the program. */
export function describe(err: unknown): string {
  const isFault = [TypeError, RangeError, ReferenceError, SyntaxError].some(fault => err instanceof fault)
  const lines = isFault ? `${(err as Error).stack}`.split('\n') : [reasonOf(err)]
  return lines.map(line => printable(line, maxErrorLength)).join('\n')
}

/** Says so if this machine's clock is off: the ledger's time decides what has expired. */
function logClockError(plugin: PluginXrpEscrow): void {
  if (!('getLedgerTime' in plugin)) return
  const aheadMs = Date.now() - plugin.getLedgerTime().getTime()
  if (Math.abs(aheadMs) < maxClockErrorMs) return
  const minutes = count(Math.round(Math.abs(aheadMs) / 60_000), 'minute')
  const where = aheadMs > 0 ? 'ahead of' : 'behind'
  notice(
    `    - The clock of this machine is ${minutes} ${where} the ledger's, which decides what has expired: set it`
  )
}

/** Ends a script that has no plugins.ts with a sentence; rethrows other errors of the import. */
export function explainMissingPlugins(err: unknown): Promise<never> {
  const { code, message } = err as NodeJS.ErrnoException
  if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes("plugins.ts' imported")) throw err
  return shutdown(
    1,
    'There is no plugins.ts: make it with "npm install", or copy plugins.example.ts to plugins.ts'
  )
}

/** What to do about an error that a script cannot start with. */
function adviceFor(err: Error): string {
  if (err.name !== 'UnreachableError') return ''
  return /"wss?:\/\/(localhost|127\.|\[::1\])/.test(err.message)
    ? ': is it running? The server is named in plugins.ts'
    : ': check your internet connection, and the server in plugins.ts'
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    isHurried = startedAt !== undefined && performance.now() - startedAt > sameSignalMs
    shutdown(0)
  })
}
process.on('uncaughtException', err => shutdown(1, describe(err) + adviceFor(err)))
// The scripts of "npm start" end with it.
if (process.env.REPORT_PROGRESS) process.on('disconnect', () => shutdown(0))
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  // The reader of the output has gone, for example "head".
  if (err.code === 'EPIPE') process.exit(0)
  shutdown(1, `The output cannot be written (${err.message}): make room, or print it elsewhere`)
})
