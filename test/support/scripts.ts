import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, lstatSync, readFileSync, unlinkSync } from 'node:fs'
import { copyFile, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { accounts } from '../../src/xrpl-sandbox/index.ts'

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

/**
 * The plugins.ts that a reader gets, with the sandbox at LEDGER_PORT; or, with TEST_LEDGER, after the one edit of the
 * README, with that ledger in the place of the test network.
 */
export const examplePlugins = [
  ['sandboxLedger()', 'sandboxLedger({ port: Number(process.env.LEDGER_PORT) })'],
  ['await ledgers.sandbox()', "await ledgers[process.env.TEST_LEDGER ? 'testNetwork' : 'sandbox']()"],
  ["'wss://s.altnet.rippletest.net:51233'", 'String(process.env.TEST_LEDGER)']
].reduce(
  (text, [before = '', after = '']) => {
    if (!text.includes(before)) throw new Error(`There is no "${before}" in plugins.example.ts`)
    return text.replace(before, after)
  },
  readFileSync(join(root, 'plugins.example.ts'), 'utf8')
)

/** The tutorial's two pairs of scripts, and how to read a client's letters from what it prints. */
export const pairs = [
  {
    client: 'streaming-client1',
    shop: 'shop-from-before',
    lettersIn: (output: string): string[] => output.match(/(?<=^Your letter: )[A-Z]$/gm) ?? []
  },
  {
    client: 'streaming-client2',
    shop: 'streaming-shop',
    lettersIn: (output: string): string[] =>
      output
        .match(/^[.A-Z]+$/gm)
        ?.join('')
        .match(/[A-Z]/g) ?? []
  }
]

/** The bundle of a script: its constants can be set by variables of their names. */
export function bundleOf(script: string): string {
  return join(String(process.env.TEST_BUNDLES), `${script}.mjs`)
}

/** A shop that sells, and where. */
export interface OpenShop {
  shop: Script
  url: string
}

/** A copy of the project with a plugins.ts of its own, so that tests never touch the reader's ledger. */
export interface ProjectCopy {
  /** where it is: package.json, plugins.ts, and scripts that plain Node.js runs, from bundles */
  folder: string
  /** starts a script of its src/ from a bundle, or from a copy of the source with options of Node.js (`withTsx`) */
  run(script: string, env?: Record<string, string>, args?: string[], nodeOptions?: string[]): Script
  /** starts a shop on a free port, and waits until it sells */
  openShop(script: string, env?: Record<string, string>): Promise<OpenShop>
  /** stops what still runs and removes the copy */
  remove(): Promise<void>
}

/** Options of Node.js with which a script runs as it does for a reader. */
export const withTsx = ['--import', 'tsx/esm']

/**
 * Copies the project to where its scripts can be run.
 *
 * @param plugins - the text of plugins.ts, JavaScript if it is no text of this file
 */
export async function copyProject(plugins = testPlugins): Promise<ProjectCopy> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'streaming-payments-')))
  const src = join(folder, 'src')
  await symlink(String(process.env.TEST_BUNDLES), src)
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'))
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'plugins.ts'), plugins)
  const bundled = (name: string) => `'${pathToFileURL(bundleOf(name))}'`
  await writeFile(
    join(folder, 'plugins.mjs'),
    plugins === examplePlugins
      ? `export * from ${bundled('plugins.example')}`
      : plugins.replace(/(?<= from )'(?:\.\/src\/)?([\w/-]+)(?:\.ts)?'/g, (_, name) => bundled(name))
  )
  const scripts: Script[] = []
  const project: ProjectCopy = {
    folder,
    run(script, env = {}, args = [], nodeOptions) {
      if (nodeOptions && lstatSync(src).isSymbolicLink()) {
        unlinkSync(src)
        // In a third of the time that it takes when it waits for each file.
        cpSync(join(root, 'src'), src, { recursive: true })
      }
      if (!nodeOptions) checkConstants(env)
      const command = nodeOptions ? [...nodeOptions, join(src, `${script}.ts`)] : [bundleOf(script)]
      const place = { PROJECT_COPY: `${pathToFileURL(folder)}/` }
      const started = new Script([...command, ...args], { ...place, ...patience, ...env })
      scripts.push(started)
      return started
    },
    async openShop(script, env) {
      const shop = project.run(script, { PORT: '0', ...env })
      return { shop, url: `${(await shop.waitForOutput(/Visit (http:\S+)/))[1]}/` }
    },
    async remove() {
      await Promise.all(scripts.map(script => script.kill()))
      await rm(folder, { recursive: true, force: true })
    }
  }
  return project
}

/** Makes sure that the constants that a test sets are there. */
function checkConstants(env: Record<string, string>): void {
  const known = String(process.env.TEST_CONSTANTS).split(' ')
  const unknown = Object.keys(env).find(name => /^[a-z]/.test(name) && !known.includes(name))
  if (unknown) throw new Error(`No source has a constant "${unknown}"`)
}

// A connection to the ledger and a shop's first answer may take as long as a slow machine needs.
const patience = { defaultTimeoutMs: '120000', maxAnswerMs: '120000' }

/** A script that runs as a process of its own, as a reader runs it. */
export class Script {
  /** everything that it has printed so far, to stdout and stderr */
  output = ''
  readonly process: ChildProcess
  readonly #exited: Promise<number | null>

  /** @param args - of Node.js */
  constructor(args: string[], env: Record<string, string>) {
    this.process = spawn(process.execPath, args, {
      cwd: root,
      env: {
        ...process.env,
        SHOP_SECRET: accounts.shop.secret,
        CUSTOMER_SECRET: accounts.customer.secret,
        ...env
      },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
        this.process.emit('output')
      })
    }
    this.#exited = once(this.process, 'close').then(([code]) => code as number | null)
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
    this.process.kill(signal)
    return this.#exited
  }

  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL')
    await this.#exited
  }
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
