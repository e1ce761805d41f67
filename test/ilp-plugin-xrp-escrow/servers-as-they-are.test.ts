import { randomUUID } from 'node:crypto'
import type { Transfer } from 'ilp-plugin-xrp-escrow'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxLedger, SandboxOptions } from '../../src/xrpl-sandbox/index.ts'
import {
  DistortingServer,
  type Distortion,
  keepsLittleHistory,
  openErrors,
  publishesLate,
  submitTakesEffectUnsaid,
  talksNonsense
} from '../support/distorting-server.ts'
import {
  customer,
  genesis,
  idsOf,
  memo,
  next,
  prefix,
  shop,
  someTransfer,
  storyOf,
  until,
  usePlugin,
  useSandbox,
  useStranger
} from './support.ts'

type Json = Record<string, unknown>

const always = () => true

/** An answer to a request. */
const answerTo = ({ id }: Json, result: Json) => ({ id, type: 'response', status: 'success', result })
const errorTo = ({ id }: Json, error: string) => ({ id, type: 'response', status: 'error', error })

/** A sandbox, and a server of it with distortions. */
async function useDistortedLedger(distortions: Distortion[] = [], options: SandboxOptions = {}) {
  const sandbox = await useSandbox({ closeIntervalMs: 20, ...options })
  const server = await DistortingServer.start(sandbox.ledger, distortions)
  onTestFinished(() => server.close())
  return { sandbox, server }
}

/** The same, and a payer and a payee of whom one is connected to the server, or both. */
async function useDistortedPair(who: 'payer' | 'payee' | 'both', distortions: Distortion[] = []) {
  const { sandbox, server } = await useDistortedLedger(distortions)
  const payer = await usePlugin(who === 'payee' ? sandbox.url : server.url)
  const payee = await usePlugin(who === 'payer' ? sandbox.url : server.url, { secret: shop.secret })
  return { sandbox, server, payer, payee }
}

/** What the ledger has of an account's own transactions. */
function validated({ ledger }: SandboxLedger, address = customer.address): Json[] {
  const range = { min: 0, max: 2 ** 31, forward: true, limit: 10_000 }
  return ledger.history
    .accountTransactions(address, range)
    .transactions.map(transaction => transaction.fields as unknown as Json)
    .filter(({ Account }) => Account === address)
}

/** Waits until so many more ledgers have closed. */
async function ledgers({ ledger }: SandboxLedger, count: number): Promise<void> {
  const last = ledger.closedHeader.ledgerIndex + count
  while (ledger.closedHeader.ledgerIndex < last) await next(ledger, 'close')
}

/** The time of a ledger so many seconds ahead of the newest one, ISO 8601. */
function timeIn({ ledger }: SandboxLedger, seconds: number): string {
  return new Date((ledger.closedHeader.closeTime + 946_684_800 + seconds) * 1000).toISOString()
}

describe('a submission', () => {
  test('a submission that is applied but answered with an error pays once', async () => {
    const { sandbox, server } = await useDistortedLedger()
    const payer = await usePlugin(server.url)
    for (const error of [...openErrors, undefined]) {
      server.distortions = [submitTakesEffectUnsaid(error, always)]
      const transfer = someTransfer()
      await payer.sendTransfer(transfer)
      expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
    }
    expect(validated(sandbox)).toHaveLength(openErrors.length + 1)
  })

  test('sendTransfer repeated after a missed validation pays once', async () => {
    const { sandbox, server, payer, payee } = await useDistortedPair('payer')
    server.distortions = [
      {
        answer(_answer, { command }) {
          if (command !== 'submit') return undefined
          server.isOpen = false
          server.cut()
          return 'nothing'
        }
      }
    ]
    const transfer = someTransfer()
    const sent = payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    await ledgers(sandbox, 5)
    server.distortions = [keepsLittleHistory(3)]
    server.isOpen = true
    await sent
    await payer.sendTransfer(transfer)
    expect(validated(sandbox)).toHaveLength(1)
    await until(payer, 'error')
    server.distortions = []
    expect(await payer.getFulfillment(transfer.id)).toBe(transfer.fulfillment)
  })
})

