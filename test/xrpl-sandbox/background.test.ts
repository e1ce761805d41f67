import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { bundleOf } from '../support/bundles.ts'
import { freePort, root } from '../support/scripts.ts'
import { RawClient } from './client.ts'
import { Bench, customer, lock, NEVER, shop } from './support.ts'

const source = (file: string) => new URL(`../../src/xrpl-sandbox/${file}`, import.meta.url)
const running: ChildProcess[] = []
const folders: string[] = []
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL')
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function temporaryFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'xrpl-sandbox-'))
  folders.push(folder)
  return join(folder, 'state')
}

async function listen(): Promise<{ server: Server; port: number }> {
  const server = createServer(socket => socket.end('I am no ledger\n')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as { port: number }).port }
}

function node(...args: string[]): ChildProcess {
  const env = { ...process.env, STAGE: pathToFileURL(root).href }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  running.push(child)
  return child
}

const ledgerCommand = async (...args: string[]) =>
  node(await bundleOf(() => root, 'src/xrpl-sandbox/main.ts', []), ...args)

/** Waits for the end of a process; all that it has said. */
async function ended(child: ChildProcess) {
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', data => (said += data))
  const [code] = await once(child, 'close')
  return { code, said: said.trim() }
}

const firstLine = async (child: ChildProcess): Promise<string> =>
  (await once(createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }), 'line'))[0]

describe('npm run ledger', () => {
  test('says where it is, tells of ledgers that held something, and ends cleanly on a signal', async () => {
    const child = node(
      '--import',
      'tsx',
      fileURLToPath(source('main.ts')),
      '--port',
      '0',
      '--close-interval',
      '0'
    )
    const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })
    const [greeting] = await once(lines, 'line')
    const url = /ws:\/\/localhost:\d+/.exec(greeting)?.[0] as string
    expect(greeting).toMatch(/play money, closes on ledger_accept.*Ctrl-C stops it$/)
    const client = await RawClient.connect(url)
    const said = once(lines, 'line')
    await client.ask({ command: 'ledger_accept' })
    const payment = {
      TransactionType: 'Payment',
      Account: customer.address,
      Destination: shop.address,
      Amount: '1'
    }
    const { tx_blob } = customer.sign({ ...payment, TransactionType: 'Payment', Fee: '10', Sequence: 4 })
    await client.ask({ command: 'submit', tx_blob })
    await client.ask({ command: 'ledger_accept' })
    expect((await said)[0]).toBe('Ledger 6: 1 tesSUCCESS')
    const exit = once(child, 'exit')
    child.kill('SIGINT')
    expect((await exit)[0]).toBe(0)
  })

  test.each([
    [['--port', 'x'], '--port must be a whole number from 0 to 65535, not "x". Usage: '],
    [
      ['--close-interval', '-5'],
      '--close-interval must be a whole number from 0 to 3600000, not "-5". Usage: '
    ],
    [['--port', '0', '--state', '/'], '"/" is no file'],
    [['--delay', 'x'], '--delay must be a whole number from 0 to 60000, not "x". Usage: '],
    [['--prot', '1'], "Unknown option '--prot'. Usage: "],
    [['extra'], 'Usage: npm run ledger']
  ])('with %j says what is wrong and ends with code 1', async (args, sentence) => {
    const { code, said } = await ended(await ledgerCommand(...args))
    expect([code, said]).toEqual([1, expect.stringContaining(sentence)])
    expect(said.split('\n')).toHaveLength(1)
  })

  test('says how it is used when it is asked', async () => {
    const { code, said } = await ended(await ledgerCommand('--help'))
    expect([code, said]).toEqual([0, expect.stringContaining('[--state FILE]')])
  })

  test('says so when the port is in use', async () => {
    const { server, port } = await listen()
    const { code, said } = await ended(await ledgerCommand('--port', String(port)))
    server.close()
    expect([code, said]).toEqual([
      1,
      `Port ${port} is in use: stop what listens there, or choose another port`
    ])
  })
})

describe('a second ledger on one port', () => {
  test('says that there is one already, and ends with code 1', async () => {
    const sandbox = await startSandboxLedger({ port: 0 })
    const { code, said } = await ended(await ledgerCommand('--port', String(sandbox.port)))
    await sandbox.close()
    expect([code, said]).toEqual([
      1,
      `Sandbox ledger: one runs at ${sandbox.url} already, and serves as well`
    ])
  })
})

describe('sandboxLedger', () => {
  const call = async (port: number) =>
    node(
      '--input-type=module',
      '--eval',
      `import { sandboxLedger } from ${JSON.stringify(await bundleOf(() => root, 'src/xrpl-sandbox/index.ts', []))}
       try { await sandboxLedger({ port: ${port}, closeIntervalMs: 100 }) } catch (error) { console.log(error.message) }`
    )

  test('called twice at once starts one ledger, which outlives both callers', async () => {
    const port = await freePort()
    const said = await Promise.all([call(port), call(port)].map(async child => ended(await child)))
    const url = `ws://localhost:${port}`
    const started = `Sandbox ledger: started at ${url} (play money, stops by itself a minute after its last client has gone)`
    expect(said.map(({ said }) => said).toSorted()).toEqual([`Sandbox ledger: found at ${url}`, started])
    const client = await RawClient.connect(url)
    await client.ask({ command: 'subscribe', streams: ['ledger'] })
    await once(client.socket, 'message')
    const gone = once(client.socket, 'close')
    expect(await client.ask({ command: 'stop' })).toMatchObject({ status: 'success' })
    await gone
  })

  test('says so when something else has the port', async () => {
    const { server, port } = await listen()
    const { said } = await ended(await call(port))
    server.close()
    expect(said).toBe(
      `Port ${port} is in use by something that is no XRP Ledger server: stop it, or choose another port (sandboxLedger({ port }))`
    )
  })
})

