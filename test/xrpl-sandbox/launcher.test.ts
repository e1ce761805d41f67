import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { isClosed, probe } from '../../src/xrpl-sandbox/launcher.ts'
import { bundleOf, freePort } from '../support/scripts.ts'
import { RawClient } from './client.ts'
import { customer, shop } from './support.ts'

const source = (file: string) => new URL(`../../src/xrpl-sandbox/${file}`, import.meta.url)
const running: ChildProcess[] = []
afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
})

async function listen(): Promise<{ server: Server; port: number }> {
  const server = createServer(socket => socket.end('I am not a ledger\n')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as { port: number }).port }
}

function node(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  running.push(child)
  return child
}

const ledgerCommand = (...args: string[]) => node(bundleOf('xrpl-sandbox/main'), ...args)

/** Waits for the end of a process; all that it has said. */
async function ended(child: ChildProcess) {
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', data => (said += data))
  const [code] = await once(child, 'close')
  return { code, said: said.trim() }
}

const firstLine = async (child: ChildProcess): Promise<string> =>
  (await once(createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }), 'line'))[0]

describe.concurrent('npm run ledger', () => {
  test('prints its URL and each ledger with transactions, and ends with code 0 on a signal', async () => {
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
    [['--prot', '1'], "Unknown option '--prot'. Usage: npm run ledger"]
  ])('with %j prints what is wrong and ends with code 1', async (args, sentence) => {
    const { code, said } = await ended(ledgerCommand(...args))
    expect([code, said]).toEqual([1, expect.stringContaining(sentence)])
    expect(said.split('\n')).toHaveLength(1)
  })

  test('prints its usage with --help', async () => {
    const { code, said } = await ended(ledgerCommand('--help'))
    expect([code, said]).toEqual([0, expect.stringContaining('[--delay 0]')])
  })

  test('names a port that is in use, and ends with code 1', async () => {
    const { server, port } = await listen()
    const { code, said } = await ended(ledgerCommand('--port', String(port)))
    server.close()
    expect([code, said]).toEqual([
      1,
      `Port ${port} is in use: stop what listens there, or choose another port`
    ])
  })
})

describe.concurrent('a second ledger on one port', () => {
  test('points to the first, and ends with code 1', async () => {
    const sandbox = await startSandboxLedger({ port: 0 })
    const { code, said } = await ended(ledgerCommand('--port', String(sandbox.port)))
    await sandbox.close()
    expect([code, said]).toEqual([1, `Sandbox ledger: already running at ${sandbox.url}; use that one`])
  })
})

describe.concurrent('sandboxLedger', () => {
  const call = async (port: number) =>
    node(
      '--input-type=module',
      '--eval',
      `import { sandboxLedger } from ${JSON.stringify(bundleOf('xrpl-sandbox/index'))}
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

  test('rejects when another program has the port', async () => {
    const { server, port } = await listen()
    const { said } = await ended(await call(port))
    server.close()
    expect(said).toBe(
      `Port ${port} is in use by something that is not a sandbox ledger: stop it, or choose another port (sandboxLedger({ port }))`
    )
  })
})

test.concurrent('a ledger that stops when idle waits for its last client', async () => {
  const child = ledgerCommand('--port', '0', '--stop-when-idle', '2000')
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

describe('probe', () => {
  test.each([
    ['a word', () => 'complete_ledgers'],
    [
      'an answer with the word',
      (id: number) => JSON.stringify({ id, result: { info: { complete_ledgers: '2-4' } } })
    ],
    [
      'the answer of another server',
      (id: number) =>
        JSON.stringify({
          ...{ id, status: 'success', type: 'response' },
          result: {
            info: {
              ...{ build_version: '3.2.0', complete_ledgers: '2-4', hostid: 'mine', server_state: 'full' },
              validated_ledger: { hash: 'AB'.repeat(32) }
            }
          }
        })
    ]
  ])('finds "other" where a program sends %s', async (_, answer) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    server.on('connection', socket =>
      socket.on('message', data => socket.send(answer(JSON.parse(String(data)).id)))
    )
    await once(server, 'listening')
    expect(await probe(`ws://127.0.0.1:${(server.address() as { port: number }).port}`)).toBe('other')
    server.close()
  })

  test('finds "sandbox" or "nothing" under each name of this machine', async () => {
    const sandbox = await startSandboxLedger({ port: 0 })
    for (const host of ['localhost', '127.0.0.1'])
      expect(await probe(`ws://${host}:${sandbox.port}`)).toBe('sandbox')
    await sandbox.close()
    for (const host of ['localhost', '127.0.0.1'])
      expect(await probe(`ws://${host}:${sandbox.port}`)).toBe('nothing')
  })

  test('finds "nothing" only if every address of a name refuses', async () => {
    const failed = (code: string) => Object.assign(new Error(code), { code })
    const codes = (...list: string[]) =>
      Object.assign(new AggregateError(list.map(failed)), { code: list[0] })
    expect(isClosed(codes('EADDRNOTAVAIL', 'ECONNREFUSED'))).toBe(true)
    expect(isClosed(codes('ECONNREFUSED', 'ETIMEDOUT'))).toBe(false)
    expect(isClosed(failed('ECONNREFUSED'))).toBe(true)
  })
})

test.each(['0.0.0.0', '::', '192.168.0.1', 'example.com'])(
  'startSandboxLedger rejects the host %s',
  async host => {
    await expect(startSandboxLedger({ port: 0, host })).rejects.toThrow(
      `The sandbox ledger listens on the loopback only, not on "${host}"`
    )
  }
)
