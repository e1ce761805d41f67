import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { freePort, root } from './support/scripts.ts'
import { RawClient } from './xrpl-sandbox/client.ts'

// Another Node.js than the one that runs the tests can be named.
const node = process.env.PACKED_NODE ?? process.execPath

const names = ['ilp-plugin-xrp-escrow', 'xrpl-sandbox']

/** What the packages need, and what their users have: linked from this repository. */
const linked = [
  'ripple-address-codec',
  'ripple-binary-codec',
  'ripple-keypairs',
  'ws',
  'xrpl',
  'vitest',
  'typescript',
  '@types',
  'undici-types'
]

const folder = await mkdtemp(join(tmpdir(), 'packed-'))
const modules = join(folder, 'node_modules')
await promisify(execFile)(process.execPath, ['--import', 'tsx/esm', join(root, 'pack.ts'), folder], {
  cwd: root
})
const tarballs = (await readdir(folder)).filter(file => file.endsWith('.tgz'))
for (const name of names) {
  const tarball = tarballs.find(file => file.startsWith(`${name}-`)) as string
  await mkdir(join(modules, name), { recursive: true })
  const into = ['--strip-components=1', '-C', join(modules, name)]
  await promisify(execFile)('tar', ['-xzf', join(folder, tarball), ...into])
}
for (const name of linked) await symlink(join(root, 'node_modules', name), join(modules, name))

/** Runs Node.js in the project of a user, and gives what it prints. */
async function run(...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(node, args, { cwd: folder })
  expect(stderr).toBe('')
  return stdout
}

const readReadme = (name: string) => readFile(join(modules, name, 'README.md'), 'utf8')

/** The one JavaScript example of a packed README. */
async function exampleOf(name: string): Promise<string> {
  const examples = [...(await readReadme(name)).matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code)
  expect(examples).toHaveLength(1)
  return examples[0] as string
}

afterAll(() => rm(folder, { recursive: true, force: true }))

test('the packed packages work when required, with the exports that import gives, and the process ends by itself', async () => {
  const program = `
    const PluginXrpEscrow = require('ilp-plugin-xrp-escrow')
    const { accounts, startSandboxLedger } = require('xrpl-sandbox')
    async function main() {
      for (const name of ${JSON.stringify(names)})
        console.log(Object.keys(await import(name)).filter(key => !(key in require(name)) && key !== 'module.exports'))
      const ledger = await startSandboxLedger({ port: 0, closeIntervalMs: 100 })
      const plugin = new PluginXrpEscrow({ server: ledger.url, secret: accounts.customer.secret })
      plugin.on('outgoing_transfer', transfer => console.log(transfer.amount))
      await plugin.connect()
      const to = plugin.getInfo().prefix + accounts.shop.address
      await plugin.sendTransfer({ id: crypto.randomUUID(), to, amount: '7' })
      const waiting = [plugin.sendRequest({ to }), plugin.fulfillCondition(crypto.randomUUID(), 'A'.repeat(43))]
      await Promise.all([plugin.disconnect(), ...waiting.map(outcome => outcome.catch(() => {}))])
      await ledger.close()
      console.log(new PluginXrpEscrow.UnreachableError('x').name)
      // No timer is left that somebody would have to wait for.
      console.log(process.getActiveResourcesInfo().filter(name => name === 'Timeout').length)
    }
    main()`
  await writeFile(join(folder, 'require.cjs'), program)
  expect(await run('require.cjs')).toBe('[]\n[]\n7\nUnreachableError\n0\n')
})

test('TypeScript accepts the packed packages, imported and required, and refuses wrong options', async () => {
  const use = `
    const plugin: PluginXrpEscrow = new PluginXrpEscrow({ server: 'wss://…', secret: accounts.shop.secret })
    plugin.on('incoming_prepare', transfer => console.log(transfer.amount.length))
    class Own extends PluginXrpEscrow {}
    const started: Promise<SandboxLedger> = startSandboxLedger({ port: 0, closeOnSubmit: true })
    // @ts-expect-error: there is no server
    new Own({ secret: 's…' })
    // @ts-expect-error: there is no such option
    startSandboxLedger({ ports: 0 })
    // @ts-expect-error: an error is not a string
    const text: string = new UnreachableError('x', { code: 'DISCONNECTED' })
    export const transfer: Transfer = { id: '…', to: '…', amount: '1' }
    started.then(ledger => ledger.fund(text, 1))`
  const imported = `
    import { PluginXrpEscrow, UnreachableError, type Transfer } from 'ilp-plugin-xrp-escrow'
    import { accounts, type SandboxLedger, startSandboxLedger } from 'xrpl-sandbox'`
  const required = `
    import PluginXrpEscrow = require('ilp-plugin-xrp-escrow')
    import sandbox = require('xrpl-sandbox')
    import UnreachableError = PluginXrpEscrow.UnreachableError
    type Transfer = PluginXrpEscrow.Transfer
    type SandboxLedger = sandbox.SandboxLedger
    const { accounts, startSandboxLedger } = sandbox`
  const files = { 'imported.mts': imported, 'imported.cts': imported, 'required.cts': required }
  for (const [file, imports] of Object.entries(files)) await writeFile(join(folder, file), imports + use)
  const options = '--noEmit --strict --target es2023 --lib es2023 --module nodenext --types node'.split(' ')
  const tsc = join(modules, 'typescript/bin/tsc')
  const outcome = await run(tsc, ...options, ...Object.keys(files)).catch(err => err.stdout)
  expect(outcome).toBe('')
})

test('the packed command prints its usage', async () => {
  const { bin } = JSON.parse(await readFile(join(modules, 'xrpl-sandbox/package.json'), 'utf8'))
  const command = join(modules, 'xrpl-sandbox', bin['xrpl-sandbox'])
  // Its first line says which Node.js runs it.
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` }
  const { stdout } = await promisify(execFile)(command, ['--help'], { env })
  expect(stdout).toMatch(/^npx xrpl-sandbox \[--port 6006\]/)
})

test('the packed sandboxLedger starts the packed command in the background, with its page', async () => {
  await writeFile(
    join(folder, 'background.cjs'),
    `require('xrpl-sandbox').sandboxLedger({ port: Number(process.argv[2]) })`
  )
  const port = await freePort()
  expect(await run('background.cjs', String(port))).toMatch(/^Sandbox ledger: started at /)
  const page = await (await fetch(`http://localhost:${port}`)).text()
  expect(page).toMatch(/<script.*<[/]script>/s)
  expect(page).not.toContain('/* page')
  const client = await RawClient.connect(`ws://localhost:${port}`)
  expect(await client.ask({ command: 'stop' })).toMatchObject({ status: 'success' })
  client.close()
})

test("the example in the plugin's README pays on the packed sandbox", async () => {
  await writeFile(join(folder, 'pay.mjs'), await exampleOf('ilp-plugin-xrp-escrow'))
  // 10,000 XRP and 1 XRP, less the fee of the fulfillment.
  expect(await run('pay.mjs')).toMatch(/^Paid 1000000 drops for [\w-]{43}; the payee has 10000999650\n$/)
})

describe("the test file in the sandbox's README", async () => {
  const file = join(folder, 'escrow.test.js')
  await writeFile(file, await exampleOf('xrpl-sandbox'))
  await import(file)
})

test('the packed READMEs have no links into the repository', async () => {
  for (const name of names) {
    const links = [...(await readReadme(name)).matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link)
    expect(links.filter(link => !/^(https:|#)/.test(link))).toEqual([])
  }
})
