import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SandboxLedger, startSandboxLedger } from '../../src/sandbox-ledger/server.ts'
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
  'submit-refused'
]

type Step =
  | { what: string; request: Message; response: Message }
  | { what: string; sent: string; received: Message[] }
  | { what: string; stream: Message[] }

interface Trace {
  accounts: Record<'shop' | 'customer' | 'poor', string>
  steps: Step[]
}

const folder = new URL('../fixtures/rippled-1.9.3/', import.meta.url)
const readTrace = (scenario: string): Trace =>
  JSON.parse(readFileSync(new URL(`${scenario}.json`, folder), 'utf8'))

// When the recording began. Standing still, the clock gives the ledgers the very times of the recording.
const RECORDED_AT = Date.parse('2026-11-23T02:45:45Z')

/** The last validated ledger at the time of an answer, if it says. */
function validatedIndex({ result, ledger_index }: Message): number | undefined {
  const current = result?.ledger_current_index
  return (
    result?.validated_ledger_index ??
    (current && current - 1) ??
    (result?.validated && !result.inLedger ? result.ledger_index : ledger_index)
  )
}

describe('every recorded answer of rippled 1.9.3 comes again', () => {
  let sandbox: SandboxLedger

  beforeAll(async () => {
    const { shop, customer, poor } = readTrace('payment').accounts
    const funding = [
      { address: shop, xrp: 1000 },
      { address: customer, xrp: 1000 },
      { address: poor, xrp: 30 }
    ]
    sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 0, funding, now: () => RECORDED_AT })
  })
  afterAll(() => sandbox.close())

  for (const scenario of scenarios) {
    describe(scenario, () => {
      let client: RawClient
      beforeAll(async () => {
        client = await RawClient.connect(sandbox.url)
      })
      afterAll(() => client.close())

      const closeUntil = async (index: number) => {
        while (sandbox.ledger.closedHeader.ledgerIndex < index) await client.ask({ command: 'ledger_accept' })
      }

      for (const [number, step] of readTrace(scenario).steps.entries()) {
        test(`${number + 1}. ${step.what}`, async () => {
          if ('stream' in step) {
            client.stream.length = 0
            await closeUntil(step.stream[0].ledger_index)
            expect(comparable(client.stream)).toEqual(comparable(step.stream))
          } else if ('sent' in step) {
            expect([await client.askRaw(step.sent)]).toEqual(step.received)
          } else {
            await closeUntil(validatedIndex(step.response) ?? 0)
            const answer = await client.ask(step.request)
            const difference = deliberateDifferences.find(({ recorded }) => recorded === step.what)
            if (difference) expect(answer).toMatchObject(difference.answer ?? {})
            else expect(comparable(answer)).toEqual(comparable(step.response))
          }
        })
      }
    })
  }

  test('the deliberate differences are few', () => {
    expect(deliberateDifferences.length).toBeLessThanOrEqual(10)
  })
})
