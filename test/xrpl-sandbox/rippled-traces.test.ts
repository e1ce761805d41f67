import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { genesisPayment } from '../../src/xrpl-sandbox/faucet.ts'
import { RIPPLE_EPOCH } from '../../src/xrpl-sandbox/ledger/ledger.ts'
import { type SandboxLedger, startSandboxLedger } from '../../src/xrpl-sandbox/server.ts'
import { type Message, RawClient } from './client.ts'
import { comparable } from './comparable.ts'
import { deliberateDifferences } from './deliberate-differences.ts'

// The order in which they were recorded, on one ledger.
const scenarios = [
  'server-and-ledger-info',
  'payment',
  'escrow-create-and-finish',
  'escrow-finish-refused',
  'escrow-expiry-and-cancel',
  'escrow-create-refused',
  'submit-refused',
  'many-in-one-ledger',
  'questions',
  'account-tx',
  'held-and-expired',
  'streams',
  'odd-requests',
  'other-transaction-types',
  'tickets'
]

interface Question {
  what: string
  request: Message
  response?: Message
  /** Where the same was answered, but for its id. */
  responseOfStep?: number
}

type Step =
  | Question
  | { what: string; sent: string; received: Message[] }
  | { what: string; stream: Message[] }

interface Trace {
  accounts: Record<'shop' | 'customer' | 'poor', string>
  steps: Step[]
}

describe.each([1, 2])('every answer of rippled 2.3.0 in API version %i comes again', version => {
  const folder = new URL(`../fixtures/rippled-2.3.0/api-${version}/`, import.meta.url)
  const read = (name: string) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
  // From the second on: there is no older one.
  const ledgers: { close_time: number; ledger_hash: string }[] = read('ledgers')
  let sandbox: SandboxLedger

  /** A recorded request with the sandbox's hash of the ledger that it names. */
  function ownHash(request: Message): Message {
    const at = ledgers.findIndex(({ ledger_hash }) => ledger_hash === request.ledger_hash)
    return at < 0 ? request : { ...request, ledger_hash: sandbox.ledger.history.ledger(at + 2)?.header.hash }
  }

  beforeAll(async () => {
    // Each ledger closes at the very time at which it closed when it was recorded: a multiple of ten seconds, to
    // which five seconds are rounded up, or a second after the one before.
    const now = () => {
      const { close_time = 0 } = ledgers[(sandbox?.ledger.openIndex ?? 2) - 2] ?? {}
      return (close_time - (sandbox ? 5 : 0) + RIPPLE_EPOCH) * 1000
    }
    sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 0, funding: [], now })
    const { shop, customer, poor }: Trace['accounts'] = read('payment').accounts
    for (const [address, xrp] of Object.entries({ [shop]: 1000, [customer]: 1000, [poor]: 30 })) {
      sandbox.ledger.submit(genesisPayment(sandbox.ledger, address, xrp * 1_000_000))
      sandbox.ledger.close()
    }
  })
  afterAll(() => sandbox.close())

  for (const scenario of scenarios) {
    describe(scenario, () => {
      let client: RawClient
      beforeAll(async () => {
        client = await RawClient.connect(sandbox.url)
      })
      afterAll(() => client.close())

      const { steps }: Trace = read(scenario)
      const recorded = ({ request, response, responseOfStep = 0 }: Question): Message =>
        response ?? { ...(steps[responseOfStep - 1] as Question).response, id: request.id }
      for (const [number, step] of steps.entries()) {
        test(`${number + 1}. ${step.what}`, async () => {
          if ('stream' in step) {
            expect(comparable(client.stream.splice(0))).toEqual(comparable(step.stream))
          } else if ('sent' in step) {
            expect(comparable([await client.askRaw(step.sent)])).toEqual(comparable(step.received))
          } else {
            const answer = await client.ask(ownHash(step.request))
            const difference = deliberateDifferences.find(({ recorded }) => recorded === step.what)
            if (difference) expect(answer).toMatchObject(difference.answer ?? {})
            else expect(comparable(answer)).toEqual(comparable(recorded(step)))
          }
        })
      }
    })
  }
})

test('the deliberate differences are few', () => {
  expect(deliberateDifferences.length).toBeLessThan(15)
})
