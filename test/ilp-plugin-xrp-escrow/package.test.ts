import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { customer, prefix, shop, useLedger } from './support.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
// Another Node.js than the one that runs the tests may be named.
const node = process.env.PACKAGE_NODE ?? process.execPath

const dependencies = ['ripple-address-codec', 'ripple-binary-codec', 'ws', 'typescript', '@types', 'undici-types']

/** What a program does with the package; it ends by itself, once nothing is left to wait for. */
const program = `
async function main() {
  const [server, secret, to] = process.argv.slice(2)
  const plugin = new PluginXrpEscrow({ server, secret })
  plugin.on('outgoing_transfer', transfer => console.log(transfer.amount))
  await plugin.connect()
  await plugin.sendTransfer({ id: crypto.randomUUID(), to, amount: '7' })
  const waiting = [plugin.sendRequest({ to }), plugin.fulfillCondition(crypto.randomUUID(), 'A'.repeat(43))]
  await Promise.all([plugin.disconnect(), ...waiting.map(outcome => outcome.catch(() => {}))])
  console.log(new errors.UnreachableError('x').name)
  // No timer is left that somebody would have to wait for.
  console.log(process.getActiveResourcesInfo().filter(name => name === 'Timeout').length)
}
main()
`

test('the packed package runs on plain Node.js, imported and required, and ends by itself', async () => {
  const { url } = await useLedger()
  const folder = await mkdtemp(join(tmpdir(), 'ilp-plugin-xrp-escrow-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  // In a copy: packing changes the folder for a moment, and other tests load the plugin from it.
  const copy = join(folder, 'copy/src/ilp-plugin-xrp-escrow')
  await cp(join(root, 'src/ilp-plugin-xrp-escrow'), copy, { recursive: true })
  await cp(join(root, 'LICENSE'), join(folder, 'copy/LICENSE'))
  await symlink(join(root, 'node_modules'), join(folder, 'copy/node_modules'))
  await run('npm', ['pack', '--pack-destination', folder], { cwd: copy })
  const tarball = (await readdir(folder)).find(name => name.endsWith('.tgz')) as string
  const modules = join(folder, 'node_modules')
  const into = join(modules, 'ilp-plugin-xrp-escrow')
  await mkdir(into, { recursive: true })
  await run('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', into])
  for (const name of dependencies) await symlink(join(root, 'node_modules', name), join(modules, name))

  const programs = {
    'use.mjs': `import PluginXrpEscrow, * as errors from 'ilp-plugin-xrp-escrow'\n${program}`,
    'use.cjs': `const PluginXrpEscrow = require('ilp-plugin-xrp-escrow')\nconst errors = PluginXrpEscrow\n${program}`
  }
  for (const [name, text] of Object.entries(programs)) {
    await writeFile(join(folder, name), text)
    const args = [join(folder, name), url, customer.secret, prefix + shop.address]
    const { stdout, stderr } = await run(node, args, { timeout: 50_000 })
    expect([name, stdout, stderr]).toEqual([name, '7\nUnreachableError\n0\n', ''])
  }

  const typed = `
import PluginXrpEscrow, { type LedgerTransfer, UnreachableError } from 'ilp-plugin-xrp-escrow'
const plugin: PluginXrpEscrow = new PluginXrpEscrow({ server: 'wss://…', secret: 's…' })
plugin.on('incoming_prepare', (transfer: LedgerTransfer) => console.log(transfer.amount, UnreachableError))
`
  await writeFile(join(folder, 'typed.mts'), typed)
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--types', 'node', 'typed.mts']
  await run(node, [join(modules, 'typescript/bin/tsc'), ...options], { cwd: folder })
})
