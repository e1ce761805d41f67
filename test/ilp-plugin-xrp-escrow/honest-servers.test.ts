import { randomInt } from 'node:crypto'
import fc from 'fast-check'
import PluginXrpEscrow, { type Transfer } from 'ilp-plugin-xrp-escrow'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seededRandom } from '../../src/xrpl-sandbox/connection.ts'
import { accounts, type SandboxLedger, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import * as distort from '../support/distorting-server.ts'
import type { Message } from '../xrpl-sandbox/client.ts'
import { hex, prefix, reason, record, someTransfer, type Told, turns } from './support.ts'

// No honest server makes the plugin lose, double or forget a payment: servers of all kinds are drawn, and what
// happens to a payer and a payee meanwhile, and at the end the ledger's own record is compared with what was told.

const isSoak = import.meta.env.MODE === 'soak'
const runs = Number(process.env.RUNS ?? (isSoak ? 10_000 : 5))
const atATime = 6
const maxFailures = 3
const steps = 8
// All that waits here, the plugin and its connection, waits so many times faster than by the clock.
const haste = 25
const maxLedgers = 200
const messageMemo = 'https://interledger.org/rel/xrpMessage'
const epochSeconds = 946_684_800

const real = { setTimeout, setInterval, now: performance.now.bind(performance) }

beforeAll(() => {
  const hasty =
    (set: typeof setTimeout | typeof setInterval) =>
    (act: () => void, ms = 0) =>
      set(act, ms / haste)
  globalThis.setTimeout = hasty(real.setTimeout) as typeof setTimeout
  globalThis.setInterval = hasty(real.setInterval) as typeof setInterval
  performance.now = () => real.now() * haste
})

afterAll(() => {
  globalThis.setTimeout = real.setTimeout
  globalThis.setInterval = real.setInterval
  performance.now = real.now
})

/** The kinds of servers: from where to where a number of each is drawn (percents, ledgers …), and what it does. */
const kinds: Record<
  string,
  [from: number, to: number, distortion: (value: number, seed: number) => distort.Distortion]
> = {
  'takes effect unsaid': [
    5,
    60,
    (percent, seed) => distort.submitTakesEffectUnsaid(errorOf(seed), chance(percent, seed))
  ],
  fails: [5, 60, (percent, seed) => distort.submitFails(errorOf(seed) ?? 'tooBusy', chance(percent, seed))],
  'loses messages': [2, 10, (percent, seed) => distort.losesMessages(chance(percent, seed))],
  'metadata late': [1, 3, questions => distort.metadataComesLate(questions)],
  holes: [5, 60, (percent, seed) => distort.streamsHaveHoles(chance(percent, seed))],
  'publishes late': [1, 3, ledgers => distort.publishesLate(ledgers)],
  throttles: [8, 20, requests => distort.throttles(requests, 1000)],
  cuts: [2, 10, (percent, seed) => distort.cutsLines(chance(percent, seed))],
  'far away': [10, 150, (maxMs, seed) => distort.isFarAway(maxMs, seededRandom(seed))],
  nonsense: [5, 60, (percent, seed) => distort.talksNonsense(chance(percent, seed))],
  'little history': [2, 12, ledgers => distort.keepsLittleHistory(ledgers)]
}

const chance = (percent: number, seed: number) => distort.chance(percent / 100, seed)
const errorOf = (seed: number) => [undefined, ...distort.openErrors][seed % (distort.openErrors.length + 1)]

/** A kind of server by its name, so that a counterexample can be read, and its number. */
type Kind = [kind: string, value: number]

const drawnKind: fc.Arbitrary<Kind> = fc.oneof(
  ...Object.entries(kinds).map(([kind, [min, max]]) => fc.tuple(fc.constant(kind), fc.integer({ min, max })))
)

const step = fc.nat({ max: steps - 1 })
const plans = fc.record({
  seed: fc.nat(),
  payer: fc.array(drawnKind, { maxLength: 3 }),
  payee: fc.array(drawnKind, { maxLength: 3 }),
  transfers: fc.array(
    fc.record({
      at: step,
      livesForSeconds: fc.integer({ min: 5, max: 30 }),
      payee: fc.constantFrom('fulfills', 'fulfills', 'waits', 'rejects', 'ignores', 'is just paid')
    }),
    { minLength: 1, maxLength: 4 }
  ),
  events: fc.array(
    fc.record({
      at: step,
      who: fc.constantFrom('payer', 'payee'),
      what: fc.constantFrom('is cut off', 'reaches a laggard', 'crashes', 'disconnects'),
      ledgersBehind: fc.integer({ min: 1, max: 40 })
    }),
    { maxLength: 2 }
  ),
  requests: fc.array(fc.record({ at: step, timeoutMs: fc.constantFrom(50, 2_000, 20_000) }), { maxLength: 2 })
})
type Plan = typeof plans extends fc.Arbitrary<infer P> ? P : never

/** A process with a plugin in it, and the server that it reaches. */
class Process {
  readonly plugin: PluginXrpEscrow
  readonly told: Told[]
  readonly server: distort.DistortingServer
  /** the promises of the plugin that its host waits for */
  readonly waitsFor = new Set<string>()
  isAlive = true
  /** the ledger in which it was connected first */
  connectedIn = Number.POSITIVE_INFINITY
  isFirst = false
  lacksHistory = false
  #insisted = 0

  private constructor(server: distort.DistortingServer, secret: string) {
    this.server = server
    this.plugin = new PluginXrpEscrow({ server: server.url, secret })
    this.plugin.setMaxListeners(0)
    this.told = record(this.plugin)
    // Both answer whatever they are asked, so that an answer that is taken for a request has no end.
    this.plugin.registerRequestHandler(async ({ from = '' }) => ({ to: from, custom: { answer: 2 } }))
  }

  static async start(sandbox: SandboxLedger, secret: string, drawn: Kind[], seed: number): Promise<Process> {
    const distortions = drawn.flatMap(([kind, value], index) => kinds[kind]?.[2](value, seed + index) ?? [])
    const started = new Process(await distort.DistortingServer.start(sandbox, distortions), secret)
    started.lacksHistory = drawn.some(([kind]) => kind === 'little history')
    return started
  }

  /** Connects, as often as it takes. */
  async connect(sandbox: SandboxLedger): Promise<void> {
    while (this.isAlive && !this.plugin.isConnected()) {
      await this.plugin.connect().catch(err => {
        if (!['UnreachableError', 'NotAcceptedError', 'AccountNotFoundError'].includes(err.name)) throw err
      })
      if (!this.plugin.isConnected()) await later(2)
    }
    this.connectedIn = Math.min(this.connectedIn, sandbox.ledger.closedHeader.ledgerIndex)
  }

  /** Does something until the plugin has an answer that is not about the connection. */
  async insist(what: string, act: () => Promise<unknown>): Promise<string> {
    const name = `${what} ${++this.#insisted}`
    this.waitsFor.add(name)
    try {
      for (;;) {
        try {
          await act()
          return 'done'
        } catch (err) {
          const { name, code } = err as Error & { code?: string }
          if (name !== 'UnreachableError' || !this.isAlive) return name
          if (this.lacksHistory && code === 'HISTORY_GAP') return 'nobody can tell'
          await later(2)
        }
      }
    } finally {
      this.waitsFor.delete(name)
    }
  }

  /** Ends as a process does that is killed. */
  crash(): void {
    this.isAlive = false
    this.server.isOpen = false
    this.server.cut()
    this.plugin.disconnect().catch(() => {})
  }

  async end(): Promise<void> {
    this.isAlive = false
    await this.plugin.disconnect()
    await this.server.close()
  }
}

const later = (ms: number) => new Promise(resolve => real.setTimeout(resolve, ms))

interface Sent {
  transfer: ReturnType<typeof someTransfer>
  payee: string
  outcome?: string
  fulfilling?: string
}

async function run(plan: Plan): Promise<void> {
  const sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 0 })
  const { ledger } = sandbox
  // A past, so that a server can be behind by more ledgers than a transaction lives.
  for (let past = 0; past < 40; past++) ledger.close()
  const secrets = { payer: accounts.customer.secret, payee: accounts.shop.secret }
  const laggards: distort.Laggard[] = []
  const processes: { who: 'payer' | 'payee'; process: Process }[] = []
  const sent = new Map<string, Sent>()
  const now = {} as Record<'payer' | 'payee', Process>
  let isHonest = false

  const isCalm = (who: 'payer' | 'payee') =>
    !plan.events.some(event => event.who === who) &&
    !plan[who].some(([kind]) => ['loses messages', 'cuts', 'throttles', 'far away'].includes(kind))

  /** Lets new connections of a process lead to a server that is so many ledgers behind, if there are that many. */
  const leadTo = async ({ server }: Process, ledgersBehind: number) => {
    const behind = Math.min(ledgersBehind, ledger.closedHeader.ledgerIndex - 4)
    server.upstream = sandbox
    if (isHonest || behind <= 0) return
    const laggard = await distort.Laggard.start(sandbox, behind)
    laggards.push(laggard)
    server.upstream = laggard
  }

  const start = async (who: 'payer' | 'payee', ledgersBehind = 0) => {
    const process = await Process.start(sandbox, secrets[who], isHonest ? [] : plan[who], plan.seed)
    await leadTo(process, ledgersBehind)
    process.isFirst = now[who] === undefined
    now[who] = process
    processes.push({ who, process })
    if (who === 'payee') sell(process)
    return { connecting: open(who, process) }
  }

  const open = async (who: 'payer' | 'payee', process: Process) => {
    await process.connect(sandbox)
    // A payer that has crashed cannot know whether it has paid. What a payee remembers, it does again.
    if (who === 'payee') for (const payment of sent.values()) take(process, payment)
  }

  const pay = async (process: Process, payment: Sent) => {
    const { transfer } = payment
    const outcome = await process.insist(`sendTransfer ${transfer.amount}`, () =>
      process.plugin.sendTransfer(transfer)
    )
    if (process.isAlive) payment.outcome = outcome
  }

  const ask = async ({ plugin, waitsFor }: Process, timeout: number) => {
    const request = { to: prefix + accounts.shop.address, custom: { question: 1 }, timeout }
    waitsFor.add('sendRequest')
    await plugin.sendRequest(request).catch(() => {})
    waitsFor.delete('sendRequest')
  }

  const take = async (process: Process, payment: Sent) => {
    const { payee } = payment
    const { id, amount, fulfillment } = payment.transfer
    if (payee === 'rejects')
      await process.insist('rejectIncomingTransfer', () => process.plugin.rejectIncomingTransfer(id, reason))
    if (payee !== 'fulfills' && payee !== 'waits') return
    let patience = payee === 'waits' ? 10 : 0
    const fulfilling = await process.insist(`fulfillCondition ${amount}`, async () => {
      if (patience > 0) await later(patience)
      patience = 0
      await process.plugin.fulfillCondition(id, fulfillment)
    })
    if (process.isAlive) payment.fulfilling = fulfilling
  }

  const sell = (process: Process) => {
    process.plugin.on('incoming_prepare', ({ id }) => take(process, sent.get(id) as Sent))
  }

  const happen = async ({ who, what, ledgersBehind }: Plan['events'][number]) => {
    const process = now[who]
    if (what === 'is cut off') process.server.cut()
    if (what === 'disconnects') {
      await process.plugin.disconnect()
      process.connect(sandbox)
    }
    if (what === 'reaches a laggard') {
      await leadTo(process, ledgersBehind)
      process.server.cut()
    }
    if (what === 'crashes') {
      process.crash()
      if (who === 'payer') for (const payment of sent.values()) payment.outcome ??= 'nobody can tell'
      // Half of those who come back find a server that is behind.
      await start(who, 2 * ledgersBehind - 40)
    }
  }

  try {
    for (const who of ['payee', 'payer'] as const)
      await Promise.race([(await start(who)).connecting, later(300)])
    for (let at = 0; at < steps; at++) {
      for (const { livesForSeconds, payee } of plan.transfers.filter(drawn => drawn.at === at)) {
        const expiresAt = new Date((ledger.closedHeader.closeTime + epochSeconds + livesForSeconds) * 1000)
        const transfer = someTransfer({
          amount: String(1000 + sent.size),
          expiresAt: expiresAt.toISOString()
        })
        if (payee === 'is just paid') delete transfer.executionCondition
        const payment = { transfer, payee }
        sent.set(transfer.id, payment)
        pay(now.payer, payment)
      }
      for (const { timeoutMs } of plan.requests.filter(request => request.at === at))
        ask(now.payer, timeoutMs)
      for (const event of plan.events.filter(event => event.at === at)) await happen(event)
      await turns(20)
      ledger.close()
      await turns(20)
    }

    // From now on the servers are as the sandbox is: everything comes to its end.
    isHonest = true
    for (const { process } of processes) {
      process.server.distortions = []
      process.server.upstream = sandbox
    }
    for (const laggard of laggards) laggard.catchUp()
    let ledgers = 0
    const isInOrder = () => {
      const calm = { payer: isCalm('payer'), payee: isCalm('payee') }
      check(sandbox, [...sent.values()], processes, now, calm, { ledgers, requests: plan.requests.length })
    }
    /** Whether it is worth a look: the look costs more than the ledger. */
    const isQuiet = () =>
      Object.values(now).every(({ plugin, waitsFor }) => plugin.isConnected() && waitsFor.size === 0)
    const settle = async () => {
      for (;;) {
        ledger.close()
        await turns(20)
        // What was lost is waited for by the clock, not by ledgers.
        if (++ledgers > maxLedgers / 4) await later(10)
        if (ledgers < maxLedgers && !isQuiet()) continue
        try {
          return isInOrder()
        } catch (err) {
          if (ledgers >= maxLedgers) throw err
        }
      }
    }
    await settle()
    // And that stays so.
    for (let more = 0; more < 3; more++) {
      ledger.close()
      await turns(20)
    }
    await settle()
  } finally {
    await Promise.all(processes.map(({ process }) => process.end()))
    await Promise.all(laggards.map(laggard => laggard.close()))
    await sandbox.close()
  }
}

