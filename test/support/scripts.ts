import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, lstatSync, unlinkSync } from 'node:fs'
import { copyFile, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  accounts,
  type SandboxLedger,
  type SandboxOptions,
  startSandboxLedger
} from '../../src/xrpl-sandbox/index.ts'
import { buildBundle } from './bundles.ts'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A plugins.ts for tests: the ledger and the accounts come from the environment. */
export const testPlugins = `
import PluginXrpEscrow from 'ilp-plugin-xrp-escrow'
const { TEST_LEDGER: server = '', SHOP_SECRET = '', CUSTOMER_SECRET = '' } = process.env
export const xrp = {
  Customer: () => new PluginXrpEscrow({ server, secret: CUSTOMER_SECRET }),
  Shop: () => new PluginXrpEscrow({ server, secret: SHOP_SECRET })
}
`

/** What nearly every test starts. */
export const scriptsOfTests = [
  'src/shop-from-before.ts',
  'src/streaming-client1.ts',
  'src/streaming-shop.ts',
  'src/streaming-client2.ts'
]

/** A copy of the project with a plugins.ts of its own, so that tests never touch the reader's ledger. */
export interface ProjectCopy {
  /** where the copy is; from the first use on, its sources are its own */
  folder: string
  /** changes a constant, as a reader would */
  edit(file: string, before: string, after: string): Promise<void>
  /** the file with one of its scripts and all that it imports */
  bundle(script: string): Promise<string>
  /** puts bundles in the place of scripts that another starts: plain Node.js then runs them */
  build(scripts: string[]): Promise<void>
  /** starts one of its scripts from a bundle, or from its source with options of Node.js (`withTsx`) */
  run(script: string, env?: Record<string, string>, args?: string[], nodeOptions?: string[]): Script
  /** stops what still runs and removes the copy */
  remove(): Promise<void>
}

/** Options of Node.js with which a script runs as it does for a reader. */
export const withTsx = ['--import', 'tsx/esm']

/**
 * Copies the project to where its scripts can be run.
 *
 * @param plugins - the text of plugins.ts
 */
export async function copyProject(plugins = testPlugins): Promise<ProjectCopy> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'streaming-payments-')))
  // Most tests start only what is built already: the sources are copied once they are edited, built or run by tsx.
  const src = join(folder, 'src')
  await symlink(join(root, 'src'), src)
  const ownSources = () => {
    if (lstatSync(src).isSymbolicLink()) {
      unlinkSync(src)
      // In a third of the time that it takes when it waits for each file.
      cpSync(join(root, 'src'), src, { recursive: true })
    }
    return folder
  }
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'))
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'plugins.ts'), plugins)
  const scripts: Script[] = []
  const edits: string[] = []
  const bundle = (script: string) => buildBundle(ownSources, script, [plugins, ...edits])
  return {
    get folder() {
      return ownSources()
    },
    bundle,
    async edit(file, before, after) {
      const path = join(ownSources(), file)
      const text = await readFile(path, 'utf8')
      if (!text.includes(before)) throw new Error(`There is no "${before}" in ${file}`)
      await writeFile(path, text.replace(before, after))
      edits.push(file, before, after)
    },
    async build(scripts) {
      const bundles = await Promise.all(scripts.map(bundle))
      for (const [i, script] of scripts.entries()) {
        const [place, built] = [`${folder}/`, bundles[i] as string].map(path => pathToFileURL(path).href)
        await writeFile(
          join(ownSources(), script),
          `process.env.PROJECT_COPY = '${place}'; import('${built}')\n`
        )
      }
      // Node.js 20 runs a file whose name ends in .ts as long as it is no module.
      const { type: _, ...manifest } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
      await writeFile(join(folder, 'package.json'), JSON.stringify(manifest))
    },
    run(script, env = {}, args = [], nodeOptions) {
      const command = nodeOptions
        ? Promise.resolve([...nodeOptions, join(ownSources(), script)])
        : bundle(script).then(file => [file])
      const started = new Script(
        command.then(start => [...start, ...args]),
        { PROJECT_COPY: pathToFileURL(`${folder}/`).href, ...env }
      )
      scripts.push(started)
      return started
    },
    async remove() {
      await Promise.all(scripts.map(script => script.kill()))
      await rm(folder, { recursive: true, force: true })
    }
  }
}

/** A script that runs as a process of its own, as a reader runs it. */
export class Script {
  /** everything that it has printed so far, to stdout and stderr */
  output = ''
  #process: ChildProcess | undefined
  readonly #started: Promise<ChildProcess>
  readonly #exited: Promise<number | null>

  /** @param command - the arguments of Node.js, as soon as they are known */
  constructor(command: Promise<string[]>, env: Record<string, string>) {
    this.#started = command.then(args => this.#start(args, env))
    this.#exited = this.#started
      .then(started => once(started, 'close'))
      .then(([code]) => code as number | null)
  }

  #start(args: string[], env: Record<string, string>): ChildProcess {
    const started = spawn(process.execPath, args, {
      cwd: root,
      env: {
        ...process.env,
        SHOP_SECRET: accounts.shop.secret,
        CUSTOMER_SECRET: accounts.customer.secret,
        ...env
      },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
        started.emit('output')
      })
    }
    this.#process = started
    return started
  }

  /** Its process, once it runs. */
  get process(): ChildProcess {
    if (!this.#process) throw new Error('The script has not started yet: wait for its output first')
    return this.#process
  }

  /** Waits until it runs. */
  async waitForStart(): Promise<void> {
    await this.#started
  }

  /** Waits until the output matches; rejects when the script ends without. */
  waitForOutput(pattern: RegExp): Promise<RegExpExecArray> {
    return this.waitUntil(output => pattern.exec(output), `saying ${pattern}`)
  }

  /** Waits until what is printed from now on matches; rejects when the script ends without. */
  async waitForNextOutput(pattern: RegExp): Promise<void> {
    const start = this.output.length
    await this.waitUntil(output => pattern.test(output.slice(start)), `saying ${pattern} again`)
  }

  /** Waits until a reader of the output finds what it looks for; rejects when the script ends without. */
  async waitUntil<Found>(
    find: (output: string) => Found,
    what = `printing ${find}`
  ): Promise<NonNullable<Found>> {
    await this.#started
    for (;;) {
      const found = find(this.output)
      if (found) return found
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`The script ended without ${what}:\n${this.output}`)
      }
      await Promise.race([once(this.process, 'output'), this.#exited])
    }
  }

  /** Waits until the script has ended by itself. Returns its exit code. */
  waitForEnd(): Promise<number | null> {
    return this.#exited
  }

  /** Presses Ctrl-C, and waits. Returns the exit code. */
  async interrupt(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    await this.#started
    this.process.kill(signal)
    return this.#exited
  }

  async kill(): Promise<void> {
    await this.#started
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL')
    await this.#exited
  }
}

/** A sandbox on a free port that closes ledgers faster than a real one, to keep the tests short. */
export function fastLedger(options: SandboxOptions = {}): Promise<SandboxLedger> {
  return startSandboxLedger({ port: 0, closeIntervalMs: 200, ...options })
}

/** A port that nobody listens on, below those that the system gives to servers on port 0. */
export async function freePort(): Promise<number> {
  const server = createServer()
  for (;;) {
    const port = randomInt(10_000, 30_000)
    server.listen(port)
    const isFree = await once(server, 'listening').catch(() => false)
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
