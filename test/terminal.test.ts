import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { limitedLog } from '../src/shop/limited-log.ts'
import { useServer } from './ilp-plugin-xrp-escrow/support.ts'
import { askWithToken, Customer, offerOf, parsePay } from './support/customer.ts'
import { fakeShop, LetterStream, RawConnection } from './support/http.ts'
import { openLedger, type TestLedger } from './support/ledger.ts'
import { copyProject, testPlugins } from './support/scripts.ts'
import { useTestbed } from './support/testbed.ts'

// What strangers, servers and machines can make a script print.

const escapeCodes = '\x1b[2J\x1b]0;owned\x07\u009b31m\r\nForged line\u202e'
const longText = escapeCodes + 'x'.repeat(10_000)

const bed = useTestbed()

function expectHarmless(output: string): void {
  expect(output.replace(/[\n\x20-\x7e]/g, '')).toBe('')
  expect(output).not.toMatch(/^Forged/m)
  expect(output).not.toMatch(/x{101}/)
}

test("a shop prints a ledger server's error_message as plain text on one line", async () => {
  const server = await useServer(bed.ledger, {
    request: ({ command }) =>
      command === 'account_info' ? { error: 'forbidden', error_message: longText } : undefined
  })
  const script = bed.run('streaming-shop', { TEST_LEDGER: server.url })
  expect(await script.waitForEnd()).toBe(1)
  expect(script.output).toContain('?[2J')
  expectHarmless(script.output)
})

test("a client prints a ledger server's engine_result_message as plain text on one line", async () => {
  const server = await useServer(bed.ledger, {
    request({ command }) {
      const result = { engine_result: 'temMALFORMED', engine_result_message: longText }
      return command === 'submit' ? result : undefined
    }
  })
  const pay = `interledger-psk 10 ${bed.customer.plugin.getInfo().prefix}rEwRpE8w41M6GQm6Cr6zR3DkPxWQ193nMS.AAAAAAAAAAA ${'A'.repeat(43)}`
  const shop = await fakeShop((_req, res) => res.writeHead(200, { Pay: pay }).flushHeaders())
  const env = { TEST_LEDGER: server.url, SHOP_URL: shop.url, INTERVAL_MS: '100' }
  const script = bed.run('streaming-client2', env)
  await script.waitForEnd()
  await shop.close()
  expectHarmless(script.output)
})

test('a limited log counts the lines that it does not print, and says how many with the next period', () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const lines: string[] = []
  const log = limitedLog(2, line => lines.push(line))
  for (const line of ['a', 'b', 'c', 'd']) log(line)
  vi.advanceTimersByTime(10_000)
  log('e')
  vi.useRealTimers()
  expect(lines).toEqual(['a', 'b', '    - 2 more lines like these', 'e'])
})

test.concurrent('shop-from-before prints 100 characters of a path, and no more lines of strangers than its limit', async () => {
  const { shop: script, url } = await bed.openShop('shop-from-before', { periodMs: '3600000' })
  const get = async (path: string) => {
    const connection = new RawConnection(url)
    await connection.send(`GET /${path} HTTP/1.1\r\nHost: x\r\n\r\n`).waitForClose()
    connection.close()
  }
  await get('x'.repeat(15_000))
  await script.waitForOutput(/Incoming request to: \/x{99}\n/)
  // Its limit are a thousand lines.
  for (let n = 0; n < 20; n++) await Promise.all(Array.from({ length: 60 }, () => get('y')))
  const offer = await offerOf(url)
  await bed.customer.pay(offer)
  expect(await askWithToken(url, offer)).toMatch(/^Your letter/)
  await script.waitForOutput(/Providing paid letter/)
  expect(script.output.match(/Incoming request to: \/y\n/g)).toHaveLength(999)
  await script.kill()
})

test.concurrent('scripts whose clock is 20 minutes fast or slow go by the ledger, and say so once', async () => {
  const [past, future] = await Promise.all(
    [-20, 20].map(minutes => openLedger({ closeIntervalMs: 1000, now: () => Date.now() + minutes * 60_000 }))
  )
  const { shop, url } = await bed.openShop('streaming-shop', past?.env)
  const stream = await LetterStream.open(url)
  const payer = await Customer.connect(past as TestLedger)
  await payer.pay(parsePay(stream.pay), '10', { expiresInMs: (100 - 20 * 60) * 1000 })
  expect(await stream.waitForLetters(1)).toHaveLength(1)
  const client = bed.run('streaming-client2', { ...future?.env, SHOP_URL: 'http://localhost:1/' })
  await client.waitForOutput(/Waiting for the shop/)
  const says = (direction: string) => [
    expect.stringMatching(`The clock of this machine is 20 minutes ${direction} the ledger's, .*: set it`)
  ]
  expect(shop.output.match(/The clock of.*/g)).toEqual(says('ahead of'))
  expect(client.output.match(/The clock of.*/g)).toEqual(says('behind'))
  stream.leave()
  await payer.disconnect()
  for (const script of [client, shop]) await script.kill()
  for (const ledger of [past, future]) await ledger?.close()
})

test.concurrent('a script whose shutdown hangs ends at a third Ctrl-C, with 1', async () => {
  const own = await copyProject(`${testPlugins}
import { onShutdown } from './src/terminal/shutdown.ts'
onShutdown(() => new Promise(() => setInterval(() => {}, 1_000)))
`)
  const { shop } = await own.openShop('streaming-shop', bed.ledger.env)
  // Those within half a second count once: npm passes each on.
  let pressed = 0
  const pressing = setInterval(() => shop.process.kill('SIGINT') && pressed++, 600)
  expect(await shop.waitForEnd()).toBe(1)
  clearInterval(pressing)
  expect(pressed).toBeGreaterThanOrEqual(3)
  await own.remove()
})

test.runIf(process.platform === 'linux')(
  'a script whose output finds a full disk says so and ends with 1',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'full-'))
    const full = await open('/dev/full', 'w')
    const env = {
      ...process.env,
      TEST_LEDGER: bed.ledger.url,
      PORT: '0',
      SHOP_SECRET: 'sEdTM1uX8pu2do5XvTnutH6HsouMaM2'
    }
    const script = spawn(process.execPath, [join(bed.project.folder, 'src/streaming-shop.ts')], {
      env,
      stdio: ['ignore', full.fd, 'pipe']
    })
    let said = ''
    script.stderr?.setEncoding('utf8').on('data', text => (said += text))
    const [code] = await once(script, 'close')
    await full.close()
    await rm(folder, { recursive: true })
    expect([code, said.trim()]).toEqual([
      1,
      expect.stringMatching(/^The output cannot be written \(ENOSPC.*\): make room/)
    ])
  }
)