function openEscrows({ ledger }: SandboxLedger): number {
  const { validated } = ledger
  return validated.indexes().filter(index => validated.read(index)?.LedgerEntryType === 'Escrow').length
}

/** What became of a transfer on the ledger. */
interface Fate {
  creates: number
  createdIn: number
  isPayment?: boolean
  finishedIn?: number
  cancelledIn?: number
}

function check(
  sandbox: SandboxLedger,
  sent: Sent[],
  processes: { who: 'payer' | 'payee'; process: Process }[],
  now: Record<'payer' | 'payee', Process>,
  isCalm: Record<'payer' | 'payee', boolean>,
  { ledgers, requests }: { ledgers: number; requests: number }
): void {
  const { history } = sandbox.ledger
  const { transactions } = history.accountTransactions(accounts.customer.address, {
    min: 0,
    max: 2 ** 31,
    forward: true,
    limit: 100_000
  })
  const fates = new Map<string, Fate>()
  const bySequence = new Map<number, string>()
  const types: string[] = []
  let messages = 0
  for (const transaction of transactions) {
    const { ledgerIndex } = transaction.header
    const fields: Message = transaction.fields
    const { TransactionType, Account, Sequence, OfferSequence, Memos } = fields
    const { TransactionResult } = transaction.meta
    if (Account === accounts.genesis.address) continue
    types.push(`${ledgerIndex} ${TransactionType} ${TransactionResult}`)
    if (TransactionResult !== 'tesSUCCESS') continue
    if (TransactionType === 'Payment' && Memos[0].Memo.MemoType === hex(messageMemo)) {
      messages++
    } else if (TransactionType === 'EscrowCreate' || TransactionType === 'Payment') {
      const id = Buffer.from(Memos[1].Memo.MemoData, 'hex').toString()
      const fate = fates.get(id) ?? { creates: 0, createdIn: ledgerIndex }
      fate.creates++
      fates.set(id, fate)
      bySequence.set(Sequence, id)
      if (TransactionType === 'Payment') fate.isPayment = true
    }
    const fate = fates.get(bySequence.get(OfferSequence) ?? '')
    if (fate && TransactionType === 'EscrowFinish') fate.finishedIn = ledgerIndex
    if (fate && TransactionType === 'EscrowCancel') fate.cancelledIn = ledgerIndex
  }

  const about = `after ${ledgers} ledgers; on the ledger: ${types.join(', ')}`
  for (const [who, process] of Object.entries(now)) {
    expect(process.plugin.isConnected(), `${who} is connected ${about}`).toBe(true)
    expect([...process.waitsFor], `what ${who} still waits for ${about}`).toEqual([])
  }
  // A request and its answer, and nothing more, whoever hears of them however late.
  expect(messages, `payments for ${requests} requests ${about}`).toBeLessThanOrEqual(2 * requests)
  expect(openEscrows(sandbox), `open escrows ${about}`).toBe(0)
  for (const { transfer, outcome, fulfilling } of sent) {
    const { id } = transfer
    const fate = fates.get(id)
    expect(fate?.creates ?? 0, `how often transfer ${id} was paid; ${about}`).toBeLessThanOrEqual(1)
    if (outcome === 'nobody can tell') continue
    if (outcome === 'done') expect(fate?.creates, `sendTransfer was kept; ${about}`).toBe(1)
    else expect(fate, `sendTransfer: ${outcome}; ${about}`).toBe(undefined)
    if (fulfilling === 'done') expect(fate?.finishedIn, `fulfillCondition was kept; ${about}`).toBeDefined()
    // Whoever starts anew may be asked for what is over, and is not known any more.
    else if (
      fulfilling &&
      !(fulfilling === 'TransferNotFoundError' && !now.payee.isFirst) &&
      fulfilling !== 'nobody can tell'
    )
      expect(fate?.finishedIn, `fulfillCondition: ${fulfilling}; ${about}`).toBe(undefined)
  }

  for (const { who, process } of processes) {
    const direction = who === 'payer' ? 'outgoing' : 'incoming'
    for (const { id } of sent.map(({ transfer }) => transfer)) {
      const story = process.told.filter(([, first]) => (first as Transfer | undefined)?.id === id)
      const names = story.map(([event]) => event.replace(`${direction}_`, ''))
      const what = `${who}'s story of transfer ${id}, ${names}; ${about}`
      const fate = fates.get(id)
      const end = fate?.finishedIn ? 'fulfill' : 'cancel'
      // A rejection is the end of an incoming transfer for the payee, whatever becomes of the money.
      const [first, last] = fate?.isPayment
        ? ['transfer']
        : ['prepare', names.includes('reject') ? 'reject' : end]
      const whole = [first, last].filter(name => fate && name)
      const endedIn = fate?.finishedIn ?? fate?.cancelledIn ?? fate?.createdIn ?? Number.POSITIVE_INFINITY
      // What is found at `connect` is told as soon as it can be looked up, which may be too late where messages get lost.
      const isDue =
        !process.lacksHistory &&
        endedIn > process.connectedIn &&
        (isCalm[who] || (fate?.createdIn ?? 0) > process.connectedIn || names.length > 0)
      if (process === now[who] && process.isFirst && isDue) expect(names, what).toEqual(whole)
      else expect(['', first, last, `${whole}`, `prepare,${end}`], what).toContain(`${names}`)
    }
    const errors = process.told
      .filter(([event]) => event === 'error')
      .map(([, err]) => err as Error & { code?: string })
      .filter(({ code }) => !(process.lacksHistory && code === 'HISTORY_GAP'))
      // An answer to a request that nobody waits to be sent: the host disconnects meanwhile, or the connection is down.
      .filter(
        ({ name, message }) => requests === 0 || !`${name} ${message}`.match(/Unreachable|disconnected/)
      )
    expect(errors, `${who}'s errors`).toEqual([])
  }
}

