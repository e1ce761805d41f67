import { createHash, randomInt, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { serializeIlpPayment } from 'ilp-packet'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Wallet } from 'xrpl'
import { type SandboxLedger, startSandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { serialize } from '../src/xrpl-sandbox/ledger/codec.ts'
import { fieldsOf } from '../src/xrpl-sandbox/ledger/history.ts'
import { accountOf } from '../src/xrpl-sandbox/ledger/state.ts'
import { InvalidTransaction, parseTransaction } from '../src/xrpl-sandbox/ledger/transaction.ts'
import { anyText } from './support/any-text.ts'
import { pairs } from './support/pairs.ts'
import { type Script, type Stage, setStage } from './support/scripts.ts'
import type { Message } from './xrpl-sandbox/client.ts'

// What a stranger may put on the ledger, drawn, for everybody who listens there: both shops and both clients stay up
// and serve. "npm run soak" takes ten minutes.
const isSoak = import.meta.env.MODE === 'soak'
const seconds = Number(process.env.SECONDS ?? (isSoak ? 600 : 5))
const seed = Number(process.env.SEED ?? randomInt(2 ** 31))
// A ledger that closes more than once a second is ahead of the clock after minutes, and of what the clients promise.
const roundMs = isSoak ? 1000 : 200
const perRound = isSoak ? 150 : 30

let ledger: SandboxLedger
let stage: Stage

beforeEach(async () => {
  stage = await setStage()
})

afterEach(async () => {
  await stage.strike()
  await ledger.close()
})

const newWallet = () => Wallet.generate()
const hex = (text: string | Uint8Array) =>
  Buffer.from(text as string)
    .toString('hex')
    .toUpperCase()

// Words that mean something to JavaScript, or to those who read memos.
const keys =
  `__proto__ constructor prototype toString valueOf toJSON then length hasOwnProperty id ilp custom to from
  ledger sequence reason code name message triggered_by additional_info amount`.split(/\s+/)

const jsonText = fc
  .letrec(tie => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        null,
        true,
        '',
        0,
        -0,
        1,
        -1,
        0.5,
        1e308,
        2 ** 53,
        '__proto__',
        'constructor',
        'A'.repeat(200)
      ),
      anyText(20),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 5 })
    )
  }))
  .value.map(value => JSON.stringify(value))

const brokenText = fc
  .tuple(
    jsonText,
    fc.nat(),
    fc.constantFrom('', '\u0000', ',', '}', ']]', '"', '\u2028', 'NaN', '\n', '\x1b[2J')
  )
  .map(([text, at, junk]) => text.slice(0, at % (text.length + 1)) + junk)

const longText = fc.constantFrom(
  '\u0000'.repeat(900),
  '['.repeat(900),
  '{"a":'.repeat(170),
  `{"id":"${'x'.repeat(850)}"}`,
  '9'.repeat(900),
  `"${'\\u0000'.repeat(140)}"`
)

const numberText = fc.constantFrom(
  '1e999',
  '-0',
  '9007199254740993',
  '0x10',
  '1e-7',
  '18446744073709551616',
  '-1'
)

// Objects that are not what they say when they are made a text, a number, or waited for.
const awkward = ['toString', 'valueOf', 'toJSON', 'then', 'length', 'constructor', '__proto__'].map(
  key => `{"${key}":1}`
)
const awkwardText = fc.constantFrom(...awkward)

/** The memo data of the project's own kinds, right but for what is in them. */
const likelyText = fc.oneof(
  fc
    .tuple(fc.constantFrom('sequence', 'id', 'ilp', 'custom', 'reason'), fc.oneof(awkwardText, jsonText))
    .map(([key, value]) => `{"${key}":${value}}`),
  fc
    .tuple(fc.integer({ min: 0, max: 60 }), jsonText)
    .map(([sequence, reason]) => `{"sequence":${sequence},"reason":${reason}}`),
  fc.tuple(fc.uuid(), jsonText).map(([id, custom]) => `{"id":"${id}","ilp":"AAAA","custom":${custom}}`),
  fc.uuid(),
  fc.uuid().map(id => id.toUpperCase()),
  fc.uuid().map(id => `${id}\n4. Accepted payment`)
)

const memoData = fc.oneof(
  likelyText.map(hex),
  jsonText.map(hex),
  brokenText.map(hex),
  numberText.map(hex),
  longText.map(hex),
  fc.uint8Array({ maxLength: 300 }).map(hex)
)
const memoType = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('xrpIlp', 'xrpId', 'xrpMessage', 'xrpMessageId', 'xrpRejection') },
  { weight: 1, arbitrary: fc.constantFrom('', '__proto__', 'xrpIlp/', 'x') }
)

interface Memo {
  type: string
  data: string
  hasType: number
  hasData: number
  format: number
}

const memo: fc.Arbitrary<Memo> = fc.record({
  type: memoType,
  data: memoData,
  hasType: fc.nat(9),
  hasData: fc.nat(9),
  format: fc.nat(9)
})

