import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { commands } from '../../src/xrpl-sandbox/api/commands/index.ts'
import { startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'

const readme = readFileSync(new URL('../../src/xrpl-sandbox/README.md', import.meta.url), 'utf8')

test('the example in the README runs as it stands', async () => {
  const [, code] = /```js\n(.*?)```/s.exec(readme) ?? []
  const file = join(import.meta.dirname, `readme-example-${process.pid}.mjs`)
  writeFileSync(file, (code as string).replace("'xrpl-sandbox'", "'../../src/xrpl-sandbox/index.ts'"))
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  try {
    await import(/* @vite-ignore */ file)
    expect(log).toHaveBeenCalledWith('tesSUCCESS', 101)
  } finally {
    log.mockRestore()
    rmSync(file)
  }
})

test('the README names every command', () => {
  for (const command of commands.keys()) expect(readme).toContain(`\`${command}\``)
})

test('the README names every member of a sandbox', async () => {
  const sandbox = await startSandboxLedger({ port: 0 })
  for (const name of Object.keys(sandbox)) expect(readme).toMatch(new RegExp(`\`${name}\\b`))
  await sandbox.close()
})
