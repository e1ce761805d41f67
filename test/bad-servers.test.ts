import { afterEach, beforeEach, expect, test } from 'vitest'
import { seededRandom } from '../src/xrpl-sandbox/connection.ts'
import { type SandboxLedger, startSandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { fieldsOf, metaOf } from '../src/xrpl-sandbox/ledger/history.ts'
import * as distort from './support/distorting-server.ts'
import { pairs } from './support/pairs.ts'
import { copyProject, type ProjectCopy } from './support/scripts.ts'

const letters = 9

let ledger: SandboxLedger
let project: ProjectCopy
const servers: distort.DistortingServer[] = []

beforeEach(async () => {
  ledger = await startSandboxLedger({ port: 0, closeIntervalMs: 200 })
  project = await copyProject()
})

afterEach(async () => {
  await project.remove()
  await Promise.all(servers.splice(0).map(server => server.close()))
  await ledger.close()
})

async function serve(distortions: distort.Distortion[]): Promise<string> {
  const server = await distort.DistortingServer.start(ledger.ledger, distortions)
  servers.push(server)
  return server.url
}

test.each(pairs)(
  '$client gets its letters from $shop, one for each payment, each behind a bad server of its own',
  async ({ client, shop, lettersIn }) => {
    const often = distort.chance(0.3, 2)
    const shopsServer = await serve([
      distort.isFarAway(100, seededRandom(3)),
      distort.publishesLate(1),
      distort.submitTakesEffectUnsaid('internalJson', often),
      distort.metadataComesLate(2)
    ])
    const clientsServer = await serve([
      distort.isFarAway(100, seededRandom(4)),
      distort.submitTakesEffectUnsaid(undefined, often),
      distort.submitFails('tooBusy', often),
      distort.talksNonsense(often)
    ])
    const seller = project.run(shop, { TEST_LEDGER: shopsServer, PORT: '0' })
    const [, url = ''] = await seller.waitForOutput(/Visit (http:\S+)/)
    const buyer = project.run(client, { TEST_LEDGER: clientsServer, SHOP_URL: url, INTERVAL_MS: '300' })
    for (let got = 3; got <= letters; got += 3) {
      await buyer.waitUntil(output => lettersIn(output).length >= got)
      servers[(got / 3) % 2]?.cut()
    }
    expect(await buyer.interrupt()).toBe(0)
    expect(await seller.interrupt()).toBe(0)
    expect(buyer.output + seller.output).not.toMatch(/^\s+at /m)

    // What the shop has sent is in no ledger yet, if these are slow.
    ledger.ledger.close()
    // Whatever the servers said, each letter was paid once, and what was paid is a letter or on its way.
    const created = new Map<string, number>()
    let finished = 0
    for (let index = 1; index <= ledger.ledger.closedHeader.ledgerIndex; index++) {
      for (const transaction of ledger.ledger.history.ledger(index)?.transactions ?? []) {
        const { TransactionType, Memos } = fieldsOf(transaction)
        if (metaOf(transaction).TransactionResult !== 'tesSUCCESS') continue
        if (TransactionType === 'EscrowFinish') finished++
        if (TransactionType !== 'EscrowCreate') continue
        const id = Memos?.[1]?.Memo?.MemoData ?? ''
        created.set(id, (created.get(id) ?? 0) + 1)
      }
    }
    const got = lettersIn(buyer.output).length
    expect([...created.values()].every(times => times === 1)).toBe(true)
    expect(got).toBeLessThanOrEqual(created.size)
    expect(finished).toBeGreaterThanOrEqual(got - 6)
  }
)
