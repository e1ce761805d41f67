import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { copyProject } from '../support/scripts.ts'
import { cpuMsOf, type LetterLog, startClient, startLedger, startShop } from './processes.ts'

// So many ledgers may close after the last payment; then what has not come is not delivered.
export const ledgersToWait = 3

export interface Streaming {
  seconds: number
  /** payments that the client has made */
  asked: number
  /** letters that came meanwhile */
  came: number
  /** from payments to their letters, in ledgers: of those payments whose letters came in time */
  latencies: number[]
  /** CPU time of each of the three */
  cpuMs: { sandbox: number; client: number; shop: number }
  /** what the caller's own meters have counted meanwhile */
  counted: number[]
  /** the share of the machine's time that nobody used */
  idle: number
}

/**
 * Has a client pay a streaming shop on a sandbox, all three processes of their own, and looks on for a while after
 * they have warmed up.
 *
 * @param meters - whatever else is to be read at the beginning and at the end
 */
export async function stream(
  closeIntervalMs: number,
  intervalMs: number,
  durationMs: number,
  meters: (() => Promise<number>)[] = []
): Promise<Streaming> {
  const project = await copyProject()
  try {
    const ledger = await startLedger(project, closeIntervalMs)
    const shop = await startShop(project, ledger)
    const client = await startClient(project, ledger, shop, intervalMs)
    await client.log.letters(1)
    await delay(2_000)

    const scripts = [ledger.script, client.script, shop.script]
    const read = () => Promise.all([...scripts.map(cpuMsOf), ...meters.map(meter => meter())])
    // Whole ledgers, or the last one's work would be missing.
    const wholeMs = Math.max(1, Math.floor(durationMs / closeIntervalMs)) * closeIntervalMs
    const before = await read()
    const idleBefore = idleMs()
    const since = performance.now()
    const first = client.log.askedAt.length
    const letters = client.log.letterAt.length
    await delay(wholeMs)
    const end = client.log.askedAt.length
    const came = client.log.letterAt.length - letters
    const elapsedMs = performance.now() - since
    const idle = (idleMs() - idleBefore) / (elapsedMs * cpus().length)
    const after = await read()
    await client.log.letters(end, ledgersToWait * closeIntervalMs)

    const [sandbox = 0, clientMs = 0, shopMs = 0, ...counted] = after.map(
      (value, at) => value - (before[at] ?? 0)
    )
    return {
      seconds: elapsedMs / 1000,
      asked: end - first,
      came,
      latencies: latenciesOf(client.log, first, end).map(ms => ms / closeIntervalMs),
      cpuMs: { sandbox, client: clientMs, shop: shopMs },
      counted,
      idle
    }
  } finally {
    await project.remove()
  }
}

/** Of payments from one number to another, as far as their letters have come: these come in order. */
function latenciesOf({ askedAt, letterAt }: LetterLog, first: number, end: number): number[] {
  return letterAt.slice(first, end).map((at, index) => at - (askedAt[first + index] as number))
}

function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0)
}
