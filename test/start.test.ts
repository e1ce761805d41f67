import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accounts, startSandboxLedger } from '../src/sandbox-ledger/index.ts'
import { freePort, root, type Stage, setStage, throughTsx } from './support/scripts.ts'
import { hasTerminals, Terminal } from './support/terminal.ts'

const complete =
  /^payment \d+ +10 drops {3}locked \d\d:\d\d:\d\d\.\d {3}letter [A-Z] {3}fulfilled \d\d:\d\d:\d\d\.\d$/

let stage: Stage
let port: number

beforeEach(async () => {
  port = await freePort()
  const example = await readFile(join(root, 'plugins.example.ts'), 'utf8')
  stage = await setStage(
    example.replace('sandboxLedger()', `sandboxLedger({ port: ${port}, closeIntervalMs: 300 })`)
  )
})

afterEach(() => stage.strike())

const env = { PORT: '0', INTERVAL_MS: '200' }

/** Sees that payments are complete, each told once, and none is missing but those that have just begun. */
function expectStory(lines: string[]): void {
  const payments = lines.filter(line => line.startsWith('payment '))
  expect(payments.filter(line => complete.test(line)).length).toBeGreaterThanOrEqual(3)
  const numbers = payments.map(line => Number(line.split(/ +/)[1]))
  expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, i) => i))
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
}

describe('npm start', () => {
  test('prints a line for each payment when it is complete, where nothing can be written over', async () => {
    const start = stage.run('src/start.ts', env, [], throughTsx)
    await start.says(/payment 3 .* fulfilled/)
    expect(await start.interrupt()).toBe(0)
    const lines = start.output.split('\n')
    expect(lines[0]).toBe('A shop and a client, until Ctrl-C (npm start -- --raw shows their own lines)')
    expect(lines[1]).toBe(`[shop] Sandbox ledger: started at ws://localhost:${port}`)
    expect(lines[2]).toMatch(
      new RegExp(`^\\[client\\] Watch the account at http://localhost:${port}/\\?account=r\\w+$`)
    )
    expectStory(lines.filter(line => !line.startsWith('[')))
    expect(start.output).toMatch(
      /\[client\] (\d+) payments, \1 letters: \1 fulfilled\n\[client\] [\d.]+ XRP spent: /
    )
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(start.output).not.toMatch(/\x1b/)
  })

  test("shows the two scripts' own lines with --raw", async () => {
    const start = stage.run('src/start.ts', env, ['--raw'], throughTsx)
    await start.says(/\[shop\] == Starting the shop server ==\n/)
    await start.says(/\[shop\] {2}4\. Accepted payment with condition /)
    await start.says(/^\[client\] \.?[A-Z]/m)
    expect(await start.interrupt()).toBe(0)
    expect(start.output).not.toContain('payment 0')
  })

  test('goes where plugins.ts says: on the test network it starts no sandbox, and says where it is', async () => {
    const network = await startSandboxLedger({ port: 0, closeIntervalMs: 300 })
    const example = await readFile(join(root, 'plugins.example.ts'), 'utf8')
    const chosen = example.replace('await ledgers.sandbox()', 'await ledgers.testNetwork()')
    await writeFile(
      join(stage.folder, 'plugins.ts'),
      chosen.replace('wss://s.altnet.rippletest.net:51233', network.url)
    )
    const { shop, customer } = accounts
    const secrets = `XRP_SHOP_SECRET=${shop.secret}\nXRP_CUSTOMER_SECRET=${customer.secret}\n`
    await writeFile(join(stage.folder, '.env'), secrets)
    const start = stage.run('src/start.ts', env, [], throughTsx)
    await start.says(/payment 1 .* fulfilled/)
    await network.close()
    await start.says(/\[client\] The ledger is out of reach: waiting for it to come back\n/)
    expect(await start.interrupt()).toBe(0)
    expect(start.output.split('\n').slice(1, 3)).toEqual([
      `[shop] XRP test network: at ${network.url}`,
      `[client] Watch the account at https://testnet.xrpl.org/accounts/${customer.address}`
    ])
    expect(start.output).not.toContain('Sandbox')
  })

  test('ends with what its shop says when that cannot open', async () => {
    const start = stage.run('src/start.ts', { ...env, PORT: 'no port' }, [], throughTsx)
    expect(await start.ends()).toBe(1)
    expect(start.output).toContain('[shop] PORT="no port" is not a port: ')
    expect(start.output).not.toContain('payment')
  })

  test('leaves no script behind when it is killed', async () => {
    const start = stage.run('src/start.ts', env, ['--raw'], throughTsx)
    await start.says(/^\[client\] \.?[A-Z]/m)
    // Its children hold its output open: it is closed when they have ended.
    await start.kill()
  })

  describe.skipIf(!hasTerminals)('in a terminal (needs the "script" of util-linux)', () => {
    let terminal: Terminal

    afterEach(() => terminal.kill())

    test.each([
      { colours: 'with colours', environment: {} as Record<string, string>, has: true },
      { colours: 'without, where NO_COLOR is set', environment: { NO_COLOR: '1' }, has: false }
    ])('lets lines grow, $colours, until Ctrl-C', async ({ environment, has }) => {
      terminal = new Terminal('npm start', stage.folder, { ...env, ...environment })
      await terminal.shows(/^payment 3 .* fulfilled/m)
      terminal.type('\x03')
      // npm has a code of its own for a script that was interrupted.
      expect(await terminal.ends()).toBe(130)
      // Begun, locked, with its letter and fulfilled: four times the same line.
      expect(terminal.sent.match(/payment 0 /g)).toHaveLength(4)
      const lines = terminal.lines().map(line => line.trimEnd())
      expectStory(lines.filter(line => /^(payment|A shop)/.test(line)))
      expect(lines.join('\n')).toMatch(/\[client\] (\d+) payments, \1 letters: \1 fulfilled\n\[client\] /)
      expect(terminal.sent.includes('\x1b[36m[client]\x1b[39m')).toBe(has)
      expect(terminal.sent.includes('\x1b[33m')).toBe(has)
    })
  })
})
