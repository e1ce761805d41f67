import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rippleEpoch } from '../../src/xrpl-sandbox/ledger/ledger.ts'
import { parseTransaction } from '../../src/xrpl-sandbox/ledger/transaction.ts'
import { type SandboxLedger, startSandboxLedger } from '../../src/xrpl-sandbox/server.ts'
import { type Message, RawClient } from './client.ts'
import { comparable, values } from './comparable.ts'
import { deliberateDifferences } from './deliberate-differences.ts'
import { Bench, genesis } from './support.ts'

// The order in which they were recorded, on one ledger.
const scenarios = [
  ...['server-and-ledger-info', 'payment', 'escrow-create-and-finish', 'escrow-finish-refused'],
  ...[
    'escrow-expiry-and-cancel',
    'escrow-create-refused',
    'submit-refused',
    'many-in-one-ledger',
    'questions'
  ],
  ...['account-tx', 'held-and-expired', 'streams', 'odd-requests', 'other-transaction-types', 'tickets']
]

interface Step {
  /** Undefined for what changes the ledger, but was not recorded with its answer. */
  what?: string
  request?: Message
  response?: Message
  /** Where the same was answered. */
  responseOfStep?: number
  sent?: string
  received?: Message[]
  stream?: Message[]
}

interface Trace {
  accounts: Record<'shop' | 'customer' | 'poor', string>
  steps: Step[]
}

describe.each([1, 2])('the sandbox answers as rippled 3.2.0 did in API version %i:', api_version => {
  const folder = new URL(`../fixtures/rippled-3.2.0/api-${api_version}/`, import.meta.url)
  const read = (name: string) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
  // From the second on: there is no older one.
  const ledgers: { close_time: number; ledger_hash?: string }[] = read('ledgers')
  let sandbox: SandboxLedger
  const agreement = { same: 0, all: 0 }

  /** A recorded request with the sandbox's hash of the ledger that it names. */
  function withOwnHash(request: Message): Message {
    const at = ledgers.findIndex(({ ledger_hash }) => ledger_hash && ledger_hash === request.ledger_hash)
    return at < 0 ? request : { ...request, ledger_hash: sandbox.ledger.history.ledger(at + 2)?.header.hash }
  }

  /** What the sandbox answers where a step was recorded. */
  async function replay(step: Step, client: RawClient): Promise<Message> {
    if (step.stream) return client.stream.splice(0)
    if (step.sent !== undefined) return [await client.askRaw(step.sent)]
    const answer = await client.ask(withOwnHash({ ...step.request, api_version }))
    for (const name of ['id', 'type', 'api_version', 'request']) delete answer[name]
    if (step.request?.tx_blob && answer.result?.tx_blob === String(step.request.tx_blob).toUpperCase())
      delete answer.result.tx_blob
    return answer
  }

  function count(recorded: Message, answered: Message) {
    const [before, now] = [values(recorded), values(answered)]
    for (const path of new Set([...before.keys(), ...now.keys()])) {
      agreement.all++
      if (before.get(path) === now.get(path)) agreement.same++
    }
  }

  beforeAll(async () => {
    // Each ledger closes at the very time at which it closed when it was recorded: a multiple of ten seconds, to
    // which five seconds are rounded up, or a second after the one before.
    const now = () => {
      const { close_time = 0 } = ledgers[(sandbox?.ledger.openIndex ?? 2) - 2] ?? {}
      return (close_time - (sandbox ? 5 : 0) + rippleEpoch) * 1000
    }
    sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 0, funding: [], now })
    const { shop, customer, poor }: Trace['accounts'] = read('payment').accounts
    // Signed as they were recorded, so that they have the same hashes: the faucet signs in its own way.
    for (const [Destination, xrp] of [
      [shop, 1000],
      [customer, 1000],
      [poor, 30]
    ] as const) {
      const { tx_blob } = genesis.sign({
        TransactionType: 'Payment',
        Account: genesis.address,
        Destination,
        Amount: String(xrp * 1_000_000),
        Fee: '10',
        Flags: 0,
        Sequence: sandbox.ledger.openIndex - 2
      })
      sandbox.ledger.submit(parseTransaction(Buffer.from(tx_blob, 'hex')))
      sandbox.closeLedger()
    }
  })
  afterAll(() => sandbox.close())

  test.each(scenarios)('%s', async scenario => {
    const { steps }: Trace = read(scenario)
    const client = await RawClient.connect(sandbox.url)
    const differences: Message[] = []
    for (const step of steps) {
      const answered = comparable(await replay(step, client))
      if (!step.what) continue
      const { response = steps[(step.responseOfStep ?? 0) - 1]?.response } = step
      const recorded = comparable(step.stream ?? step.received ?? response)
      count(recorded, answered)
      const isDeliberate = deliberateDifferences.some(({ recorded }) => recorded?.test(step.what as string))
      if (isDeepStrictEqual(answered, recorded) === isDeliberate)
        differences.push({ step: step.what, answered, recorded, isDeliberate })
    }
    client.close()
    expect(differences).toEqual([])
  })

  test('99.5 % of all values agree', () => {
    expect(agreement.all).toBeGreaterThan(5_000)
    expect(agreement.same / agreement.all).toBeGreaterThan(0.995)
    if (process.env.AGREEMENT) console.log(`Version ${api_version}: ${agreement.same} of ${agreement.all}`)
  })
})

test('the deliberate differences are few', () => {
  expect(deliberateDifferences.length).toBeLessThan(15)
})

interface Run {
  firstLedger: number
  /** Close time of the ledger before the first. */
  startTime: number
  /** `submitted`: blobs, each with rippled's engine result or error. */
  ledgers: { closeTime: number; transactionHash: string; submitted: [string, string][] }[]
}

/**
 * Random transactions that a stand-alone rippled 3.2.0 was given: of all types that the sandbox knows, with tickets,
 * flags, other keys, wrong fields, sequences and signatures, and odd encodings of conditions. The hash of a ledger's
 * transactions covers their order and every byte of their metadata.
 */
const file = new URL('../fixtures/rippled-3.2.0-random-run.json', import.meta.url)
const run: Run = JSON.parse(readFileSync(file, 'utf8'))

test('drawn transactions have the results of rippled 3.2.0, in the same ledgers', async () => {
  let now = (run.startTime + rippleEpoch) * 1000
  const bench = await Bench.start({ funding: [], now: () => now })
  const { ledger } = bench.sandbox
  expect(ledger.openIndex).toBe(run.firstLedger)
  for (const { closeTime, transactionHash, submitted } of run.ledgers) {
    const results: [string, string][] = []
    for (const [tx_blob] of submitted) {
      const { error, result } = await bench.client.ask({ command: 'submit', tx_blob })
      results.push([tx_blob, error ?? result.engine_result])
    }
    expect(results).toEqual(submitted)
    now = (closeTime - 5 + rippleEpoch) * 1000
    const { header } = ledger.close()
    expect(header).toMatchObject({ closeTime, transactionHash })
  }
  await bench.stop()
})
