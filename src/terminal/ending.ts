import { setTimeout as delay } from 'node:timers/promises'
import type { PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'

// Whoever presses Ctrl-C does not want to wait longer.
const deadlineMs = 1_800

const lastActs: (() => unknown)[] = []
const unfinished = new Set<Promise<unknown>>()
let isEnding = false

/** Has something done before the script ends: the last one asked for first, as far as two seconds go. */
export function beforeEnd(act: () => unknown): void {
  lastActs.unshift(act)
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
  plugin.on(
    'disconnect',
    () => isEnding || console.log('\nThe ledger is out of reach: waiting for it to come back')
  )
  plugin.on('connect', () => console.log('\nThe ledger is back'))
  plugin.on('error', err => console.error(`\n${describe(err)}`))
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
  if (isEnding) return new Promise(() => {})
  isEnding = true
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

process.on('SIGINT', () => end(0))
process.on('SIGTERM', () => end(0))
process.on('uncaughtException', err => end(1, describe(err)))
// Whoever reads the output has gone, for example "head".
process.stdout.on('error', () => process.exit(0))
