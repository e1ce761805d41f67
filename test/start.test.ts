import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, type TestContext, test } from 'vitest'
import { accounts } from '../src/xrpl-sandbox/index.ts'
import { openLedger } from './support/ledger.ts'
import { copyProject, examplePlugins, freePort, testPlugins } from './support/scripts.ts'
import { hasTerminals, Terminal } from './support/terminal.ts'

const complete = /^#\d+ +10 drops {2}locked \d+\.\d s +letter [A-Z] {2}fulfilled \d+\.\d s$/

/** A ledger, and a copy of the project as a reader has it, whose sandbox that is. */
async function useProject({ onTestFinished }: TestContext) {
  const ledger = await openLedger()
  const project = await copyProject(examplePlugins)
  onTestFinished(async () => {
    await project.remove()
    await ledger.close()
  })
  const env: Record<string, string> = {
    PORT: '0',
    INTERVAL_MS: '200',
    LEDGER_PORT: new URL(ledger.url).port
  }
  return { ledger, project, env, start: (args: string[] = []) => project.run('start', env, args) }
}

/** Sees that payments are complete, each told once, and none is missing but those that have just begun. */
function expectStory(lines: string[]): void {
  const payments = lines.filter(line => line.startsWith('#'))
  expect(payments.filter(line => complete.test(line)).length).toBeGreaterThanOrEqual(3)
  const numbers = payments.map(line => Number(line.slice(1, 4)))
  expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, i) => i))
  for (const line of lines) {
    expect(line.length).toBeLessThanOrEqual(57)
    if (line.includes('letter')) expect(line).toContain('locked')
  }
}

