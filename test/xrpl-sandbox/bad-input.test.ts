import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { parseRequest } from '../../src/xrpl-sandbox/api/parse-request.ts'
import { commands } from '../../src/xrpl-sandbox/api/requests.ts'
import { definitions } from '../../src/xrpl-sandbox/ledger/definitions.ts'
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
  ['an array', '[{"command":"ping"}]'],
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

test.each(['{', '[', '"', '\\"', '{"', '":', '1e9,', 'ß'])(
  'a frame that repeats %j is parsed in linear time',
  characters => {
    for (const head of ['', '{"command":"ping","a":"', '{"command":"ping","a":[']) {
      const { user } = process.cpuUsage()
      parseRequest(head + characters.repeat(900_000 / characters.length))
      // A reader that began anew at each quote took 30 seconds for a sixth of it.
      expect((process.cpuUsage().user - user) / 1000).toBeLessThan(5_000)
    }
  }
)

test('a text of almost a megabyte in any field gets a response', async () => {
  const commands = ['account_info', 'account_tx', 'ledger_data', 'ledger_entry', 'submit', 'tx']
  const fields = ['ledger_index', 'marker', 'limit', 'account', 'index', 'tx_blob', 'transaction']
  for (const command of commands)
    for (const text of ['r'.repeat(120_000), '1'.repeat(120_000)]) {
      const { error } = await bench.client.ask({
        command,
        ...Object.fromEntries(fields.map(name => [name, text]))
      })
      expect(error).toMatch(/^\w+$/)
    }
})

test('an object with many keys gets a response', async () => {
  expect(await bench.client.ask({ command: 'ping', list: Array(400_000).fill(0) })).toMatchObject({
    status: 'success'
  })
})

test('a binary frame is parsed as text', async () => {
  const answer = once(bench.client.socket, 'message')
  bench.client.socket.send(Buffer.from('{"id":"binary","command":"ping"}'))
  expect(JSON.parse(String((await answer)[0]))).toMatchObject({ id: 'binary', status: 'success' })
})

test('a frame of more than four megabytes closes the connection with 1009', async () => {
  const socket = new WebSocket(bench.sandbox.url)
  await once(socket, 'open')
  socket.send('x'.repeat(5 * 1024 * 1024))
  const [code] = await once(socket, 'close')
  expect(code).toBe(1009)
})

test('an HTTP request that is not a WebSocket gets an HTTP error', async () => {
  const socket = connect(bench.sandbox.port, '127.0.0.1')
  socket.write('\x16\x03\x01 hello? \r\n\r\n')
  const [data] = await once(socket, 'data')
  expect(String(data)).toMatch(/^HTTP\/1.1 400/)
  socket.destroy()
})

test.each([
  ['ping with another method', { command: 'ping', method: 'fee' }, 'missingCommand'],
  ['submit of half a byte', { command: 'submit', tx_blob: 'ABC' }, 'invalidTransaction'],
  ['submit of noise', { command: 'submit', tx_blob: 'AB'.repeat(100) }, 'invalidTransaction'],
  ['submit of many zeros', { command: 'submit', tx_blob: '00'.repeat(400_000) }, 'invalidTransaction'],
  ['submit with a secret', { command: 'submit', secret: 's', tx_json: {} }, 'notSupported'],
  [
    'account_objects from a wrong marker',
    { command: 'account_objects', account: shop.address, marker: '0,1' },
    'invalidParams'
  ],
  [
    'ledger_entry of a negative sequence',
    { command: 'ledger_entry', escrow: { owner: shop.address, seq: -1 } },
    'malformedSeq'
  ],
  ['ledger_entry of an unknown index', { command: 'ledger_entry', index: 'AB'.repeat(32) }, 'entryNotFound']
])('%s returns %s', async (_, request, error) => {
  expect(await bench.client.ask(request)).toMatchObject({ status: 'error', error })
})

test('an error repeats the request without its secrets', async () => {
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

  test("in any field of any command get an error in rippled's format, never an internal one", async () => {
    const account = { account: shop.address }
    await fc.assert(
      fc.asyncProperty(request, fc.boolean(), async (params, withAccount) => {
        const answer = await bench.client.askRaw(JSON.stringify({ ...(withAccount && account), ...params }))
        if (answer.error === 'jsonInvalid') return // an integer too large for rippled's parser
        expect(answer).toMatchObject({ type: 'response', status: expect.stringMatching(/^(success|error)$/) })
        if (answer.status === 'error') expect(answer.error).toMatch(/^\w+$/)
      }),
      { numRuns: 1000, seed: 7 }
    )
  })

  test('and flipped bits in a transaction are rejected', async () => {
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
      { numRuns: 200, seed: 7 }
    )
  })
})

/** What takes long to send back. */
const longAnswer = JSON.stringify({ command: 'server_definitions' })
const longAnswerLength = JSON.stringify(definitions).length

/** A client that asks for so much, and does not read it. */
async function connectGreedy(url: string, bytes: number) {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  socket.pause()
  for (let asked = 0; asked < bytes; asked += longAnswerLength) socket.send(longAnswer)
  return socket
}

test('a client that never reads is disconnected before it fills the memory', async () => {
  const greedy = await connectGreedy(bench.sandbox.url, 100 * mebibyte)
  await bench.client.ask({ command: 'ping' })
  let received = 0
  greedy.on('message', data => {
    received += String(data).length
  })
  greedy.resume()
  const [code, reason] = await once(greedy, 'close')
  expect([code, String(reason)]).toEqual([1008, 'Client is too slow'])
  // What the server had kept, and what the operating system had.
  expect(received).toBeGreaterThan(16 * mebibyte)
  expect(received).toBeLessThan(48 * mebibyte)
})

test('many clients that never read are disconnected before they fill the memory together', async () => {
  const own = await Bench.start()
  const cutOff = new Promise<void>(resolve => {
    let most = 0
    own.sandbox.events.on('clients', count => {
      if (count < most) resolve()
      most = count
    })
  })
  // Fifteen megabytes for each: none is too slow alone.
  const greedy = await Promise.all(
    Array.from({ length: 10 }, () => connectGreedy(own.sandbox.url, 15 * mebibyte))
  )
  await cutOff
  expect(await own.client.ask({ command: 'ping' })).toMatchObject({ status: 'success' })
  for (const socket of greedy) socket.on('error', () => {}).terminate()
  await own.stop()
})

test('the faucet rejects invalid requests', async () => {
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