const calm: Plan = { seed: 0, payer: [], payee: [], transfers: [], events: [], requests: [] }

/** Found in earlier runs, and mended. */
const found: Plan[] = [
  // Taken over by a new process, to which the server shows the escrow before the metadata of its transaction.
  {
    ...calm,
    seed: 1279376207,
    payer: [
      ['metadata late', 2],
      ['publishes late', 3],
      ['metadata late', 1]
    ],
    payee: [['far away', 30]],
    transfers: [{ at: 1, livesForSeconds: 14, payee: 'ignores' }],
    events: [
      { at: 0, who: 'payee', what: 'disconnects', ledgersBehind: 34 },
      { at: 3, who: 'payer', what: 'crashes', ledgersBehind: 17 }
    ]
  },
  // Sent again by a new process when it is over: it was fulfilled, and not refused for its expiry.
  {
    ...calm,
    transfers: [{ at: 0, livesForSeconds: 5, payee: 'fulfills' }],
    events: [{ at: 7, who: 'payer', what: 'crashes', ledgersBehind: 0 }]
  },
  // Sent again by a new process whose line is cut while it looks up what became of it.
  ...[1, 2, 3].map(
    (seed): Plan => ({
      ...calm,
      seed,
      payer: [['cuts', 20]],
      transfers: [{ at: 0, livesForSeconds: 21, payee: 'fulfills' }],
      events: [{ at: 4, who: 'payer', what: 'crashes', ledgersBehind: 0 }]
    })
  ),
  // Read once more by a new process, on a server that does not know yet that it was answered.
  {
    ...calm,
    requests: [{ at: 2, timeoutMs: 20_000 }],
    events: [{ at: 7, who: 'payee', what: 'crashes', ledgersBehind: 23 }]
  },
  // Signed on a server that is behind, with sequences that were used long ago, and then looked for by a new process.
  {
    ...calm,
    transfers: [
      { at: 4, livesForSeconds: 30, payee: 'is just paid' },
      { at: 6, livesForSeconds: 29, payee: 'fulfills' },
      { at: 4, livesForSeconds: 27, payee: 'fulfills' }
    ],
    requests: [
      { at: 2, timeoutMs: 2_000 },
      { at: 2, timeoutMs: 20_000 }
    ],
    events: [
      { at: 3, who: 'payer', what: 'crashes', ledgersBehind: 27 },
      { at: 7, who: 'payer', what: 'crashes', ledgersBehind: 8 }
    ]
  },
  // Ledgers close while a question of the payee is lost: that is no network without room for its response.
  {
    ...calm,
    seed: 1960308256,
    payee: [['loses messages', 2]],
    transfers: [
      { at: 1, livesForSeconds: 11, payee: 'fulfills' },
      { at: 5, livesForSeconds: 24, payee: 'fulfills' },
      { at: 2, livesForSeconds: 9, payee: 'is just paid' }
    ],
    requests: [{ at: 2, timeoutMs: 50 }]
  }
]

test(`${runs} drawn histories of honest servers end with every transfer paid once and its outcome emitted`, async () => {
  const { PLAN, SEED = String(randomInt(2 ** 31)) } = process.env
  const drawn = PLAN ? [JSON.parse(PLAN)] : fc.sample(plans, { numRuns: runs, seed: Number(SEED) })
  const waiting = PLAN ? drawn : [...found, ...drawn]
  const failures: string[] = []
  let done = 0
  const runAll = async () => {
    for (let plan = waiting.shift(); plan && failures.length < maxFailures; plan = waiting.shift()) {
      const again = JSON.stringify(plan)
      await run(plan).catch(err => failures.push(`PLAN='${again}'\n${err.message}`))
      done++
    }
  }
  await Promise.all(Array.from({ length: atATime }, runAll))
  expect(failures.join('\n\n'), `SEED=${SEED}, ${done} runs`).toBe('')
}, 3_600_000)
