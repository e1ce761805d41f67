import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { beforeAll, describe, expect, test } from 'vitest'
import { askWithToken, offerOf } from './support/customer.ts'
import { LetterStream } from './support/http.ts'
import { useTestbed } from './support/testbed.ts'

// What stands between a shop and its clients: caches, proxies that lose answers, two families of addresses.

const bed = useTestbed()
const urls: Record<string, string> = {}

beforeAll(async () => {
  for (const name of ['shop-from-before', 'streaming-shop']) urls[name] = (await bed.openShop(name)).url
})

const urlOf = (name: string) => urls[name] as string
const withToken = (payToken: string) => ({ headers: { 'Pay-Token': payToken } })

/** An HTTP proxy before a shop; its `lose` says of which answers the client gets nothing, `isBusy` that it refuses. */
async function openProxy(
  shopUrl: string,
  lose: (req: http.IncomingMessage, res: http.IncomingMessage) => boolean
) {
  const lost: string[] = []
  const proxy = { url: '', lost, isBusy: false, refusals: 0, close }
  const server = http.createServer((req, res) => {
    if (proxy.isBusy) {
      proxy.refusals++
      return res.writeHead(503, { 'Retry-After': '60' }).end('Too busy')
    }
    const request = http.request(new URL(req.url ?? '', shopUrl), { headers: req.headers }, async answer => {
      let body = ''
      for await (const chunk of answer) body += chunk
      if (!lose(req, answer)) return res.writeHead(answer.statusCode ?? 0, answer.headers).end(body)
      lost.push(body)
      return req.socket.resetAndDestroy()
    })
    return request.end()
  })
  function close() {
    server.close()
    server.closeAllConnections()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return proxy
}

describe('no cache may store what a shop answers', () => {
  test.each([
    { name: 'shop-from-before', path: '', init: {}, status: 402 },
    { name: 'shop-from-before', path: '', init: withToken('x'), status: 400 },
    { name: 'shop-from-before', path: 'constructor', init: {}, status: 404 },
    { name: 'shop-from-before', path: '__proto__', init: {}, status: 404 },
    { name: 'shop-from-before', path: '', init: { method: 'POST' }, status: 405 },
    { name: 'streaming-shop', path: '', init: {}, status: 200 },
    { name: 'streaming-shop', path: 'x', init: {}, status: 404 },
    { name: 'streaming-shop', path: '', init: { method: 'POST' }, status: 405 }
  ])('$name answers $status with no-store to "$path"', async ({ name, path, init, status }) => {
    const res = await fetch(urlOf(name) + path, init)
    expect([res.status, res.headers.get('Cache-Control')]).toEqual([
      status,
      expect.stringMatching(/^no-store/)
    ])
    await res.body?.cancel()
  })

  test('shop-from-before sends a letter with no-store', async () => {
    const offer = await offerOf(urlOf('shop-from-before'))
    await bed.customer.pay(offer)
    const res = await fetch(urlOf('shop-from-before'), withToken(offer.sharedSecret))
    expect([res.status, res.headers.get('Cache-Control')]).toEqual([200, 'no-store'])
  })

  test('streaming-shop asks proxies to pass each letter on as it comes', async () => {
    const res = await fetch(urlOf('streaming-shop'))
    expect(res.headers.get('Cache-Control')).toBe('no-store, no-transform')
    expect(res.headers.get('X-Accel-Buffering')).toBe('no')
    await res.body?.cancel()
  })
})

describe.concurrent('a paid answer that is lost on its way', () => {
  // A shop that repeats no letter.
  let forgetfulUrl: string
  beforeAll(async () => {
    forgetfulUrl = (await bed.openShop('shop-from-before', { repeatableMs: '0' })).url
  })

  test('shop-from-before repeats a letter for the fulfillment with the Pay-Token, and nothing for either alone', async () => {
    const url = urlOf('shop-from-before')
    const [offer, other] = [await offerOf(url), await offerOf(url)]
    const [first, second] = [
      await bed.customer.pay(offer),
      await bed.customer.pay(offer, '10', { paymentId: 1 })
    ]
    await bed.customer.pay(other)
    const ask = async (path: string, init = {}) => {
      const res = await fetch(url + path, init)
      return { status: res.status, body: await res.text(), balance: res.headers.get('Pay-Balance') }
    }
    const paid = withToken(offer.sharedSecret)
    const { body: letter } = await ask('', paid)
    expect(letter).toMatch(/^Your letter: [A-Z]$/)
    for (let n = 0; n < 2; n++) expect(await ask(first, paid)).toMatchObject({ status: 200, body: letter })
    for (const init of [{}, withToken(other.sharedSecret), withToken('x')])
      expect(await ask(first, init)).toEqual({
        status: 404,
        body: 'Unrecognized fulfillment.\n',
        balance: null
      })
    // The request for the second was lost, not its answer: it buys its letter now, and once.
    const { body: next } = await ask(second, paid)
    expect(next).toMatch(/^Your letter: [A-Z]$/)
    expect(await ask(second, paid)).toMatchObject({ status: 200, body: next })
    expect(await ask('', paid)).toMatchObject({ status: 402, balance: '0' })
  })

  test('shop-from-before repeats letters for a minute, the last thousand', async () => {
    const offer = await offerOf(forgetfulUrl)
    const fulfillment = await bed.customer.pay(offer)
    expect(await askWithToken(forgetfulUrl, offer)).toMatch(/^Your letter/)
    expect(await askWithToken(forgetfulUrl + fulfillment, offer)).toBe(404)
  })

  test('streaming-client1 gets the letters of answers that a proxy loses', async () => {
    let answers = 0
    const proxy = await openProxy(
      urlOf('shop-from-before'),
      (_, { statusCode }) => statusCode === 200 && answers++ % 2 === 0
    )
    const buyer = bed.run('streaming-client1', { SHOP_URL: proxy.url, INTERVAL_MS: '2000' })
    await buyer.waitUntil(output => output.match(/^Your letter: [A-Z]$/gm)?.length === 3)
    expect(await buyer.interrupt()).toBe(0)
    expect(proxy.lost.length).toBeGreaterThanOrEqual(2)
    for (const letter of proxy.lost) expect(buyer.output).toContain(`${letter}\n`)
    const [, payments, letters] = /^(\d+) payments, (\d+) letters: /m.exec(buyer.output) ?? []
    expect(letters).toBe(payments)
    proxy.close()
  })

  test('streaming-client1 goes on when a lost letter cannot be repeated, and prints the request for one that is late', async ({
    expect
  }) => {
    let paid = 0
    const tooLate = (req: http.IncomingMessage) => Boolean(req.headers['pay-token']) && paid++ === 0
    const proxy = await openProxy(forgetfulUrl, tooLate)
    const buyer = bed.run('streaming-client1', { SHOP_URL: proxy.url, INTERVAL_MS: '2000' })
    await buyer.waitForOutput(
      /A letter was paid for, but lost on its way: the shop answered 404 Unrecognized fulfillment\.\n/
    )
    await buyer.waitUntil(output => output.match(/^Your letter: [A-Z]$/gm)?.length === 2)

    // A letter that it is waiting for at the end can still be fetched, by the request that it prints.
    proxy.isBusy = true
    await expect.poll(() => proxy.refusals, { timeout: 60_000 }).toBeGreaterThan(0)
    const ended = buyer.interrupt()
    await buyer.waitForOutput(/Waiting for \d+ payments?/)
    buyer.process.kill('SIGINT')
    expect(await ended).toBe(0)
    const [, payToken = '', url = ''] =
      /^\d+ letters? paid for and not received: .*\ncurl -H "Pay-Token: (\S+)" (\S+)$/m.exec(buyer.output) ??
      []
    proxy.isBusy = false
    expect(await (await fetch(url, withToken(payToken))).text()).toMatch(/^Your letter: [A-Z]$/)
    proxy.close()
  })
})

const hasIpv6 = networkInterfaces().lo?.some(({ address }) => address === '::1') ?? false

test.runIf(hasIpv6)('a shop on HOST=::1 names itself by that address', async () => {
  const { url } = await bed.openShop('streaming-shop', { HOST: '::1' })
  expect(url).toMatch(/^http:\/\/\[::1\]:\d+\/$/)
  const stream = await LetterStream.open(url)
  expect(stream.status).toBe(200)
  stream.leave()
})

test('a script tries every address of a name, and a failure names the reason at each', async () => {
  // A name with an IPv6 address first that this machine cannot reach, as where IPv6 is off.
  const preload = `data:text/javascript,${encodeURIComponent(`
    import dns from 'node:dns'
    import net from 'node:net'
    import { syncBuiltinESMExports } from 'node:module'
    const lookup = dns.lookup
    dns.lookup = (name, options, done) => name !== 'two.test' ? lookup(name, options, done)
      : done(null, [{ address: '2001:db8::1', family: 6 }, { address: '127.0.0.1', family: 4 }])
    syncBuiltinESMExports()
    const { connect } = net.Socket.prototype
    const internal = process.binding('tcp_wrap').TCP.prototype
    internal.connect6 = () => -99
  `)}`
  const env = { NODE_OPTIONS: `--no-warnings --import ${preload}` }
  const client = bed.run('streaming-client2', { ...env, SHOP_URL: 'http://two.test:1/' })
  await client.waitForOutput(
    /Waiting for the shop at http:\/\/two\.test:1\/ - start it in another terminal\n/
  )
  await client.kill()
  const shop = bed.run('streaming-shop', { ...env, TEST_LEDGER: 'ws://two.test:1', PORT: '0' })
  expect(await shop.waitForEnd()).toBe(1)
  expect(shop.output).toMatch(
    /The ledger at "ws:\/\/two\.test:1" cannot be reached \(connect EADDRNOTAVAIL .*, connect ECONNREFUSED 127\.0\.0\.1:1\)/
  )
})
