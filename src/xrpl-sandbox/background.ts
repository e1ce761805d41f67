import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { fileURLToPath, pathToFileURL } from 'node:url'

const IDLE_STOP_MS = 60_000
const ANSWER_TIMEOUT_MS = 2_000

/** Whether nobody listens at a URL: found out before anything is loaded that could talk with whoever does. */
function isRefused(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise(resolve => {
    const done = (refused: boolean) => {
      socket.resume().end().unref()
      resolve(refused)
    }
    const socket = connect(Number(port), hostname, () => done(false))
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code === 'ECONNREFUSED'))
  })
}

/** What answers at a URL: an XRP Ledger server, nothing at all, or something else. */
export async function probe(url: string): Promise<'ledger' | 'nothing' | 'stranger'> {
  if (await isRefused(url)) return 'nothing'
  const { WebSocket } = await import('ws')
  return new Promise(resolve => {
    const socket = new WebSocket(url, { handshakeTimeout: ANSWER_TIMEOUT_MS })
    const timer = setTimeout(() => done('stranger'), ANSWER_TIMEOUT_MS)
    const done = (found: 'ledger' | 'nothing' | 'stranger') => {
      clearTimeout(timer)
      socket.close()
      resolve(found)
    }
    socket.on('open', () => socket.send(JSON.stringify({ id: 1, command: 'server_info' })))
    socket.on('message', data => {
      const isLedger = data.toString().includes('"complete_ledgers"')
      done(isLedger ? 'ledger' : 'stranger')
    })
    socket.on('error', () => done('stranger'))
  })
}

/** What Node needs to run TypeScript: nothing where it strips types itself, else tsx. */
function typescriptLoader(): string[] {
  if ('typescript' in process.features && process.features.typescript) return []
  const tsx = createRequire(import.meta.url).resolve('tsx/esm')
  return ['--import', pathToFileURL(tsx).href]
}

/**
 * Starts the command line as a process of its own session, which survives this one and its terminal.
 *
 * Resolves to whether it listens; it ends at once if another one was faster. Rejects if Node cannot start it.
 */
function startInBackground(port: number, closeIntervalMs: number): Promise<boolean> {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  const options = ['--port', port, '--close-interval', closeIntervalMs, '--stop-when-idle', IDLE_STOP_MS]
  const child = spawn(process.execPath, [...typescriptLoader(), main, ...options.map(String)], {
    detached: true,
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
 * Finds the sandbox ledger of this machine, or starts one in the background, and says in a line which.
 *
 * One that was started so stops by itself a minute after its last client has gone. Of two processes that call
 * this at the same moment, one starts the ledger that both use. Returns its URL. Rejects with an Error that
 * says what to do when the port is in use by something else, or the ledger does not start.
 */
export async function sandboxLedger({ port = 6006, closeIntervalMs = 1000 } = {}): Promise<string> {
  const url = `ws://localhost:${port}`
  let answer = await probe(url)
  if (answer === 'nothing') {
    if (await startInBackground(port, closeIntervalMs)) {
      console.log(
        `Sandbox ledger: started at ${url} (play money, stops by itself a minute after its last client has gone)`
      )
      return url
    }
    answer = await probe(url)
  }
  if (answer === 'ledger') {
    console.log(`Sandbox ledger: found at ${url}`)
    return url
  }
  throw new Error(
    answer === 'stranger'
      ? `Port ${port} is in use by something that is no XRP Ledger server: stop it, or choose another port (sandboxLedger({ port }))`
      : `The sandbox ledger did not start at "${url}": run "npm run ledger -- --port ${port}" to see why`
  )
}
