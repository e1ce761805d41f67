import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { Client, Wallet } from 'xrpl'
import { commands } from '../../src/xrpl-sandbox/api/requests.ts'
import {
  accounts,
  type SandboxLedger,
  type SandboxOptions,
  startSandboxLedger
} from '../../src/xrpl-sandbox/index.ts'
import { RawClient } from './client.ts'
import { Bench, customer, shop, wallet } from './support.ts'

test('fund pays a new account, and closeLedger closes a ledger', async () => {
  const bench = await Bench.start()
  const newcomer = wallet('newcomer')
  bench.sandbox.fund(newcomer.address, 50)
  expect(await bench.account(newcomer, 'validated')).toMatchObject({ Balance: '50000000' })
  const { ledgerIndex } = bench.sandbox.ledger.closedHeader
  bench.sandbox.closeLedger()
  expect(bench.sandbox.ledger.closedHeader.ledgerIndex).toBe(ledgerIndex + 1)
  expect(() => bench.sandbox.fund('nobody', 1)).toThrow('Invalid destination "nobody"')
  expect(() => bench.sandbox.fund(wallet('poor').address, 0.5)).toThrow('tecNO_DST_INSUF_XRP')
  bench.sandbox.setOpenLedgerFee(5000)
  bench.sandbox.fund(newcomer.address, 1)
  expect(await bench.account(newcomer, 'validated')).toMatchObject({ Balance: '51000000' })
  await bench.stop()
})

test('twenty sandboxes run in one process, each with its own ledger', async () => {
  const sandboxes = await Promise.all(
    Array.from({ length: 20 }, () => startSandboxLedger({ port: 0, closeIntervalMs: 0 }))
  )
  expect(new Set(sandboxes.map(({ port }) => port)).size).toBe(20)
  const newcomers = sandboxes.map(() => Wallet.generate().address)
  for (const [at, sandbox] of sandboxes.entries()) sandbox.fund(newcomers[at] as string, 10 + at)
  for (const [at, { url }] of sandboxes.entries()) {
    const client = await RawClient.connect(url)
    const { result } = await client.ask({ command: 'account_info', account: newcomers[at] })
    expect(result.account_data.Balance).toBe(String((10 + at) * 1_000_000))
    const { error } = await client.ask({ command: 'account_info', account: newcomers[(at + 1) % 20] })
    expect(error).toBe('actNotFound')
    client.close()
  }
  await Promise.all(sandboxes.map(sandbox => sandbox[Symbol.asyncDispose]()))
  await expect(RawClient.connect((sandboxes[0] as { url: string }).url)).rejects.toThrow('ECONNREFUSED')
})

test('a sandbox starts with the closed ledgers of another', async () => {
  const first = await Bench.start()
  const payment = await first.pay(customer, shop, 7)
  await first.close()
  const past = first.sandbox.ledger.history.contents()
  await first.stop()
  const second = await Bench.start({ past })
  expect(second.sandbox.ledger.closedHeader).toEqual(first.sandbox.ledger.closedHeader)
  expect(await second.result(payment)).toBe('tesSUCCESS')
  await second.stop()
})

test('the accounts for tests are derived from their names', () => {
  for (const name of ['shop', 'customer'] as const) expect(wallet(name).address).toBe(accounts[name].address)
})

test.concurrent('with closeOnSubmit a ledger closes after the answer to each submission that was applied', async () => {
  const sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 0, closeOnSubmit: true })
  const client = new Client(sandbox.url)
  await client.connect()
  const { wallet: newcomer, balance } = await client.fundWallet(undefined, sandbox.faucet)
  expect(balance).toBe(100)
  const { ledgerIndex, closeTime } = sandbox.ledger.closedHeader
  const { result } = await client.submitAndWait(
    { TransactionType: 'Payment', Account: newcomer.address, Destination: shop.address, Amount: '1' },
    { wallet: newcomer }
  )
  expect(result).toMatchObject({ validated: true, meta: { TransactionResult: 'tesSUCCESS' } })
  expect(sandbox.ledger.closedHeader.ledgerIndex).toBe(ledgerIndex + 1)
  expect(sandbox.ledger.closedHeader.closeTime).toBeGreaterThan(closeTime)
  await client.disconnect()

  const raw = await RawClient.connect(sandbox.url)
  await raw.ask({ command: 'subscribe', streams: ['ledger'] })
  const order: string[] = []
  raw.socket.on('message', data => order.push(JSON.parse(String(data)).type))
  const refused = customer.sign({
    TransactionType: 'AccountSet',
    Account: customer.address,
    Fee: '1',
    Sequence: 4
  })
  await raw.ask({ command: 'submit', tx_blob: refused.tx_blob })
  await raw.ask({ command: 'ping' })
  const { tx_blob } = customer.sign({
    ...{ TransactionType: 'AccountSet', Account: customer.address, Fee: '10', Sequence: 4 }
  })
  await raw.ask({ command: 'submit', tx_blob })
  await raw.ask({ command: 'ping' })
  expect(order).toEqual(['response', 'response', 'response', 'ledgerClosed', 'response'])
  raw.close()
  await sandbox.close()
})

describe.concurrent('with a delay', () => {
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

  test.sequential('the order of two clients varies, and repeats with the same seed', async () => {
    const options = { delayMs: 400, delaySeed: 116 } // draws that lie well apart
    await start(options)
    const winners = await firstToHear(5)
    expect(new Set(winners)).toEqual(new Set([0, 1]))
    await sandbox.close()
    await start(options)
    expect(await firstToHear(5)).toEqual(winners)
  })

  test.sequential('a client receives delayed messages and responses in the order in which they were sent', async () => {
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

  test.sequential('a delayed message takes up to the maximum', async () => {
    const client = await start({ delayMs: 100, delaySeed: 1 })
    const started = performance.now()
    const times = await Promise.all(
      Array.from({ length: 40 }, () =>
        client.ask({ command: 'ping' }).then(() => performance.now() - started)
      )
    )
    expect(Math.max(...times)).toBeGreaterThan(80)
  })

  test.sequential('stop is answered before the delayed connection closes', async () => {
    const client = await start({ delayMs: 50 })
    expect(await client.ask({ command: 'stop' })).toMatchObject({ status: 'success' })
  })
})

const readme = readFileSync(new URL('../../src/xrpl-sandbox/README.md', import.meta.url), 'utf8')

test('the README names every command', () => {
  for (const command of commands.keys()) expect(readme).toContain(`\`${command}\``)
})

test('the README names every member of a sandbox', async () => {
  const sandbox = await startSandboxLedger({ port: 0 })
  for (const name of Object.keys(sandbox)) expect(readme).toMatch(new RegExp(`\`${name}\\b`))
  await sandbox.close()
})