test.concurrent('npm start prints a line for each complete payment when its output is not a terminal', async context => {
  const { env, start } = await useProject(context)
  const scripts = start()
  await scripts.waitForOutput(/#3 .* fulfilled/)
  expect(await scripts.interrupt()).toBe(0)
  const lines = scripts.output.split('\n')
  expect(lines.slice(0, 2)).toEqual([
    'Shop and client running; Ctrl-C stops both',
    'One line per payment, with the seconds since it was sent'
  ])
  expect(lines[2]).toMatch(/^\[shop\] Watch the account at /)
  expect(lines[3]).toMatch(
    new RegExp(`^\\[client\\] Watch the account at http://localhost:${env.LEDGER_PORT}/\\?account=r\\w+$`)
  )
  expectStory(lines.filter(line => !line.startsWith('[')))
  expect(scripts.output).toMatch(
    /\[client\] (\d+) payments, \1 letters: \1 fulfilled\n\[client\] \d+ drops spent \([\d.]+ XRP\): (\d+) for letters, .*\n\[shop\] \1 letters sold, \2 drops earned/
  )
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(scripts.output).not.toMatch(/\x1b/)
})

test.concurrent('npm start leaves no script behind when it is killed', async context => {
  const { env, start } = await useProject(context)
  env.PORT = String(await freePort())
  const scripts = start()
  await scripts.waitForOutput(/#0 /)
  await scripts.kill()
  const answer = () => fetch(`http://localhost:${env.PORT}/nothing`).catch(() => 'nobody listens')
  await context.expect.poll(answer, { timeout: 60_000 }).toBe('nobody listens')
})

test.concurrent('npm start on the test network starts no sandbox, and names the server', async context => {
  const { ledger, project, env, start } = await useProject(context)
  env.TEST_LEDGER = ledger.url
  const { shop, customer } = accounts
  const secrets = `XRP_SHOP_SECRET=${shop.secret}\nXRP_CUSTOMER_SECRET=${customer.secret}\n`
  await writeFile(join(project.folder, '.env'), secrets)
  const scripts = start()
  await scripts.waitForOutput(/#1 .* fulfilled/)
  await ledger.close()
  await scripts.waitForOutput(/\[client\] The ledger cannot be reached, reconnecting: start it with /)
  expect(await scripts.interrupt()).toBe(0)
  expect(scripts.output.split('\n').slice(2, 4)).toEqual([
    `[shop] XRP Testnet: ${ledger.url}`,
    `[shop] Watch the account at https://testnet.xrpl.org/accounts/${shop.address}`
  ])
  expect(scripts.output).not.toContain('Sandbox')
})

test.concurrent('npm start shows each letter beside its payment after the shop has rejected one', async context => {
  const { ledger, env } = await useProject(context)
  // The shop finds too little time before the expiry of the second.
  const own = await copyProject(`${testPlugins}
const { Customer } = xrp
xrp.Customer = () => {
const plugin = Customer()
const sendTransfer = plugin.sendTransfer.bind(plugin)
let sent = 0
plugin.sendTransfer = transfer => {
  if (sent++ === 1) transfer.expiresAt = new Date(plugin.getLedgerTime().getTime() + 30_000).toISOString()
  return sendTransfer(transfer)
}
return plugin
}
`)
  const scripts = own.run('start', { ...env, TEST_LEDGER: ledger.url, maxSettleMs: '1000' })
  await scripts.waitForOutput(/#2 .* fulfilled/)
  expect(await scripts.interrupt()).toBe(0)
  const lines = scripts.output.split('\n')
  expect(lines.find(line => line.startsWith('#1 '))).toMatch(/^#1 +10 drops {2}locked \S+ s( +returned .*)?$/)
  expect(lines.find(line => line.startsWith('#2 '))).toMatch(complete)
  await own.remove()
})

test.concurrent('npm start ends with what its shop says when that cannot open', async context => {
  const { env, start } = await useProject(context)
  env.PORT = 'no port'
  const scripts = start()
  expect(await scripts.waitForEnd()).toBe(1)
  expect(scripts.output).toContain('[shop] PORT="no port" is not a port: ')
  expect(scripts.output).not.toContain('#')
})

test.concurrent.for([
  { option: '--help', code: 0 },
  { option: '--rwa', code: 1 }
])('npm start -- $option prints its usage and exits $code', async ({ option, code }, context) => {
  const { start } = await useProject(context)
  const scripts = start([option])
  expect(await scripts.waitForEnd()).toBe(code)
  expect(scripts.output).toMatch(/^Usage: npm start, without options: .*\n$/)
})

describe.skipIf(!hasTerminals)(
  'in a terminal (needs the "script" of util-linux)',
  { concurrent: true },
  () => {
    test.for([
      { colors: 'with colors', command: 'npm start', environment: {}, has: true, code: 130 },
      {
        colors: 'without colors where NO_COLOR is set',
        command: 'node src/start.ts',
        environment: { NO_COLOR: '1' } as Record<string, string>,
        has: false,
        code: 0
      }
    ])(
      'npm start in a terminal rewrites the line of a payment, $colors, until Ctrl-C',
      async ({ command, environment, has, code }, context) => {
        const { project, env } = await useProject(context)
        const terminal = new Terminal(command, project.folder, { ...env, ...environment })
        context.onTestFinished(() => terminal.kill())
        await terminal.waitForScreen(/^#0 /m)
        // The terminal shows it where the lines go on: each begins at the left all the same.
        terminal.type('zz')
        await terminal.waitForScreen(/^#3 .* fulfilled/m)
        expect(terminal.sent).not.toMatch(/zz[^\r]*#/)
        terminal.type('\x03')
        // npm has a code of its own for a script that was interrupted.
        expect(await terminal.waitForEnd()).toBe(code)
        // Begun, locked, with its letter and fulfilled: four times the same line.
        expect(terminal.sent.match(/#0 /g)).toHaveLength(4)
        const lines = terminal.lines().map(line => line.trimEnd())
        expectStory(lines.filter(line => /^(#|Shop)/.test(line)))
        expect(lines.join('\n')).toMatch(/\[client\] (\d+) payments, \1 letters: \1 fulfilled\n\[client\] /)
        expect(terminal.sent.includes('\x1b[36m[client]\x1b[39m')).toBe(has)
        expect(terminal.sent.includes('\x1b[33m')).toBe(has)
      }
    )
  }
)
