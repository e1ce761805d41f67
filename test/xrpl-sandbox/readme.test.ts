import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { commands } from '../../src/xrpl-sandbox/api/requests.ts'
import { startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'

const readme = readFileSync(new URL('../../src/xrpl-sandbox/README.md', import.meta.url), 'utf8')

test('the README names every command', () => {
  for (const command of commands.keys()) expect(readme).toContain(`\`${command}\``)
})

test('the README names every member of a sandbox', async () => {
  const sandbox = await startSandboxLedger({ port: 0 })
  for (const name of Object.keys(sandbox)) expect(readme).toMatch(new RegExp(`\`${name}\\b`))
  await sandbox.close()
})