/** One transaction of a stranger. */
interface Drawn {
  kind: string
  stranger: number
  victim: number
  amount: string
  packetAmount: string
  /** seconds until it expires */
  lives: number
  condition: string
  id: string
  usesTicket: number
  tag: number
  memos: Memo[]
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  kind: fc.constantFrom(
    'EscrowCreate',
    'EscrowCreate',
    'EscrowCreate',
    'Payment',
    'Payment',
    'EscrowFinish',
    'EscrowCancel',
    'AccountSet',
    'TicketCreate'
  ),
  stranger: fc.nat(2),
  victim: fc.nat(3),
  amount: fc.constantFrom('1', '10', '11', '1000', '30000000'),
  packetAmount: fc.constantFrom('0', '1', '10', '18446744073709551615'),
  lives: fc.constantFrom(2, 5, 30, 1_000, 2 ** 31),
  condition: fc.constantFrom('own', 'own', 'a copy', 'none', 'of another kind'),
  id: fc.constantFrom('own', 'a copy', 'none'),
  usesTicket: fc.nat(4),
  tag: fc.nat(3),
  memos: fc.array(memo, { maxLength: 3 })
})

/** Each awkward object in each field of each JSON memo, to everybody: what should not be left to chance. */
const systematic: Drawn[] = ['xrpRejection', 'xrpMessage'].flatMap(type =>
  ['sequence', 'reason', 'id', 'ilp', 'custom'].flatMap(field =>
    awkward.flatMap(value =>
      [0, 1, 2, 3].map(victim => ({
        ...{
          kind: 'Payment',
          stranger: 0,
          victim,
          amount: '1',
          packetAmount: '1',
          lives: 30,
          condition: 'own'
        },
        ...{ id: 'own', usesTicket: 1, tag: 1 },
        memos: [{ type, data: hex(`{"id":"x","${field}":${value}}`), hasType: 1, hasData: 1, format: 1 }]
      }))
    )
  )
)

/** Strangers, who put on the ledger what was drawn. */
class Strangers {
  readonly wallets = [newWallet(), newWallet(), newWallet()]
  readonly results = new Map<string, number>()
  readonly #tickets: number[][] = [[], [], []]
  readonly #escrows: { owner: string; sequence: number; preimage: Buffer }[] = []
  readonly #victims: string[]

  constructor(victims: string[]) {
    this.#victims = victims
  }

  act(drawn: Drawn): void {
    const { kind, stranger } = drawn
    const wallet = this.wallets[stranger] as Wallet
    const victim = this.#victims[drawn.victim] as string
    const preimage = createHash('sha256').update(randomUUID()).digest()
    const ticket = drawn.usesTicket === 0 ? this.#tickets[stranger]?.shift() : undefined
    const Sequence = ticket === undefined ? (accountOf(ledger.ledger.open, wallet.address)?.Sequence ?? 0) : 0
    const common = {
      TransactionType: kind,
      Account: wallet.address,
      Fee: '1000',
      Sequence,
      ...(ticket !== undefined && { TicketSequence: ticket }),
      SigningPubKey: wallet.publicKey,
      ...(drawn.memos.length > 0 && { Memos: drawn.memos.map(toMemo) })
    }
    const last = this.#escrows.at(-1 - (Sequence % 5))
    const of = { Owner: last?.owner ?? wallet.address, OfferSequence: last?.sequence ?? 1 }
    const own = (bytes: Buffer) =>
      `A0258020${createHash('sha256').update(bytes).digest('hex')}810120`.toUpperCase()
    const fields: Record<string, object> = {
      Payment: { Destination: victim, Amount: drawn.amount },
      EscrowCreate: this.#escrowTo(victim, drawn, own(preimage)),
      EscrowFinish: {
        ...of,
        Condition: own(last?.preimage ?? preimage),
        Fulfillment: `A0228020${(last?.preimage ?? preimage).toString('hex')}`.toUpperCase()
      },
      EscrowCancel: of,
      AccountSet: { Domain: hex('example.org') },
      TicketCreate: { TicketCount: 5 }
    }
    const result = this.#submit({ ...common, ...fields[kind] })
    this.results.set(result, (this.results.get(result) ?? 0) + 1)
    if (result !== 'tesSUCCESS') return
    if (kind === 'EscrowCreate')
      this.#escrows.push({ owner: wallet.address, sequence: ticket ?? Sequence, preimage })
    if (kind === 'TicketCreate')
      this.#tickets[stranger]?.push(...[1, 2, 3, 4, 5].map(offset => Sequence + offset))
  }

