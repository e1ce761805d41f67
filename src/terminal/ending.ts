import { setTimeout as delay } from 'node:timers/promises'
import type { PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'

// Whoever presses Ctrl-C does not want to wait longer.
const deadlineMs = 1_800
// From then on a ledger that is out of reach may not come back by itself.
const longOutageMs = 20_000

const lastActs: (() => unknown)[] = []
const unfinished = new Set<Promise<unknown>>()
let ending = false

/** Has something done before the script ends: the last one asked for first, as far as two seconds go. */
export function beforeEnd(act: () => unknown): void {
  lastActs.unshift(act)
}

/** Whether the script is ending. */
export function isEnding(): boolean {
  return ending
}

/** Has the end wait for something that was begun, as far as two seconds go. Returns it. */
export function finishBeforeEnd<Result>(task: Promise<Result>): Promise<Result> {
  unfinished.add(task)
  const forget = () => unfinished.delete(task)
  task.then(forget, forget)
  return task
}

/** Tells about a plugin's connection while the script runs, and takes leave of it in the end. */
export function seeThrough(plugin: PluginXrpEscrow): void {
  const say = (text: string) => ending || console.log(`\n${text}`)
  let outage: NodeJS.Timeout | undefined
  plugin.on('disconnect', () => {
    say('The ledger is out of reach: waiting for it to come back')
    const advice = 'start it with "npm run ledger" if it is the sandbox, or check your internet connection'
    outage = setTimeout(() => say(`The ledger is still out of reach: ${advice}`), longOutageMs)
  })
  plugin.on('connect', () => {
    clearTimeout(outage)
    say('The ledger is back')
  })
  plugin.on('error', err => ending || console.error(`\n${describe(err)}`))
  beforeEnd(async () => {
    await Promise.allSettled(unfinished)
    await plugin.disconnect()
  })
}

/**
 * Ends the script in good order.
 *
 * @param code - exit code: 0 if the person at the terminal asked for it
 * @param message - what happened, then what to do
 */
export async function end(code: number, message?: string): Promise<never> {
  if (ending) return new Promise(() => {})
  ending = true
  if (message) console.error(`\n${message}`)
  const finish = (async () => {
    for (const act of lastActs) {
      try {
        await act()
      } catch (err) {
        console.error(describe(err))
      }
    }
  })()
  await Promise.race([finish, delay(deadlineMs)])
  process.exit(code)
}

/** An error for the person at the terminal: a sentence, or for a fault of the program all that helps to find it. */
export function describe(err: unknown): string {
  if (!(err instanceof Error)) return String(err)
  const isFault = [TypeError, RangeError, ReferenceError, SyntaxError].some(fault => err instanceof fault)
  return isFault ? `${err.stack}` : err.message
}

/** Ends a script that has no plugins.ts, in place of the error that the import gave; other errors stay. */
export function withoutPlugins(err: unknown): Promise<never> {
  const { code, message } = err as NodeJS.ErrnoException
  if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes("plugins.ts' imported")) throw err
  return end(
    1,
    'There is no plugins.ts: make it with "npm install", or copy plugins.example.ts to plugins.ts'
  )
}

/** What to do about an error that a script cannot begin with. */
function adviceFor(err: Error): string {
  if (err.name !== 'UnreachableError') return ''
  return /"wss?:\/\/(localhost|127\.|\[::1\])/.test(err.message)
    ? ': is it running? The server is named in plugins.ts'
    : ': check your internet connection, and the server in plugins.ts'
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(0))
process.on('uncaughtException', err => end(1, describe(err) + adviceFor(err)))
// A script of "npm start" ends with it.
if (process.env.TELL_STORY) process.on('disconnect', () => end(0))
// Whoever reads the output has gone, for example "head".
process.stdout.on('error', () => process.exit(0))
