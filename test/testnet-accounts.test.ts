import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, type TestContext, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { openLedger, type TestLedger } from './support/ledger.ts'
import { copyProject, examplePlugins } from './support/scripts.ts'

let ledger: TestLedger

beforeAll(async () => {
  ledger = await openLedger()
})

afterAll(() => ledger.close())

/** A copy of the project as a reader has it, and its .env. */
async function useProject({ onTestFinished }: TestContext) {
  const project = await copyProject(examplePlugins)
  onTestFinished(() => project.remove())
  const secretsFile = join(project.folder, '.env')
  const env = {
    FAUCET_URL: ledger.url.replace('ws:', 'http:'),
    TEST_LEDGER: ledger.url,
    PORT: '0',
    INTERVAL_MS: '200'
  }
  return { project, env, secretsFile, secrets: () => readFile(secretsFile, 'utf8') }
}

test.concurrent('testnet-accounts makes two funded accounts, with which the scripts then run', async context => {
  const { project, env, secretsFile, secrets } = await useProject(context)
  const run = project.run('testnet-accounts', env)
  expect(await run.waitForEnd()).toBe(0)
  expect(await secrets()).toMatch(/^XRP_SHOP_SECRET=sEd\w+\nXRP_CUSTOMER_SECRET=sEd\w+\n$/)
  expect((await stat(secretsFile)).mode & 0o777).toBe(0o600)
  const addresses = [
    ...run.output.matchAll(/(r\w+) has 100 XRP: https:\/\/testnet\.xrpl\.org\/accounts\/\1\n/g)
  ]
  expect(addresses).toHaveLength(2)

  const { shop, url } = await project.openShop('streaming-shop', env)
  expect(shop.output).toContain(
    `Watch the account at https://testnet.xrpl.org/accounts/${addresses[0]?.[1]}\n`
  )
  const client = project.run('streaming-client2', { ...env, SHOP_URL: url })
  await client.waitForOutput(/\.[.A-Z]*[A-Z]/)
  expect(client.output).toContain(`https://testnet.xrpl.org/accounts/${addresses[1]?.[1]}`)
  expect(await client.interrupt()).toBe(0)
})

test.concurrent('testnet-accounts leaves an existing .env unchanged', async context => {
  const { project, env, secretsFile, secrets } = await useProject(context)
  const text = 'OTHER=1\n'
  await writeFile(secretsFile, text)
  const run = project.run('testnet-accounts', env)
  expect(await run.waitForEnd()).toBe(1)
  expect(run.output).toMatch(/\.env exists already; left unchanged: /)
  expect(await secrets()).toBe(text)
})

test.concurrent('testnet-accounts writes nothing when the network cannot be reached', async context => {
  const { project, secrets } = await useProject(context)
  const run = project.run('testnet-accounts', { FAUCET_URL: 'http://localhost:1' })
  expect(await run.waitForEnd()).toBe(1)
  expect(run.output).toMatch(
    /The XRP Testnet at "ws:\/\/localhost:1" cannot be reached .*: check your internet connection/
  )
  expect(run.output).not.toMatch(/^\s+at /m)
  await expect(secrets()).rejects.toThrow('ENOENT')
})

test.concurrent('testnet-accounts writes nothing when the faucet refuses', async context => {
  const { project, secrets } = await useProject(context)
  const faucet = http.createServer((_req, res) => {
    res.writeHead(429, { 'Content-Type': 'application/json' }).end('{"error":"Too many requests"}')
  })
  // What is no request for money goes to the ledger.
  new WebSocketServer({ server: faucet }).on('connection', client => {
    const upstream = new WebSocket(ledger.url)
    const opened = once(upstream, 'open')
    client.on('message', text => opened.then(() => upstream.send(String(text))))
    client.on('close', () => upstream.terminate())
    upstream.on('message', text => client.send(String(text)))
  })
  faucet.listen(0)
  await once(faucet, 'listening')
  const { port } = faucet.address() as AddressInfo
  const run = project.run('testnet-accounts', { FAUCET_URL: `http://localhost:${port}` })
  expect(await run.waitForEnd()).toBe(1)
  expect(run.output).toContain('Faucet request failed (it answered 429: {"error":"Too many requests"})')
  await expect(secrets()).rejects.toThrow('ENOENT')
  faucet.close()
  faucet.closeAllConnections()
})

test.concurrent.for([
  {
    what: 'what is missing when the test network is chosen without secrets',
    text: undefined,
    sentence: 'There is no .env with your secrets: run "npm run testnet-accounts" first'
  },
  {
    what: 'which variable is empty in .env',
    text: 'XRP_SHOP_SECRET=sMine\nXRP_CUSTOMER_SECRET=\n',
    sentence:
      'There is no XRP_CUSTOMER_SECRET in .env: write it there, or move .env away and run "npm run testnet-accounts"'
  }
])('plugins.ts says $what', async ({ text, sentence }, context) => {
  const { project, env, secretsFile } = await useProject(context)
  if (text) await writeFile(secretsFile, text)
  const shop = project.run('streaming-shop', env)
  expect(await shop.waitForEnd()).toBe(1)
  expect(shop.output.trim().split('\n').at(-1)).toBe(sentence)
  expect(shop.output).not.toMatch(/^\s+at /m)
})
