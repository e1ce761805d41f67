import { once } from 'node:events'
import { type ProjectCopy, Script, withTsx } from '../support/scripts.ts'

const probes = ['../support/heap-probe.mjs', './cpu-probe.mjs']
const preload = probes.map(probe => `--import ${new URL(probe, import.meta.url).href}`).join(' ')

/** How long everything lasts: shorter to try the benchmark out, longer for figures. */
export interface Run {
  isQuick: boolean
}

/** The sandbox as a process of its own. */
export async function startLedger(
  project: ProjectCopy,
  closeIntervalMs: number
): Promise<{ script: Script; url: string }> {
  const options = ['--port', '0', '--close-interval', `${closeIntervalMs}`]
  const script = project.run('xrpl-sandbox/main', { NODE_OPTIONS: preload }, options, withTsx)
  const [, url = ''] = await script.waitForOutput(/Sandbox ledger at (ws:\S+)/)
  return { script, url }
}

export async function startShop(
  project: ProjectCopy,
  ledger: { url: string }
): Promise<{ script: Script; url: string }> {
  const env = { TEST_LEDGER: ledger.url, PORT: '0', NODE_OPTIONS: preload }
  const script = project.run('streaming-shop', env, [], withTsx)
  const [, url = ''] = await script.waitForOutput(/Visit (http:\S+)/)
  return { script, url }
}

export async function startClient(
  project: ProjectCopy,
  ledger: { url: string },
  shop: { url: string },
  intervalMs: number
): Promise<{ script: Script; log: LetterLog }> {
  const env = {
    TEST_LEDGER: ledger.url,
    SHOP_URL: shop.url,
    INTERVAL_MS: `${intervalMs}`,
    NODE_OPTIONS: preload
  }
  const script = project.run('streaming-client2', env, [], withTsx)
  return { script, log: new LetterLog(script) }
}

/** A script of the benchmark's own, with the same probes. */
export function startOwn(path: string, args: string[]): Script {
  return new Script([...withTsx, path, ...args], { NODE_OPTIONS: preload })
}

/** When a streaming client has asked for letters and when they came, by what it prints. */
export class LetterLog {
  readonly askedAt: number[] = []
  readonly letterAt: number[] = []
  readonly #script: Script

  constructor(script: Script) {
    this.#script = script
    script.process.stdout?.on('data', (text: string) => {
      const now = performance.now()
      for (const character of text) {
        if (character === '.') this.askedAt.push(now)
        // What stands before the first payment is no letter yet.
        else if (/[A-Z]/.test(character) && this.askedAt.length) this.letterAt.push(now)
      }
    })
  }

  /** Waits until so many letters have come, or for so long. */
  async letters(count: number, patienceMs = Number.POSITIVE_INFINITY): Promise<void> {
    const deadline = performance.now() + patienceMs
    const { process } = this.#script
    while (this.letterAt.length < count && performance.now() < deadline) {
      if (process.exitCode !== null) await failed(this.#script)
      const waitMs = Math.min(1_000, Math.max(1, deadline - performance.now()))
      await Promise.race([once(process, 'output'), new Promise(resolve => setTimeout(resolve, waitMs))])
    }
  }
}

/** CPU time that a process has taken so far, in milliseconds. */
export async function cpuMsOf(script: Script): Promise<number> {
  return (await reportOf(script, 'SIGCONT', /cpu: (\d+) microseconds\n/)) / 1000
}

/** What is left of a process's heap after its garbage was collected, in bytes. */
export function heapOf(script: Script): Promise<number> {
  return reportOf(script, 'SIGUSR2', /heap: (\d+) bytes\n/)
}

/** Sends a signal that a process answers with a number on stderr. */
export function reportOf(script: Script, signal: NodeJS.Signals, pattern: RegExp): Promise<number> {
  const { stderr } = script.process
  return new Promise((resolve, reject) => {
    let text = ''
    const onExit = () => failed(script).catch(reject)
    const onData = (chunk: string) => {
      text += chunk
      const found = pattern.exec(text)
      if (!found) return
      stderr?.off('data', onData)
      script.process.off('exit', onExit)
      resolve(Number(found[1]))
    }
    stderr?.on('data', onData)
    script.process.once('exit', onExit)
    if (!script.process.kill(signal)) onExit()
  })
}

/** A script has ended that should not have: says what it had to say last. */
async function failed(script: Script): Promise<never> {
  await script.waitForEnd()
  throw new Error(`A script ended too early:\n${script.output.slice(-500)}`)
}
