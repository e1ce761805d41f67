import { once } from 'node:events'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { RawClient } from './client.ts'
import { Bench } from './support.ts'

// The library's own unit of any character takes a second and a half until it can be drawn from.
const codePoint = fc.nat({ max: 0x10ffff }).map(code => String.fromCodePoint(code))

let bench: Bench
beforeAll(async () => {
  bench = await Bench.start()
})
afterAll(() => bench.stop())

/** Connects as a browser does for a page. */
async function connect(headers: Record<string, string>): Promise<RawClient> {
  const socket = new WebSocket(bench.sandbox.url, { headers })
  await once(socket, 'open')
  return new RawClient(socket)
}

const post = (headers: Record<string, string>, body = '{}') =>
  // fetch would not let a test name another host.
  import('node:http').then(
    ({ request }) =>
      new Promise<number>((resolve, reject) => {
        const { port } = bench.sandbox
        request(
          { host: '127.0.0.1', port, path: '/accounts', method: 'POST', headers, agent: false },
          response => {
            response.resume()
            response.once('end', () => resolve(response.statusCode as number))
          }
        )
          .on('error', reject)
          .end(body)
      })
  )

describe('a page', () => {
  const strangers: [string, Record<string, string>][] = [
    ['of another site', { origin: 'https://example.com' }],
    ['of a site whose name begins with localhost', { origin: 'http://localhost.example.com' }],
    ['of a site with the port of the sandbox', { origin: 'http://example.com:6006' }],
    ['in a sandboxed frame', { origin: 'null' }],
    ['from a file', { origin: 'file://' }],
    ['of an extension', { origin: 'chrome-extension://localhost' }],
    [
      'of a site whose name resolves to this machine',
      { host: 'example.com:6006', origin: 'http://example.com:6006' }
    ],
    ['of such a site, without an Origin header', { host: 'example.com:6006' }]
  ]

  test.each(strangers)('%s gets neither a connection nor play money', async (_, headers) => {
    const socket = new WebSocket(bench.sandbox.url, { headers })
    const [error] = await once(socket, 'error')
    expect(error.message).toContain('403')
    const before = bench.sandbox.ledger.openTransactions.size
    expect(await post(headers)).toBe(403)
    const preflight = await fetch(`http://localhost:${bench.sandbox.port}/accounts`, {
      method: 'OPTIONS',
      headers
    })
    expect(preflight.headers.has('access-control-allow-origin')).toBe(false)
    expect(bench.sandbox.ledger.openTransactions.size).toBe(before)
  })
})

describe('a page of localhost', () => {
  test.each(['localhost', '127.0.0.1', '[::1]'])('at %s may connect and use the faucet', async host => {
    const origin = `http://${host}:${bench.sandbox.port}`
    const page = await connect({ origin, host: `${host}:${bench.sandbox.port}` })
    expect(await page.ask({ command: 'ping' })).toMatchObject({ status: 'success' })
    page.close()
    expect(await post({ origin })).toBe(200)
    await bench.close()
  })

  test.each(['http://localhost:8000', 'http://127.0.0.1:5173', 'http://[::1]:3000'])(
    'at %s may call the faucet, as its browser asks beforehand',
    async origin => {
      const url = `http://localhost:${bench.sandbox.port}/accounts`
      const preflight = await fetch(url, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' }
      })
      expect(preflight.status).toBe(204)
      const answer = await fetch(url, { method: 'POST', headers: { origin }, body: '{}' })
      for (const { headers } of [preflight, answer]) {
        expect(headers.get('access-control-allow-origin')).toBe(origin)
        expect(headers.get('vary')).toBe('origin')
      }
      await bench.close()
    }
  )

  test('may preflight a request to the faucet, which other origins may not', async () => {
    const preflight = async (origin: string) => {
      const asks = {
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type'
      }
      const url = `http://127.0.0.1:${bench.sandbox.port}/accounts`
      const { status, headers } = await fetch(url, { method: 'OPTIONS', headers: { origin, ...asks } })
      return [status, headers.get('access-control-allow-origin'), headers.get('access-control-allow-headers')]
    }
    expect(await preflight('http://localhost:5173')).toEqual([204, 'http://localhost:5173', 'content-type'])
    expect(await preflight('https://example.com')).toEqual([403, null, null])
  })

  test('may neither close ledgers nor stop the sandbox', async () => {
    const page = await connect({ origin: `http://localhost:${bench.sandbox.port}` })
    for (const command of ['ledger_accept', 'stop'])
      expect(await page.ask({ command })).toMatchObject({ error: 'noPermission', error_code: 6 })
    page.close()
    await bench.close()
  })
})

test('the faucet answers any body with 200 or 400', async () => {
  const odd = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom({ toString: 1 }, { valueOf: 1 }, [[]], -0, '0x10', '1e-9', 'NaN', null, true)
  )
  const body = fc.oneof(
    fc.string({ unit: codePoint, maxLength: 50 }),
    odd.map(value => JSON.stringify(value)),
    fc.record({ destination: odd, xrpAmount: odd }, { requiredKeys: [] }).map(value => JSON.stringify(value)),
    fc.constantFrom(
      '[]',
      'null',
      '['.repeat(900_000),
      `{"destination":${'9'.repeat(400)}}`,
      '{"__proto__":1}'
    )
  )
  await fc.assert(
    fc.asyncProperty(body, async text => {
      expect([200, 400]).toContain(await post({}, text))
    }),
    { numRuns: 60, seed: 3 }
  )
  expect(await bench.client.ask({ command: 'ping' })).toMatchObject({ status: 'success' })
})

test('a connection subscribes to at most ten thousand accounts', async () => {
  const { encodeAccountID } = await import('ripple-address-codec')
  const address = (number: number) => {
    const id = Buffer.alloc(20)
    id.writeUInt32BE(number)
    return encodeAccountID(id)
  }
  const list = (from: number) => Array.from({ length: 6_000 }, (_, at) => address(from + at))
  const client = await RawClient.connect(bench.sandbox.url)
  const subscribe = (accounts: string[]) => client.ask({ command: 'subscribe', accounts })
  expect(await subscribe(list(1))).toMatchObject({ status: 'success' })
  expect(await subscribe(list(1))).toMatchObject({ status: 'success' })
  expect(await subscribe(list(6_001))).toMatchObject({ error: 'slowDown' })
  client.close()
})
