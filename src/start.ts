// npm start: the ledger, the shop and the client in one terminal, each line with the name of who wrote it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

// Whose line the cursor is on, if it is in the middle of one.
let openLine = ''

/** Prints what a child wrote; a letter that belongs to a line stays on it unless another child has spoken since. */
function print(name: string, text: string): void {
  for (const part of text.match(/[^\n]*\n|[^\n]+/g) ?? []) {
    if (openLine && openLine !== name) process.stdout.write('\n')
    const prefix = openLine === name || part === '\n' ? '' : `[${name}] `
    process.stdout.write(prefix + part)
    openLine = part.endsWith('\n') ? '' : name
  }
}

function run(name: string, file: string, args: string[] = [], detached = false): ChildProcess {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const command = [...process.execArgv, path, ...args]
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'], detached })
  for (const output of [child.stdout, child.stderr]) {
    output?.setEncoding('utf8').on('data', (text: string) => print(name, text))
  }
  return child
}

/** When a child has printed a text, or has ended without. */
function said(child: ChildProcess, text: string): Promise<unknown> {
  const heard = new Promise<void>(resolve => {
    child.stdout?.on('data', (chunk: string) => chunk.includes(text) && resolve())
  })
  return Promise.race([heard, once(child, 'exit')])
}

// Clients first: they want to ask the ledger what they spent.
const children: ChildProcess[] = []
let isEnding = false

async function end(code: number): Promise<void> {
  if (isEnding) return
  isEnding = true
  for (const child of children) {
    if (child.exitCode !== null) continue
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  process.exit(code)
}
process.on('SIGINT', () => end(0))
process.on('SIGTERM', () => end(0))

// Ctrl-C reaches all processes of a terminal at once; the ledger is kept from it, to be there until the end. Should
// this process be killed, the ledger stops by itself. One that is running already serves as well: this one says so.
const ledger = run('ledger', 'sandbox-ledger/main.ts', ['--stop-when-idle', '60000'], true)
children.unshift(ledger)
await said(ledger, 'Sandbox ledger')
for (const [name, file, ready] of [
  ['shop', 'streaming-shop.ts', 'Visit'],
  ['client', 'streaming-client2.ts', '.']
] as const) {
  const child = run(name, file)
  children.unshift(child)
  child.on('exit', code => end(code ?? 1))
  await said(child, ready)
}
