import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, type TestContext } from 'vitest'
import { aside, needsSandbox, openLedger } from './support/ledger.ts'
import { copyProject, type ProjectCopy, pairs, type Script } from './support/scripts.ts'

let project: ProjectCopy

beforeAll(async () => {
  project = await copyProject()
})

afterAll(() => project.remove())

const constants = {
  // The ledger decides when a script ends, however long the machine takes.
  maxSettleMs: '120000',
  maxFetchMs: '120000',
  // A payment that is not claimed comes back after some hundred ledgers, which are a second each.
  expiresInMs: '200000'
}

/** A ledger that closes when several transactions wait for it, as a slow one would. */
async function useSlowLedger({ onTestFinished }: TestContext) {
  needsSandbox('it closes hundreds of ledgers, and each takes the clock a second further')
  const ledger = await openLedger({ closeIntervalMs: 0 })
  const pace = { minTransactions: 6, isOver: false }
  const closing = (async () => {
    while (!pace.isOver) {
      if ((await ledger.openTransactions()) >= pace.minTransactions) await ledger.closeLedger()
      else await delay(30)
    }
  })()
  onTestFinished(async () => {
    pace.isOver = true
    await closing
    await ledger.close()
  })
  return { ledger, pace }
}

/** Lets the ledger stand still while it has a claim of the shop that it has not validated. */
async function standStill({ ledger, pace }: Awaited<ReturnType<typeof useSlowLedger>>): Promise<void> {
  pace.minTransactions = Number.POSITIVE_INFINITY
  const request = { command: 'ledger', ledger_index: 'current', transactions: true, expand: true }
  for (;;) {
    const open = await ledger.ask<{ ledger: { transactions: { TransactionType: string }[] } }>(request)
    const types = open.ledger.transactions.map(({ TransactionType }) => TransactionType)
    if (types.includes('EscrowFinish')) return
    if (types.length > 0) await ledger.closeLedger()
    else await delay(30)
  }
}

/** Reads the sums of both ends. */
function sumsOf(client: string, shop: string) {
  const [, payments, letters, outcomes = ''] = /(\d+) payments?, (\d+) letters?: (.*)/.exec(client) ?? []
  const [, spent, paid, fees] =
    /(\d+) drops spent \([\d.]+ XRP\): (\d+) for letters, (\d+) in fees/.exec(client) ?? []
  const [, sold, earned] = /(\d+) letters? sold, (\d+) drops earned/.exec(shop) ?? []
  if (!spent || !earned) throw new Error(`No sums in:\n${client}\n${shop}`)
  const outcome = (name: string) => Number(new RegExp(`(\\d+) ${name}`).exec(outcomes)?.[1] ?? 0)
  const [fulfilled, returned] = [outcome('fulfilled'), outcome('returned')]
  const unfinished = outcome('in escrow') + outcome('unknown')
  expect(fulfilled + returned + unfinished).toBe(Number(payments))
  expect(Number(spent)).toBe(Number(paid) + Number(fees))
  return {
    client: { letters: Number(letters), drops: Number(paid) },
    shop: { letters: Number(sold), drops: Number(earned) },
    fulfilled,
    returned,
    unfinished
  }
}

describe.each(pairs)('$client and $shop on slow ledgers', ({ client, shop, lettersIn }) => {
  async function run(context: TestContext) {
    const { ledger, pace } = await useSlowLedger(context)
    const env = { ...ledger.env, ...constants }
    const { shop: seller, url } = await project.openShop(shop, env)
    const buyer = project.run(client, { ...env, SHOP_URL: url, INTERVAL_MS: '100' })
    await buyer.waitUntil(output => lettersIn(output).length >= 6)
    return { ledger, pace, seller, buyer }
  }

  function expectAgreement(buyer: Script, seller: Script): void {
    const sums = sumsOf(buyer.output, seller.output)
    expect(sums.client).toEqual(sums.shop)
    expect(sums.client).toEqual({ letters: sums.fulfilled, drops: 10 * sums.fulfilled })
    // A client whose shop has gone does not wait: it may have sent a payment a moment before.
    expect(seller.output).not.toContain('unknown outcome')
  }

  aside(`${client} and ${shop} agree on letters and drops when the client stops first`, async context => {
    const { ledger, pace, seller, buyer } = await run(context)
    await standStill({ ledger, pace })
    const ended = buyer.interrupt()
    await buyer.waitForOutput(/Waiting for \d+ payments? \(Ctrl-C again stops at once\)/)
    pace.minTransactions = 1
    expect(await ended).toBe(0)
    expect(await seller.interrupt()).toBe(0)
    expectAgreement(buyer, seller)
    expect(buyer.output).not.toContain('unknown outcome')
    expect(sumsOf(buyer.output, seller.output)).toMatchObject({ returned: 0, unfinished: 0 })
  })

  aside(`${client} and ${shop} agree on letters and drops when the shop stops first`, async context => {
    const { pace, seller, buyer } = await run(context)
    const ended = seller.interrupt()
    pace.minTransactions = 1
    expect(await ended).toBe(0)
    const isStreaming = client.includes('client2')
    if (!isStreaming) buyer.process.kill('SIGINT')
    // What the shop did not claim comes back with the time of the ledgers, or is still in escrow.
    pace.minTransactions = 0
    expect(await buyer.waitForEnd()).toBe(isStreaming ? 1 : 0)
    expectAgreement(buyer, seller)
  })

  if (client.includes('client1')) return
  aside(
    `${client} and ${shop} name the payments whose outcome they cannot know after a second Ctrl-C`,
    async context => {
      const { ledger, pace, seller, buyer } = await run(context)
      await standStill({ ledger, pace })
      for (const script of [buyer, seller]) {
        const ended = script.interrupt()
        await script.waitForOutput(/Waiting for \d+ payments?/)
        script.process.kill('SIGINT')
        expect(await ended).toBe(0)
      }
      const { unfinished, fulfilled, client } = sumsOf(buyer.output, seller.output)
      expect(unfinished).toBeGreaterThan(0)
      expect(client.drops).toBe(10 * fulfilled)
      const named = buyer.output.matchAll(
        /^(\d+) payments? \((\d+) drops\) (not claimed by the shop so far|with unknown outcome)/gm
      )
      const [payments, drops] = [...named].reduce(
        ([a, b], [, c, d]) => [a + Number(c), b + Number(d)],
        [0, 0]
      )
      expect([payments, drops]).toEqual([unfinished, 10 * unfinished])
      expect(seller.output).toMatch(
        /\n\d+ payments? with unknown outcome \(\d+0 drops, not counted above\)\n/
      )
    }
  )
})
