import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { commands } from '../../src/xrpl-sandbox/api/commands/index.ts'
import { parseRequest } from '../../src/xrpl-sandbox/api/parse-request.ts'
import { RawClient } from './client.ts'
import { Bench, customer, shop } from './support.ts'

const mebibyte = 1024 * 1024

let bench: Bench
beforeAll(async () => {
  bench = await Bench.start()
})
afterAll(() => bench.stop())

// Whatever was sent, the next client must not notice.
afterEach(async () => {
  const client = await RawClient.connect(bench.sandbox.url)
  expect(await client.ask({ command: 'ping' })).toMatchObject({ status: 'success' })
  client.close()
})

const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

test.each([
  ['half an object', '{"command": "ping"'],
  ['nothing', ''],
  ['a number', '42'],
  ['null', 'null'],
  ['an array', '[{"command":"ping"}]'],
  ['a string', '"ping"'],
  ['no text', '\u0000\u0001\ufffe'],
  ['deep nesting', nested(26)],
  ['very deep nesting', nested(100_000)],
  ['nested arrays', `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
  ['more than a million characters', JSON.stringify({ command: 'ping', a: 'x'.repeat(1024 * 1024) })]
])('%s is invalid JSON', async (_, text) => {
  expect(await bench.client.askRaw(text)).toEqual({
    error: 'jsonInvalid',
    type: 'error',
    value: text.split('\0')[0]
  })
})

const oddCharacters = [
  ...'{}[]":,\\/-+.0eE \t\n\r\0\'',
  '\\"',
  '\\u0041',
  '"a":',
  '1e9,',
  '{"',
  '\u2028',
  '\ud800',
  'ß'
]

test.each(oddCharacters)('a frame of %j over and over is read in linear time', character => {
  const read = (head: string, tail: string) => {
    const text = head + character.repeat(900_000 / character.length) + tail
    const { user } = process.cpuUsage()
    parseRequest(text)
    return (process.cpuUsage().user - user) / 1000
  }
  const frames = [
    ['', ''],
    ['{"', '"}'],
    ['{"command":"ping","a":"', '"}'],
    ['{"command":"ping","a":[', ']}']
  ] as const
  // A reader that began anew at each quote took 30 seconds for a sixth of it.
  for (const [head, tail] of frames) expect(read(head, tail)).toBeLessThan(5_000)
})

test('texts of a megabyte in any field are answered at once', async () => {
  const fields = [
    'account',
    'ledger_index',
    'ledger_hash',
    'marker',
    'limit',
    'type',
    'tx_blob',
    'transaction'
  ]
  for (const command of commands.keys())
    for (const character of ['r', '1'])
      if (!['stop', 'ledger_accept'].includes(command)) {
        const text = character.repeat(400_000)
        const { status } = await bench.client.ask({
          command,
          ...Object.fromEntries(
            fields.map(name => [name, text.slice(0, name === 'account' ? 400_000 : 60_000)])
          )
        })
        expect(['success', 'error']).toContain(status)
      }
})

test('a wide object is as good as a narrow one', async () => {
  expect(await bench.client.ask({ command: 'ping', list: Array(400_000).fill(0) })).toMatchObject({
    status: 'success'
  })
})

test('a binary frame is read as text', async () => {
  const answer = once(bench.client.socket, 'message')
  bench.client.socket.send(Buffer.from('{"id":"binary","command":"ping"}'))
  expect(JSON.parse(String((await answer)[0]))).toMatchObject({ id: 'binary', status: 'success' })
})

test('a frame of more than four megabytes closes the connection, with the reason', async () => {
  const socket = new WebSocket(bench.sandbox.url)
  await once(socket, 'open')
  socket.send('x'.repeat(5 * 1024 * 1024))
  const [code] = await once(socket, 'close')
  expect(code).toBe(1009)
})

test('what is no WebSocket is sent away', async () => {
  const socket = connect(bench.sandbox.port, '127.0.0.1')
  socket.write('\x16\x03\x01 hello? \r\n\r\n')
  const [data] = await once(socket, 'data')
  expect(String(data)).toMatch(/^HTTP\/1.1 400/)
  socket.destroy()
})

test.each([
  [{ command: 7 }, 'missingCommand'],
  [{ command: 'ping', method: 'fee' }, 'missingCommand'],
  [{ command: '__proto__' }, 'unknownCmd'],
  [{ command: 'constructor' }, 'unknownCmd'],
  [{ command: 'submit', tx_blob: '' }, 'invalidParams'],
  [{ command: 'submit', tx_blob: 'ABC' }, 'invalidTransaction'],
  [{ command: 'submit', tx_blob: 'AB'.repeat(100) }, 'invalidTransaction'],
  [{ command: 'submit', tx_blob: '00'.repeat(400_000) }, 'invalidTransaction'],
  [{ command: 'submit', secret: 's', tx_json: {} }, 'notSupported'],
  [{ command: 'account_tx', account: shop.address, marker: { ledger: 'a' } }, 'invalidParams'],
  [
    { command: 'account_tx', account: shop.address, ledger_index_min: 9, ledger_index_max: 3 },
    'lgrIdxsInvalid'
  ],
  [{ command: 'account_objects', account: shop.address, marker: '0,1' }, 'invalidParams'],
  [{ command: 'account_objects', account: shop.address, type: 'gold' }, 'invalidParams'],
  [{ command: 'ledger_entry' }, 'unknownOption'],
  [{ command: 'ledger_entry', escrow: { owner: shop.address, seq: -1 } }, 'malformedSeq'],
  [{ command: 'ledger_entry', index: 'AB'.repeat(32) }, 'entryNotFound'],
  [{ command: 'subscribe', accounts: [] }, 'actMalformed']
])('%j gives %s', async (request, error) => {
  expect(await bench.client.ask(request)).toMatchObject({ status: 'error', error })
})

test('an error repeats the request, but not its secrets', async () => {
  const answer = await bench.client.ask({ command: 'sign', secret: customer.seed, tx_json: { Fee: '1' } })
  expect(answer.request).toMatchObject({ command: 'sign', secret: '<masked>', tx_json: { Fee: '1' } })
  expect(JSON.stringify(answer)).not.toContain(customer.seed)
})

describe('wrong types', () => {
  const fieldsOf: Record<string, string[]> = {
    account_info: ['account', 'ledger_index', 'ledger_hash', 'queue', 'signer_lists'],
    account_objects: ['account', 'ledger_index', 'type', 'limit', 'marker'],
    account_tx: [
      'account',
      'ledger_index_min',
      'ledger_index_max',
      'limit',
      'marker',
      'forward',
      'binary',
      'ledger_index'
    ],
    ledger: ['ledger_index', 'ledger_hash', 'transactions', 'expand', 'binary'],
    ledger_entry: ['index', 'account_root', 'escrow', 'directory', 'ledger_index', 'binary'],
    submit: ['tx_blob', 'fail_hard', 'secret', 'tx_json'],
    subscribe: ['streams', 'accounts', 'accounts_proposed'],
    tx: ['transaction', 'binary', 'min_ledger', 'max_ledger'],
    unsubscribe: ['streams', 'accounts']
  }

  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(-1, 1e308, 2 ** 53, '', ' ', '-1', [], {}, null, true, [null], { ledger: 1, seq: {} }),
    fc.constantFrom(
      shop.address,
      'A'.repeat(64),
      [shop.address],
      { owner: shop.address, seq: 1.5 },
      'validated'
    )
  )

  const request = fc
    .constantFrom(...[...commands.keys()].filter(name => name !== 'ledger_accept' && name !== 'stop'))
    .chain(command => {
      const fields = Object.fromEntries((fieldsOf[command] ?? ['x']).map(name => [name, value]))
      const api_version = fc.constantFrom(1, 2)
      return fc.tuple(
        fc.record({ command: fc.constant(command), api_version }),
        fc.record(fields, { requiredKeys: [] })
      )
    })
    .map(([head, fields]) => ({ ...fields, ...head }))

  test("in any field of any command are answered in rippled's form, never from a failure inside", async () => {
    const account = { account: shop.address }
    await fc.assert(
      fc.asyncProperty(request, fc.boolean(), async (params, withAccount) => {
        const answer = await bench.client.askRaw(JSON.stringify({ ...(withAccount && account), ...params }))
        if (answer.error === 'jsonInvalid') return // an integer too large for rippled's parser
        expect(answer).toMatchObject({ type: 'response', status: expect.stringMatching(/^(success|error)$/) })
        if (answer.status === 'error') expect(answer.error).toMatch(/^\w+$/)
      }),
      { numRuns: 2000, seed: 7 }
    )
  })

  test('and bits in a transaction lead to a refusal', async () => {
    const { tx_blob } = await bench.sign(customer, {
      TransactionType: 'Payment',
      Destination: shop.address,
      Amount: '1'
    })
    const bytes = Buffer.from(tx_blob, 'hex')
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, mask, cut) => {
          const changed = Buffer.from(bytes)
          changed[at] = (changed[at] as number) ^ mask
          const blob = cut ? bytes.subarray(0, at) : changed
          const answer = await bench.client.ask({ command: 'submit', tx_blob: blob.toString('hex') })
          expect(answer.error).toMatch(/^(invalidTransaction|invalidParams)$/)
        }
      ),
      { numRuns: 500, seed: 7 }
    )
  })
})

test('a client that asks and asks and never reads is cut off before it fills the memory', async () => {
  const greedy = new WebSocket(bench.sandbox.url)
  await once(greedy, 'open')
  const gone = once(greedy, 'close')
  greedy.pause()
  const request = JSON.stringify({ command: 'no such command', padding: 'x'.repeat(50_000) })
  let sent = 0
  let received = 0
  greedy.on('message', data => {
    received += String(data).length
  })
  const timer = setInterval(() => {
    for (; greedy.bufferedAmount < 1_000_000 && sent < 100 * mebibyte; sent += request.length)
      greedy.send(request)
    if (sent < 100 * mebibyte) return
    clearInterval(timer)
    greedy.resume()
  }, 1)
  const [code, reason] = await gone
  expect([code, String(reason)]).toEqual([1008, 'Client is too slow'])
  // What the server had kept, and what the operating system had.
  expect(received).toBeGreaterThan(16 * mebibyte)
  expect(received).toBeLessThan(48 * mebibyte)
})

test('the faucet refuses what it cannot do', async () => {
  const faucet = (body: string, method = 'POST') =>
    fetch(
      `http://localhost:${bench.sandbox.port}/accounts`,
      method === 'POST' ? { method, body } : { method }
    )
  expect((await faucet('{')).status).toBe(400)
  expect((await faucet('{"destination":"nobody"}')).status).toBe(400)
  expect((await faucet('{"xrpAmount":"-1"}')).status).toBe(400)
  expect((await faucet(`{"xrpAmount":${'1'.repeat(2_000_000)}}`)).status).toBe(400)
  expect((await faucet('', 'GET')).status).toBe(405)
  expect((await fetch(`http://localhost:${bench.sandbox.port}/nothing-here`)).status).toBe(404)
})