test('a ledger that stops when idle waits for its last client', async () => {
  const child = await ledgerCommand('--port', '0', '--stop-when-idle', '2000')
  const url = /ws:\/\/localhost:\d+/.exec(await firstLine(child))?.[0] as string
  const exit = once(child, 'exit')
  const first = await RawClient.connect(url)
  const second = await RawClient.connect(url)
  first.close()
  await second.ask({ command: 'subscribe', streams: ['ledger'] })
  await once(second.socket, 'message') // a second later it is still there
  second.close()
  expect((await exit)[0]).toBe(0)
})

test.each(['0.0.0.0', '::', '192.168.0.1', 'example.com'])('it does not listen on %s', async host => {
  await expect(startSandboxLedger({ port: 0, host })).rejects.toThrow(
    `The sandbox ledger listens on the loopback only, not on "${host}"`
  )
})

describe('with a state file', () => {
  test('everything validated is there again after a crash, down to the hashes, and nobody else has it before', async () => {
    const file = temporaryFile()
    const child = await ledgerCommand('--port', '0', '--close-interval', '0', '--state', file)
    const url = /ws:\/\/localhost:\d+/.exec(await firstLine(child))?.[0] as string
    const client = await RawClient.connect(url)
    const { Condition, Fulfillment } = lock('crash')
    const { tx_blob, hash } = customer.sign({
      TransactionType: 'EscrowCreate',
      Account: customer.address,
      Destination: shop.address,
      Amount: '10',
      Fee: '10',
      Sequence: 4,
      Condition,
      CancelAfter: NEVER
    })
    await client.ask({ command: 'submit', tx_blob })
    await client.ask({ command: 'ledger_accept' })
    const before = await client.ask({
      id: 0,
      command: 'ledger',
      ledger_index: 'validated',
      transactions: true
    })
    await expect(Bench.start({ stateFile: file })).rejects.toThrow(
      `The sandbox ledger of process ${child.pid} keeps its state in "${file}": stop it, or name another file`
    )
    child.kill('SIGKILL')
    await once(child, 'exit')
    appendFileSync(file, '{"closeTime":84') // a line that the crash has cut off

    const bench = await Bench.start({ stateFile: file })
    expect(
      await bench.client.ask({ id: 0, command: 'ledger', ledger_index: 'validated', transactions: true })
    ).toEqual(before)
    expect(await bench.result({ hash })).toBe('tesSUCCESS')
    await bench.finishEscrow(shop, customer, 4, { Condition, Fulfillment })
    await bench.close()
    const { closedHeader } = bench.sandbox.ledger
    await expect(Bench.start({ stateFile: file })).rejects.toThrow(`of process ${process.pid} keeps`)
    await bench.stop()

    writeFileSync(`${file}.lock`, String(process.pid)) // of another time, in a container
    const again = await Bench.start({ stateFile: file })
    expect(again.sandbox.ledger.closedHeader).toEqual(closedHeader)
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(closedHeader.ledgerIndex)
    await again.stop()
  })

  test.each([
    ['with a newline', 'Dear diary\n'],
    ['without one', 'Dear diary'],
    ['of JSON', '{"closeTime":1}\n'],
    ['that somebody has written into', '{"closeTime":1,"transactions":[]}\nDear diary']
  ])('a file %s that is not its own is refused and left alone', async (_, text) => {
    const file = temporaryFile()
    writeFileSync(file, text)
    const link = `${file}.link`
    symlinkSync(file, link)
    for (const name of [file, link])
      await expect(Bench.start({ stateFile: name })).rejects.toThrow('holds no state of a sandbox ledger')
    expect(readFileSync(file, 'utf8')).toBe(text)
  })

  test.each([
    ['a folder', (file: string) => dirname(file), 'is no file'],
    ['in no folder', (file: string) => join(file, 'state'), 'There is no folder']
  ])('a state file that is %s is refused', async (_, place, sentence) => {
    await expect(Bench.start({ stateFile: place(temporaryFile()) })).rejects.toThrow(sentence)
  })

  test('a file that has become ten times as long as its content is compacted at the start', async () => {
    const [file, link] = [temporaryFile(), temporaryFile()]
    symlinkSync(file, link)
    const first = await Bench.start({ stateFile: link })
    const { ledger } = first.sandbox
    const { tx_json } = await first.createEscrow(customer, shop, {
      Condition: lock('old').Condition,
      CancelAfter: NEVER
    })
    for (let count = 0; count < 4_000; count++) ledger.close()
    const payment = await first.pay(customer, shop, 1)
    ledger.close()
    const { closedHeader } = ledger
    await first.stop()
    const before = statSync(file).size

    for (const name of [link, file]) {
      const again = await Bench.start({ stateFile: name })
      expect(again.sandbox.ledger.closedHeader).toEqual(closedHeader)
      expect(await again.result(payment)).toBe('tesSUCCESS')
      expect(await again.account(customer)).toMatchObject({ OwnerCount: 1, Sequence: 6 })
      await again.stop()
    }
    expect(statSync(file).size).toBeLessThan(before / 10)
    expect(lstatSync(link).isSymbolicLink()).toBe(true)

    const last = await Bench.start({ stateFile: file })
    const { Condition, Fulfillment } = lock('old')
    await last.finishEscrow(shop, customer, tx_json.Sequence, { Condition, Fulfillment })
    await last.close()
    expect(await last.account(customer)).toMatchObject({ OwnerCount: 0 })
    await last.stop()
  })
})
