import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { type SandboxLedger, type SandboxOptions, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { RawClient } from './client.ts'

let sandbox: SandboxLedger
let clients: RawClient[] = []
afterEach(async () => {
  for (const client of clients) client.close()
  await sandbox.close()
})

/** Starts a sandbox with two clients who listen to its ledgers; one closes them. */
async function start(options: SandboxOptions): Promise<RawClient> {
  sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 0, ...options })
  const [closer, ...rest] = [
    await RawClient.connect(sandbox.url),
    await RawClient.connect(sandbox.url),
    await RawClient.connect(sandbox.url)
  ] as const
  clients = [closer, ...rest]
  for (const client of rest) await client.ask({ command: 'subscribe', streams: ['ledger'] })
  return closer
}

/** Closes ledgers one by one; for each, which of the two has heard of it first. */
async function firstToHear(rounds: number): Promise<number[]> {
  const winners: number[] = []
  for (let round = 0; round < rounds; round++) {
    const [one, other] = clients.slice(1).map((client, number) => {
      return once(client.socket, 'message').then(() => number)
    }) as [Promise<number>, Promise<number>]
    sandbox.ledger.close()
    winners.push(await Promise.race([one, other]))
    await Promise.all([one, other])
  }
  return winners
}

test('with a delay now the one hears first, now the other, and as before with the same seed', async () => {
  const options = { delayMs: 400, delaySeed: 116 } // draws that lie well apart
  await start(options)
  const winners = await firstToHear(5)
  expect(new Set(winners)).toEqual(new Set([0, 1]))
  await sandbox.close()
  await start(options)
  expect(await firstToHear(5)).toEqual(winners)
})

test('to one client, messages and answers come in the order in which they were sent', async () => {
  const client = await start({ delayMs: 20 })
  await client.ask({ command: 'subscribe', streams: ['ledger'] })
  const seen: unknown[] = []
  client.socket.on('message', data => {
    const { type, ledger_index, id } = JSON.parse(String(data))
    seen.push(type === 'ledgerClosed' ? ledger_index : `answer ${id}`)
  })
  const answers = Array.from({ length: 50 }, (_, id) => client.ask({ id, command: 'ledger_accept' }))
  await Promise.all(answers)
  const first = sandbox.ledger.closedHeader.ledgerIndex - 49
  expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => [first + n, `answer ${n}`]).flat())
})

test('what is sent takes up to as long as it may', async () => {
  const client = await start({ delayMs: 100, delaySeed: 1 })
  const started = performance.now()
  const times = await Promise.all(
    Array.from({ length: 40 }, () => client.ask({ command: 'ping' }).then(() => performance.now() - started))
  )
  expect(Math.max(...times)).toBeGreaterThan(80)
})

test('the answer to stop still comes', async () => {
  const client = await start({ delayMs: 50 })
  expect(await client.ask({ command: 'stop' })).toMatchObject({ status: 'success' })
})