  /** An escrow as the project's own are, but for what is drawn: a copy is of the newest one to that victim. */
  #escrowTo(victim: string, drawn: Drawn, ownCondition: string) {
    const range = { min: 0, max: 2 ** 31, forward: false, limit: 20 }
    const copied = ledger.ledger.history
      .accountTransactions(victim, range)
      .transactions.map((transaction): Message => fieldsOf(transaction))
      .find(({ TransactionType, Memos }) => TransactionType === 'EscrowCreate' && Memos?.length === 2)
    const { closeTime } = ledger.ledger.closedHeader
    const CancelAfter = Math.min(closeTime + drawn.lives, 2 ** 32 - 1)
    const conditions = {
      own: ownCondition,
      'a copy': copied?.Condition ?? ownCondition,
      none: undefined,
      'of another kind': `A2208020${'AB'.repeat(32)}`
    }
    const Condition = conditions[drawn.condition as keyof typeof conditions]
    const packet = serializeIlpPayment({
      account: `test.crypto.xrp.${victim}.${drawn.memos.length}.0`,
      amount: drawn.packetAmount,
      data: Buffer.alloc(0)
    })
    const ids = {
      own: hex(randomUUID()),
      'a copy': copied?.Memos[1].Memo.MemoData ?? hex(randomUUID()),
      none: undefined
    }
    const id = ids[drawn.id as keyof typeof ids]
    const proper = [
      { Memo: { MemoType: relation('xrpIlp'), MemoData: hex(packet.toString('base64url')) } },
      ...(id ? [{ Memo: { MemoType: relation('xrpId'), MemoData: id } }] : [])
    ]
    return {
      Destination: victim,
      Amount: drawn.amount,
      CancelAfter,
      ...(Condition ? { Condition } : { FinishAfter: closeTime + 1 }),
      ...(drawn.tag === 0 && { DestinationTag: 7 }),
      ...(drawn.memos.length < 2 && { Memos: [...drawn.memos.map(toMemo), ...proper] })
    }
  }

  #submit(fields: object): string {
    try {
      const transaction = parseTransaction(serialize(fields as never), { trusted: true })
      return ledger.ledger.submit(transaction).result
    } catch (err) {
      if (err instanceof InvalidTransaction) return err.message
      throw err
    }
  }
}

const relation = (name: string) => hex(`https://interledger.org/rel/${name}`)

function toMemo({ type, data, hasType, hasData, format }: Memo) {
  return {
    Memo: {
      ...(hasType > 0 && { MemoType: relation(type) }),
      ...(hasData > 0 && { MemoData: data }),
      ...(format === 0 && { MemoFormat: hex('application/json') })
    }
  }
}

test(`both pairs serve on for ${seconds} seconds of what strangers draw`, async () => {
  const wallets = [newWallet(), newWallet(), newWallet(), newWallet()]
  const strangers = new Strangers(wallets.map(({ address }) => address))
  const funding = [...wallets, ...strangers.wallets].map(({ address }) => ({ address, xrp: 100_000 }))
  ledger = await startSandboxLedger({ port: 0, closeIntervalMs: roundMs, funding })
  const open = await Promise.all(
    pairs.map(async ({ client, shop, lettersIn }, pair) => {
      const [till, purse] = wallets.slice(2 * pair) as [Wallet, Wallet]
      const seller = stage.run(shop, {
        TEST_LEDGER: ledger.url,
        SHOP_SECRET: till.seed as string,
        PORT: '0'
      })
      const [, url = ''] = await seller.says(/Visit (http:\S+)/)
      const buyer = stage.run(client, {
        TEST_LEDGER: ledger.url,
        CUSTOMER_SECRET: purse.seed as string,
        SHOP_URL: url,
        INTERVAL_MS: '500'
      })
      await buyer.prints(output => lettersIn(output).length >= 1)
      return { seller, buyer, lettersIn }
    })
  )
  const scripts = open.flatMap(({ seller, buyer }) => [seller, buyer])
  const lettersOf = ({ buyer, lettersIn }: (typeof open)[number]) => lettersIn(buyer.output).length
  const about = (script: Script) => `SEED=${seed}; ${script.output.slice(-3_000)}`

  for (let round = 0; round < (seconds * 1000) / roundMs; round++) {
    for (const one of systematic.slice(round * perRound, (round + 1) * perRound)) strangers.act(one)
    for (const one of fc.sample(drawn, { numRuns: perRound, seed: seed + round })) strangers.act(one)
    for (const script of scripts) expect(script.process.exitCode, about(script)).toBeNull()
    await delay(roundMs)
  }
  const before = open.map(lettersOf)
  for (const [pair, { buyer, lettersIn }] of open.entries())
    await buyer.prints(output => lettersIn(output).length >= (before[pair] as number) + 3)
  for (const script of scripts) {
    expect(script.output, about(script)).not.toMatch(/^\s+at /m)
    expect(script.output, about(script)).not.toMatch(/(?!\n)\p{Cc}/u)
  }
  for (const { buyer } of open) expect(await buyer.interrupt(), about(buyer)).toBe(0)
  for (const { seller } of open) expect(await seller.interrupt(), about(seller)).toBe(0)
  // Most of it has to get onto the ledger, or this tries nothing.
  const total = [...strangers.results.values()].reduce((sum, count) => sum + count)
  if (process.env.VERBOSE) console.log(seed, strangers.results, open.map(lettersOf))
  expect((strangers.results.get('tesSUCCESS') ?? 0) / total).toBeGreaterThan(0.3)
}, 900_000)