describe('a ledger', () => {
  test('a ledger that is published late is read late, and its transfers are emitted once', async () => {
    const { payer, payee } = await useDistortedPair('both', [publishesLate(3)])
    const transfers = Array.from({ length: 5 }, () => someTransfer())
    for (const transfer of transfers) await payer.sendTransfer(transfer)
    expect(idsOf(await until(payee, 'incoming_prepare', 5))).toEqual(transfers.map(({ id }) => id))
    await Promise.all(transfers.map(({ id, fulfillment }) => payee.fulfillCondition(id, fulfillment)))
    for (const { id } of transfers)
      expect(storyOf(payee.told, id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
  })

  test('a ledger of several pages is emitted whole when one page fails', async () => {
    let failures = 0
    const { sandbox, server } = await useDistortedLedger(
      [
        {
          request(request) {
            if (request.command !== 'account_tx') return undefined
            request.limit = 4
            if (request.marker === undefined || failures++ > 0) return undefined
            return errorTo(request, 'slowDown')
          }
        }
      ],
      { closeIntervalMs: 0 }
    )
    const payer = await usePlugin(sandbox.url)
    const payee = await usePlugin(server.url, { secret: shop.secret })
    const transfers = Array.from({ length: 10 }, () => someTransfer())
    const sent = Promise.all(transfers.map(transfer => payer.sendTransfer(transfer)))
    await expect.poll(() => sandbox.ledger.openTransactions.size).toBe(10)
    sandbox.ledger.close()
    await sent
    expect(idsOf(await until(payee, 'incoming_prepare', 10))).toEqual(transfers.map(({ id }) => id))
    expect(failures).toBeGreaterThan(1)
  })
})

/** Changes the transactions, and the entries of a list of escrows, that a server answers with. */
function changeTransactions(change: (tx: Json) => void): Distortion {
  return {
    answer(answer) {
      const result = (answer.result ?? {}) as Json & {
        transactions?: { tx: Json }[]
        account_objects?: Json[]
      }
      const transactions = result.transactions?.map(({ tx }) => tx)
      for (const tx of transactions ?? result.account_objects ?? [result]) change(tx)
      return undefined
    }
  }
}

// As rippled 3.2.0 says the amounts of escrows that hold tokens (XLS-85).
const tokens: [what: string, Amount: Json][] = [
  ['an issued currency', { currency: 'USD', issuer: genesis.address, value: '10' }],
  ['a multi-purpose token', { mpt_issuance_id: `00000006${'AC'.repeat(20)}`, value: '10' }]
]

describe('an escrow', () => {
  test('a made-up fulfillment emits an error and leaves the transfer open', async () => {
    const { server, payer, payee } = await useDistortedPair('payer')
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    server.distortions = [
      changeTransactions(tx => {
        if (tx.TransactionType === 'EscrowFinish') tx.Fulfillment = `A0228020${'5A'.repeat(32)}`
      })
    ]
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const [[err] = []] = await until(payer, 'error')
    expect((err as Error).message).toContain(server.url)
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
    const later = await usePlugin(server.url)
    for (const plugin of [payer, later])
      await expect(plugin.getFulfillment(transfer.id)).rejects.toThrow(
        expect.objectContaining({ name: 'MissingFulfillmentError' })
      )
  })

  test.each([
    ['long-form DER', 'A081228020'],
    ['lengths of eight bytes', 'A088000000000000002A80880000000000000020']
  ])('a fulfillment in %s is emitted to the payer', async (_form, head) => {
    const { payer, payee } = await useDistortedPair('payer', [
      changeTransactions(tx => {
        if (tx.TransactionType === 'EscrowFinish') tx.Fulfillment = head + String(tx.Fulfillment).slice(8)
      })
    ])
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const [[, fulfillment] = []] = await until(payer, 'outgoing_fulfill')
    expect(fulfillment).toBe(transfer.fulfillment)
  })

  test.each([
    ['a condition in long-form DER', { Condition: `A081258020${'AB'.repeat(32)}810120` }],
    ['a condition of cost 33', { Condition: `A0258020${'AB'.repeat(32)}810121` }],
    ...tokens.map(([what, Amount]): [string, Json] => [what, { Amount }])
  ])('an escrow with %s is not announced', async (_what, fields) => {
    const { payer, payee } = await useDistortedPair('payee', [
      changeTransactions(tx => {
        if (tx.Amount === '11') Object.assign(tx, fields)
      })
    ])
    await payer.sendTransfer(someTransfer({ amount: '11' }))
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    expect(payee.told.map(([event]) => event)).toEqual(['connect', 'incoming_prepare'])
  })

  test.each([
    ['delegated', { Delegate: genesis.address }],
    ['sponsored', { Sponsor: genesis.address, SponsorFlags: 1 }]
  ])('feeDrops leaves out the fee of a transaction that is %s', async (_how, fields) => {
    const { server } = await useDistortedLedger([changeTransactions(tx => Object.assign(tx, fields))])
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(someTransfer())
    const [[told] = []] = await until(payer, 'outgoing_prepare')
    expect(told).not.toHaveProperty('feeDrops')
  })

  test('a transfer by inner transactions of a Batch, without fee and key, is told to both sides', async () => {
    const { payer, payee } = await useDistortedPair('both', [
      changeTransactions(tx => {
        if (String(tx.TransactionType).startsWith('Escrow'))
          Object.assign(tx, { Fee: '0', Flags: 0x40000000, SigningPubKey: '', TxnSignature: undefined })
      })
    ])
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const [[sent] = []] = await until(payer, 'outgoing_fulfill')
    const [[received] = []] = await until(payee, 'incoming_fulfill')
    expect([sent, received]).toEqual([
      expect.objectContaining({ id: transfer.id, feeDrops: '0' }),
      expect.objectContaining({ id: transfer.id, feeDrops: '0' })
    ])
  })

  test.each(tokens)('an own escrow of an earlier run that holds %s is left alone', async (_what, Amount) => {
    const { sandbox, server } = await useDistortedLedger()
    const crashed = await usePlugin(server.url)
    const expiresAt = timeIn(sandbox, 10)
    const [token, transfer] = [someTransfer({ amount: '11', expiresAt }), someTransfer({ expiresAt })]
    for (const sent of [token, transfer]) await crashed.sendTransfer(sent)
    const [{ Sequence } = {}] = validated(sandbox)
    await crashed.disconnect()
    server.distortions = [
      changeTransactions(tx => {
        if (tx.Amount === '11') Object.assign(tx, { Amount, Sequence })
      })
    ]
    const payer = await usePlugin(server.url)
    const [[canceled] = []] = await until(payer, 'outgoing_cancel')
    expect((canceled as Transfer).id).toBe(transfer.id)
    await ledgers(sandbox, 5)
    const cancels = validated(sandbox).filter(({ TransactionType }) => TransactionType === 'EscrowCancel')
    expect(cancels).toHaveLength(1)
    expect(payer.told.map(([event]) => event)).toEqual(['connect', 'outgoing_cancel'])
  })

  test.each([
    'validated before the start',
    'validated after the start',
    'changed by a sponsorship',
    'not in the history'
  ])('an escrow of an earlier run, %s, is canceled when it has expired', async how => {
    const { sandbox, server } = await useDistortedLedger([], { closeIntervalMs: 0 })
    const crashed = await usePlugin(server.url)
    const transfer = someTransfer({ expiresAt: timeIn(sandbox, 10) })
    const sent = crashed.sendTransfer(transfer).catch(() => {})
    while (sandbox.ledger.openTransactions.size < 1) await new Promise(setImmediate)
    if (how !== 'validated after the start') sandbox.ledger.close()
    await crashed.disconnect()
    await sent
    const [{ Sequence } = {}] = validated(sandbox)
    server.distortions = [
      {
        request: request =>
          how === 'not in the history' && request.command === 'tx'
            ? errorTo(request, 'txnNotFound')
            : undefined,
        answer(answer, { command, ledger_index_min }) {
          const result = answer.result as { account_objects?: Json[]; transactions?: { tx: Json }[] }
          for (const entry of result?.account_objects ?? []) {
            // rippled says an escrow's sequence from version 3 on.
            if (how === 'changed by a sponsorship') entry.PreviousTxnID = 'AB'.repeat(32)
            else if (how === 'not in the history') entry.Sequence = Sequence
          }
          if (how === 'not in the history' && command === 'account_tx' && ledger_index_min === -1)
            return { ...answer, result: { ...result, transactions: [] } }
          return undefined
        }
      }
    ]
    const payer = await usePlugin(server.url)
    const close = setInterval(() => sandbox.ledger.close(), 20)
    onTestFinished(() => clearInterval(close))
    const [[canceled] = []] = await until(payer, 'outgoing_cancel')
    const { id, ilp } = canceled as Transfer
    if (how !== 'not in the history') expect({ id, ilp }).toEqual({ id: transfer.id, ilp: transfer.ilp })
    expect(validated(sandbox).map(({ TransactionType }) => TransactionType)).toEqual([
      'EscrowCreate',
      'EscrowCancel'
    ])
  })

  /** Lets a payee miss the ledger in which another program of its account fulfills the first of some transfers. */
  async function missFulfillment(transfers: ReturnType<typeof someTransfer>[], missedLedgers: number) {
    const { sandbox, server, payer, payee } = await useDistortedPair('payee')
    const second = await usePlugin(sandbox.url, { secret: shop.secret })
    const [taken] = transfers as [ReturnType<typeof someTransfer>]
    for (const transfer of transfers) await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare', transfers.length)
    await payee.disconnect()
    await second.fulfillCondition(taken.id, taken.fulfillment)
    await ledgers(sandbox, missedLedgers)
    server.distortions = [keepsLittleHistory(3)]
    await payee.connect()
    const [[err] = []] = await until(payee, 'error')
    expect(err).toMatchObject({ code: 'HISTORY_GAP', transferIds: [taken.id] })
    return { sandbox, payee }
  }

  test('fulfillCondition costs nothing when the escrow was fulfilled in a history gap', async () => {
    const [taken, kept] = [someTransfer(), someTransfer()]
    const { sandbox, payee } = await missFulfillment([taken, kept], 5)
    const before = validated(sandbox, shop.address).length
    await payee.fulfillCondition(taken.id, taken.fulfillment)
    expect(validated(sandbox, shop.address)).toHaveLength(before)
    await payee.fulfillCondition(kept.id, kept.fulfillment)
    expect(storyOf(payee.told, taken.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
    expect(storyOf(payee.told, kept.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
  })

  test('an incoming transfer that was fulfilled in a history gap is not canceled when it has expired', async () => {
    const transfer = someTransfer({ expiresAt: new Date(Date.now() + 30_000).toISOString() })
    // Each ledger is at least a second after the one before.
    const { payee } = await missFulfillment([transfer], 45)
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare'])
  })

  test('an escrow that was closed unseen emits HISTORY_GAP after one cancel at most', async () => {
    const { sandbox, server } = await useDistortedLedger()
    const transfer = someTransfer({ expiresAt: timeIn(sandbox, 15) })
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(transfer)
    const [{ Sequence } = {}] = validated(sandbox)
    const isCancel = ({ command, tx_blob }: Json) =>
      command === 'submit' && String(tx_blob).startsWith('120004')
    // What is sent once more is the same.
    const cancels = new Set<unknown>()
    // Somebody else's cancel is never told, nor is ours sent before that.
    server.distortions = [
      {
        request: request => {
          if (isCancel(request)) cancels.add(request.tx_blob)
          return isCancel(request) && !cancelled ? 'nothing' : undefined
        },
        answer(answer) {
          const { transactions } = (answer.result ?? {}) as { transactions?: { tx: Json }[] }
          if (!transactions) return undefined
          const told = transactions.filter(
            ({ tx }) => tx.TransactionType !== 'EscrowCancel' || tx.Account === customer.address
          )
          return { ...answer, result: { ...(answer.result as Json), transactions: told } }
        }
      }
    ]
    let cancelled = false
    const stranger = await useStranger(sandbox.url)
    const cancel = { TransactionType: 'EscrowCancel', Owner: customer.address, OfferSequence: Sequence }
    while (!cancelled) {
      const { engine_result } = await stranger.submit(cancel)
      // Which of two comes first, a ledger decides when it closes.
      await stranger.nextLedger()
      cancelled = engine_result === 'tesSUCCESS'
    }
    const [[lost] = []] = await until(payer, 'error')
    expect(lost).toMatchObject({ name: 'UnreachableError', code: 'HISTORY_GAP', transferIds: [transfer.id] })
    const sent = cancels.size
    await ledgers(sandbox, 10)
    expect(cancels.size).toBe(sent)
    expect(
      validated(sandbox).filter(({ TransactionType }) => TransactionType === 'EscrowCancel')
    ).toHaveLength(1)
  })

  test('plugin compares its transfers with its open escrows after a history gap, behind 2,000 of strangers', async () => {
    const { sandbox, server } = await useDistortedLedger()
    const [kept, closed] = [someTransfer(), someTransfer()]
    const payer = await usePlugin(server.url)
    const payee = await usePlugin(sandbox.url, { secret: shop.secret })
    for (const transfer of [kept, closed]) await payer.sendTransfer(transfer)
    await payer.disconnect()
    await payee.fulfillCondition(closed.id, closed.fulfillment)
    await ledgers(sandbox, 5)
    const strangers = Array.from({ length: 400 }, (_, number) => ({
      LedgerEntryType: 'Escrow',
      Account: genesis.address,
      index: number.toString(16).toUpperCase().padStart(64, '0'),
      PreviousTxnID: 'AB'.repeat(32)
    }))
    let lists = 0
    server.distortions = [
      keepsLittleHistory(3),
      {
        request(request) {
          const { command, marker, ledger_index } = request
          if (command !== 'account_objects') return undefined
          // The first list is one of another ledger, which is not to be used.
          if (lists++ === 0) return answerTo(request, { ledger_index, validated: false, account_objects: [] })
          const page = Number(marker ?? 0)
          delete request.marker
          if (page >= 5) return undefined
          const list = { account_objects: strangers, marker: String(page + 1) }
          return answerTo(request, { ledger_index, validated: true, ...list })
        }
      }
    ]
    await payer.connect()
    const [[err] = []] = await until(payer, 'error')
    expect((err as Error).message).toMatch(/does not have the ledgers \d+ to \d+/)
    expect(err).toMatchObject({ name: 'UnreachableError', code: 'HISTORY_GAP', transferIds: [closed.id] })
    expect(lists).toBeGreaterThan(6)
    // The other one is still what it was.
    await payee.fulfillCondition(kept.id, kept.fulfillment)
    await until(payer, 'outgoing_fulfill')
    expect(storyOf(payer.told, kept.id)).toEqual(['outgoing_prepare', 'outgoing_fulfill'])
    server.distortions = []
    expect(await payer.getFulfillment(closed.id)).toBe(closed.fulfillment)
  })
})

describe('a server', () => {
  test('connect rejects a server that lags behind, and reports no reset', async () => {
    const { sandbox, server } = await useDistortedLedger([], { closeIntervalMs: 10 })
    const payer = await usePlugin(server.url)
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await ledgers(sandbox, 30)
    await payer.disconnect()
    server.behind = 20
    await expect(payer.connect()).rejects.toThrow(
      expect.objectContaining({ name: 'UnreachableError', message: expect.stringContaining('not in step') })
    )
    server.behind = 0
    await payer.connect()
    expect(payer.told.filter(([event]) => event === 'error' || event === 'outgoing_cancel')).toEqual([])
    await payer.sendTransfer(someTransfer())
  })

  test('plugin backs off from a server without history, and emits connect once it has some', async () => {
    const { server } = await useDistortedLedger()
    const payee = await usePlugin(server.url, { secret: shop.secret })
    const first = server.requests.length
    const asked = (command: string) =>
      server.requests.slice(first).filter(request => request.command === command).length
    server.distortions = [
      { request: request => (request.command === 'account_tx' ? errorTo(request, 'slowDown') : undefined) }
    ]
    server.cut()
    await until(payee, 'disconnect')
    await expect.poll(() => asked('account_tx')).toBeGreaterThan(3)
    expect(payee.told.filter(([event]) => event === 'connect')).toHaveLength(1)
    expect(asked('server_info')).toBe(1)
    server.distortions = []
    await until(payee, 'connect', 2)
    expect(payee.told.map(([event]) => event)).toEqual(['connect', 'disconnect', 'connect'])
  })

  test.each([1, 3])(
    'a list of escrows that repeats its last %i pages for ever is not asked on',
    async cycle => {
      let asked = 0
      const { server } = await useDistortedLedger(
        [
          {
            request(request) {
              if (request.command !== 'account_objects') return undefined
              const marker = `page ${asked++ % cycle}`
              const list = { account_objects: [], marker }
              return answerTo(request, { ledger_index: request.ledger_index, validated: true, ...list })
            }
          }
        ],
        { closeIntervalMs: 0 }
      )
      const payer = await usePlugin(server.url)
      await expect.poll(() => asked).toBeGreaterThan(cycle)
      // An answer comes after all that was asked before it.
      for (let count = 0; count < 50; count++) await payer.getBalance()
      expect(asked).toBeLessThan(20)
    }
  )

  test('deeply nested and oversized messages fill no memory', async () => {
    const deep = `{"type":"response","id":7,"status":"success","result":${'['.repeat(2e6)}${']'.repeat(2e6)}}`
    const { server } = await useDistortedLedger()
    const payer = await usePlugin(server.url)
    const before = process.memoryUsage.rss()
    for (let count = 0; count < 5; count++) for (const line of server.lines) line.sendNow(deep)
    await payer.sendTransfer(someTransfer())
    expect(process.memoryUsage.rss() - before).toBeLessThan(300e6)
    for (const line of server.lines) line.sendNow(`"${'x'.repeat(9e6)}"`)
    await until(payer, 'connect', 2)
    await payer.sendTransfer(someTransfer())
  })

  test('connect and payments work on a server that does not list escrows', async () => {
    const { payer, payee } = await useDistortedPair('payee', [
      { request: ({ command }) => (command === 'account_objects' ? 'nothing' : undefined) }
    ])
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
  })

  test('plugin ignores malformed messages', async () => {
    const { server } = await useDistortedLedger([talksNonsense(always)])
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(someTransfer())
    expect(payer.told.map(([event]) => event)).toEqual(['connect', 'outgoing_prepare'])
  })
})

test('three transfers with one id, or with a guessed one, get three ids', async () => {
  const sandbox = await useSandbox({ closeIntervalMs: 0 })
  const payee = await usePlugin(sandbox.url, { secret: shop.secret })
  const [stranger, victim] = [await useStranger(sandbox.url), await useStranger(sandbox.url, customer.secret)]
  const create = (id: string, amount: string) => ({
    TransactionType: 'EscrowCreate',
    Destination: shop.address,
    Amount: amount,
    Condition: `A0258020${'AB'.repeat(32)}810120`,
    CancelAfter: 1_000_000_000,
    Memos: [memo('xrpIlp', 'AAAA'), memo('xrpId', id)]
  })
  const id = randomUUID()
  const real = await victim.sign(create(id, '1000'))
  // Whoever sees the transaction before it is in a ledger knows its id, and all that can be made of its hash.
  const guessed = real.hash.toLowerCase().replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-8$3-a$4-$5')
  for (const taken of [id, guessed]) {
    await stranger.submit(create(taken, '1'))
    sandbox.ledger.close()
  }
  await stranger.submitBlob(real.tx_blob)
  sandbox.ledger.close()
  const prepared = (await until(payee, 'incoming_prepare', 3)).map(([told]) => told as Transfer)
  expect(prepared.map(({ amount }) => amount)).toEqual(['1', '1', '1000'])
  expect(new Set(prepared.map(told => told.id)).size).toBe(3)
  expect(prepared[0]?.from).toBe(prefix + genesis.address)
})
