import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { fileURLToPath, pathToFileURL } from 'node:url'

const idleStopMs = 60_000
const answerTimeoutMs = 10_000

/** How much V8 keeps for new objects: a quarter of what it would alone. It can be set at the start only. */
const memoryOption = '--max-semi-space-size=4'

/** Keeps what other threads than the first allocate in the memory of all: the C library's own habit wastes some MiB. */
const memoryVariable = { MALLOC_ARENA_MAX: '1' }

/** Whether this is the source, and not the packed package. */
const isSource = import.meta.url.endsWith('.ts')

/** What starts the ledger in a terminal. */
export const command = isSource ? 'npm run ledger --' : 'npx xrpl-sandbox'

/** Why nobody can be listening: the port is closed, or this machine has no such address at all. */
const closedPortCodes = new Set([
  'ECONNREFUSED',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'ENETUNREACH',
  'EHOSTUNREACH'
])

/** Whether an error says so of every address: a name with several addresses fails with an error for each. */
export function isClosed(err: Error): boolean {
  const causes: NodeJS.ErrnoException[] = err instanceof AggregateError ? err.errors : [err]
  return causes.every(({ code = '' }) => closedPortCodes.has(code))
}

/** Whether nobody listens at any address of a URL: found out before WebSockets are loaded to talk with. */
function isPortClosed(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise(resolve => {
    const socket = connect(Number(port), hostname, () => {
      socket.resume().end().unref()
      resolve(false)
    })
    socket.on('error', err => resolve(isClosed(err)))
  })
}

/** Whether a message is a sandbox ledger's answer to `server_info`. */
function isSandboxAnswer(text: string): boolean {
  try {
    const { id, status, type, result } = JSON.parse(text)
    const { build_version, complete_ledgers, hostid, server_state, validated_ledger } = result.info
    return (
      [id, status, type, hostid, server_state].join() === '1,success,response,sandbox,full' &&
      /^\d+\.\d+\.\d+$/.test(build_version) &&
      /^\d+-\d+$/.test(complete_ledgers) &&
      /^[0-9A-F]{64}$/.test(validated_ledger.hash)
    )
  } catch {
    return false
  }
}

/** What answers at a URL. */
export type Found = 'sandbox' | 'nothing' | 'other'

/** Finds out what answers at a URL: a sandbox ledger, nothing at all, or something else. */
export async function probe(url: string): Promise<Found> {
  if (await isPortClosed(url)) return 'nothing'
  const { WebSocket } = await import('ws')
  return new Promise(resolve => {
    const socket = new WebSocket(url, { handshakeTimeout: answerTimeoutMs })
    const timer = setTimeout(() => done('other'), answerTimeoutMs)
    const done = (found: Found) => {
      clearTimeout(timer)
      socket.close()
      resolve(found)
    }
    socket.on('open', () => socket.send(JSON.stringify({ id: 1, command: 'server_info' })))
    socket.on('message', data => done(isSandboxAnswer(data.toString()) ? 'sandbox' : 'other'))
    socket.on('error', () => done('other'))
  })
}

/** What Node needs to run the command line: nothing where it is JavaScript or Node strips types itself, else tsx. */
function typescriptLoader(): string[] {
  if (!isSource || ('typescript' in process.features && process.features.typescript)) return []
  const tsx = createRequire(import.meta.url).resolve('tsx/esm')
  return ['--import', pathToFileURL(tsx).href]
}

/**
 * Starts the command line as a process of its own session, which survives this one and its terminal.
 *
 * @returns whether it listens; it ends at once if another one was faster
 * @throws if Node cannot start it
 */
function startInBackground(port: number, closeIntervalMs: number): Promise<boolean> {
  const main = fileURLToPath(new URL(isSource ? './main.ts' : './main.js', import.meta.url))
  const options = ['--port', port, '--close-interval', closeIntervalMs, '--stop-when-idle', idleStopMs]
  const child = spawn(process.execPath, [memoryOption, ...typescriptLoader(), main, ...options.map(String)], {
    detached: true,
    env: { ...process.env, ...memoryVariable },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc']
  })
  return new Promise<boolean>((resolve, reject) => {
    child.once('message', () => resolve(true)) // it says "listening", and nothing else
    child.once('exit', () => resolve(false))
    child.once('error', reject)
  }).finally(() => {
    if (child.connected) child.disconnect()
    child.unref()
  })
}

/**
 * Finds the sandbox ledger of this machine, or starts one in the background, and prints a line that says which.
 *
 * One that was started so stops by itself a minute after its last client has gone. Of two processes that call
 * this at the same moment, one starts the ledger that both use.
 *
 * @returns its URL
 * @throws an Error that says what to do when the port is in use by something else, or the ledger does not start
 */
export async function sandboxLedger({ port = 6006, closeIntervalMs = 1000 } = {}): Promise<string> {
  const url = `ws://localhost:${port}`
  let found = await probe(url)
  if (found === 'nothing') {
    if (await startInBackground(port, closeIntervalMs)) {
      console.log(
        `Sandbox ledger: started at ${url} (play money, stops by itself a minute after its last client has gone)`
      )
      return url
    }
    found = await probe(url)
  }
  if (found === 'sandbox') {
    console.log(`Sandbox ledger: found at ${url}`)
    return url
  }
  throw new Error(
    found === 'other'
      ? `Port ${port} is in use by something that is not a sandbox ledger: stop it, or choose another port (sandboxLedger({ port }))`
      : `The sandbox ledger did not start at "${url}": run "${command} --port ${port}" to see why`
  )
}
