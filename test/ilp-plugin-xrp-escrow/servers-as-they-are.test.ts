import type { Transfer } from 'ilp-plugin-xrp-escrow'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  changesTransactions,
  type Distortion,
  type Json,
  keepsLittleHistory,
  Laggard,
  openErrors,
  publishesLate,
  submitTakesEffectUnsaid,
  talksNonsense
} from '../support/distorting-server.ts'
import {
  customer,
  fast,
  genesis,
  idsOf,
  ledgerTime,
  moreLedgers,
  named,
  openTransactions,
  ownTransactions,
  prepare,
  shop,
  someTransfer,
  storyOf,
  strangerOn,
  until,
  usePair,
  usePayer,
  usePlugin,
  useSandbox,
  useServer
} from './support.ts'

const always = () => true

describe('a submission', () => {
  test('a submission that is applied but answered with an error pays once', async () => {
    const { ledger, server, payer } = await usePayer(fast)
    for (const error of [...openErrors, undefined]) {
      server.distortions = [submitTakesEffectUnsaid(error, always)]
      const transfer = someTransfer()
      await payer.sendTransfer(transfer)
      expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
    }
    expect(await ownTransactions(ledger)).toHaveLength(openErrors.length + 1)
  })

  /** Sends a transfer whose validation falls into a gap in the server's history. */
  async function sendUnseen() {
    const { ledger, server, payer, payee } = await usePair({ ...fast, atServer: 'payer' })
    server.distortions = [
      {
        answer(_result, { command }) {
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
    server.distortions = [keepsLittleHistory(3)]
    return { ledger, server, payer, payee, transfer, sent }
  }

  test('sendTransfer repeated after a missed validation pays once', async () => {
    const { ledger, server, payer, payee, transfer, sent } = await sendUnseen()
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    await moreLedgers(ledger, 5)
    server.isOpen = true
    await sent
    await payer.sendTransfer(transfer)
    expect(await ownTransactions(ledger)).toHaveLength(1)
    await until(payer, 'error')
    server.distortions = []
    expect(await payer.getFulfillment(transfer.id)).toBe(transfer.fulfillment)
  })

  test('sendTransfer resolves when its escrow is open and the server has lost its transaction', async () => {
    const { ledger, server, payer, transfer, sent } = await sendUnseen()
    await moreLedgers(ledger, 5)
    server.distortions.push({
      request: ({ command }) => (command === 'tx' ? { error: 'txnNotFound' } : undefined)
    })
    server.isOpen = true
    await sent
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
    expect(await ownTransactions(ledger)).toHaveLength(1)
  })
})

describe('a ledger', () => {
  test('a ledger that is published late is read late, and its transfers are emitted once', async () => {
    const { payer, payee } = await usePair({ ...fast, atServer: 'both' }, publishesLate(3))
    const transfers = Array.from({ length: 5 }, () => someTransfer())
    for (const transfer of transfers) await payer.sendTransfer(transfer)
    expect(idsOf(await until(payee, 'incoming_prepare', 5))).toEqual(transfers.map(({ id }) => id))
    await Promise.all(transfers.map(({ id, fulfillment }) => payee.fulfillCondition(id, fulfillment)))
    for (const { id } of transfers)
      expect(storyOf(payee.told, id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
  })

  test('a ledger of several pages is emitted whole when one page fails', async () => {
    let failures = 0
    const inPages: Distortion = {
      request(request) {
        if (request.command !== 'account_tx') return undefined
        request.limit = 4
        return request.marker !== undefined && failures++ === 0 ? { error: 'slowDown' } : undefined
      }
    }
    const { ledger, payer, payee } = await usePair({ closeIntervalMs: 0, atServer: 'payee' }, inPages)
    const transfers = Array.from({ length: 10 }, () => someTransfer())
    const sent = Promise.all(transfers.map(transfer => payer.sendTransfer(transfer)))
    await openTransactions(ledger, 10)
    await ledger.closeLedger()
    await sent
    expect(idsOf(await until(payee, 'incoming_prepare', 10))).toEqual(transfers.map(({ id }) => id))
    expect(failures).toBeGreaterThan(1)
  })
})

// As rippled 3.2.0 says the amounts of escrows that hold tokens (XLS-85).
const tokens: [what: string, Amount: Json][] = [
  ['an issued currency', { currency: 'USD', issuer: genesis.address, value: '10' }],
  ['a multi-purpose token', { mpt_issuance_id: `00000006${'AC'.repeat(20)}`, value: '10' }]
]

/** Changes what a server says of escrows of 11 drops. */
const changesElevenDrops = (fields: Json) =>
  changesTransactions(tx => {
    if (tx.Amount === '11') Object.assign(tx, fields)
  })

describe('an escrow', () => {
  test('a made-up fulfillment emits an error and leaves the transfer open', async () => {
    const { server, payer, payee } = await usePair({ ...fast, atServer: 'payer' })
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    server.distortions = [
      changesTransactions(tx => {
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
      await expect(plugin.getFulfillment(transfer.id)).rejects.toThrow(named('MissingFulfillmentError'))
  })

  test.each([
    ['an escrow with a condition in long-form DER', { Condition: `A081258020${'AB'.repeat(32)}810120` }],
    ['an escrow with a condition of cost 33', { Condition: `A0258020${'AB'.repeat(32)}810121` }],
    ['a partial payment', { TransactionType: 'Payment', Flags: 0x00020000 }],
    ...tokens.map(([what, Amount]): [string, Json] => [`an escrow with ${what}`, { Amount }])
  ])('%s is not announced', async (_what, fields) => {
    const { payer, payee } = await usePair({ ...fast, atServer: 'payee' }, changesElevenDrops(fields))
    await payer.sendTransfer(someTransfer({ amount: '11' }))
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    expect(idsOf(await until(payee, 'incoming_prepare'))).toEqual([transfer.id])
    expect(payee.told.map(([event]) => event)).toEqual(['connect', 'incoming_prepare'])
  })

  test.each([
    ['delegated', { Delegate: genesis.address }],
    ['sponsored', { Sponsor: genesis.address, SponsorFlags: 1 }]
  ])('feeDrops leaves out the fee of a transaction that is %s', async (_how, fields) => {
    const { payer } = await usePayer(
      fast,
      changesTransactions(tx => Object.assign(tx, fields))
    )
    await payer.sendTransfer(someTransfer())
    const [[told] = []] = await until(payer, 'outgoing_prepare')
    expect(told).not.toHaveProperty('feeDrops')
  })

  test('a transfer by inner transactions of a Batch, without fee and key, is emitted on both sides', async () => {
    const inBatch = changesTransactions(tx => {
      if (String(tx.TransactionType).startsWith('Escrow'))
        Object.assign(tx, { Fee: '0', Flags: 0x40000000, SigningPubKey: '', TxnSignature: undefined })
    })
    const { payer, payee } = await usePair({ ...fast, atServer: 'both' }, inBatch)
    const transfer = await prepare({ payer, payee })
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const [[sent] = []] = await until(payer, 'outgoing_fulfill')
    const [[received] = []] = await until(payee, 'incoming_fulfill')
    for (const told of [sent, received]) expect(told).toMatchObject({ id: transfer.id, feeDrops: '0' })
  })

  test.each(tokens)('an own escrow of an earlier run that holds %s is left alone', async (_what, Amount) => {
    const { ledger, server, payer: crashed } = await usePayer(fast)
    const expiresAt = await ledgerTime(ledger, 40)
    const [token, transfer] = [someTransfer({ amount: '11', expiresAt }), someTransfer({ expiresAt })]
    for (const sent of [token, transfer]) await crashed.sendTransfer(sent)
    const [{ Sequence } = {}] = await ownTransactions(ledger)
    await crashed.disconnect()
    server.distortions = [changesElevenDrops({ Amount, Sequence })]
    const payer = await usePlugin(server.url)
    expect(idsOf(await until(payer, 'outgoing_cancel'))).toEqual([transfer.id])
    await moreLedgers(ledger, 5)
    expect(await ownTransactions(ledger, customer.address, 'EscrowCancel')).toHaveLength(1)
    expect(payer.told.map(([event]) => event)).toEqual(['connect', 'outgoing_cancel'])
  })

  test.each(['validated after the start', 'changed by a sponsorship', 'not in the history'])(
    'an escrow of an earlier run, %s, is canceled when it has expired',
    async how => {
      const { ledger, server, payer: crashed } = await usePayer({ closeIntervalMs: 0 })
      const transfer = someTransfer({ expiresAt: await ledgerTime(ledger, 10) })
      const sent = crashed.sendTransfer(transfer).catch(() => {})
      await openTransactions(ledger, 1)
      if (how !== 'validated after the start') await ledger.closeLedger()
      await crashed.disconnect()
      await sent
      const [{ Sequence } = {}] = await ownTransactions(ledger)
      const sponsorship: Distortion = {
        answer({ account_objects }) {
          for (const entry of (account_objects ?? []) as Json[]) entry.PreviousTxnID = 'AB'.repeat(32)
          return undefined
        }
      }
      const noHistory: Distortion = {
        request: ({ command }) => (command === 'tx' ? { error: 'txnNotFound' } : undefined),
        answer(result, { command, ledger_index_min }) {
          // rippled says an escrow's sequence from version 3 on.
          for (const entry of (result.account_objects ?? []) as Json[]) entry.Sequence = Sequence
          return command === 'account_tx' && ledger_index_min === -1
            ? { ...result, transactions: [] }
            : undefined
        }
      }
      if (how === 'changed by a sponsorship') server.distortions = [sponsorship]
      if (how === 'not in the history') server.distortions = [noHistory]
      const payer = await usePlugin(server.url)
      const close = setInterval(() => ledger.closeLedger(), 20)
      onTestFinished(() => clearInterval(close))
      const [[canceled] = []] = await until(payer, 'outgoing_cancel')
      const { id, ilp } = canceled as Transfer
      if (how !== 'not in the history') expect({ id, ilp }).toEqual({ id: transfer.id, ilp: transfer.ilp })
      expect((await ownTransactions(ledger)).map(({ TransactionType }) => TransactionType)).toEqual([
        'EscrowCreate',
        'EscrowCancel'
      ])
    }
  )

  /** Lets a payee miss the ledger in which another program of its account fulfills the first of some transfers. */
  async function missFulfillment(transfers: ReturnType<typeof someTransfer>[], missedLedgers: number) {
    const { ledger, server, payer, payee } = await usePair({ ...fast, atServer: 'payee' })
    const second = await usePlugin(ledger.url, { secret: shop.secret })
    const [taken] = transfers as [ReturnType<typeof someTransfer>]
    for (const transfer of transfers) await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare', transfers.length)
    await payee.disconnect()
    await second.fulfillCondition(taken.id, taken.fulfillment)
    await moreLedgers(ledger, missedLedgers)
    server.distortions = [keepsLittleHistory(3)]
    await payee.connect()
    const [[err] = []] = await until(payee, 'error')
    expect(err).toMatchObject({ code: 'HISTORY_GAP', transferIds: [taken.id] })
    return { ledger, payee }
  }

  test('fulfillCondition costs nothing when the escrow was fulfilled in a history gap', async () => {
    const [taken, kept] = [someTransfer(), someTransfer()]
    const { ledger, payee } = await missFulfillment([taken, kept], 5)
    const before = await ownTransactions(ledger, shop.address)
    await payee.fulfillCondition(taken.id, taken.fulfillment)
    expect(await ownTransactions(ledger, shop.address)).toEqual(before)
    await payee.fulfillCondition(kept.id, kept.fulfillment)
    for (const { id } of [taken, kept])
      expect(storyOf(payee.told, id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
  })

  test('an incoming transfer that was fulfilled in a history gap is not canceled when it has expired', async () => {
    const transfer = someTransfer({ expiresAt: new Date(Date.now() + 30_000).toISOString() })
    // Each ledger is at least a second after the one before.
    const { payee } = await missFulfillment([transfer], 45)
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare'])
  })

  test('an escrow that was closed unseen emits HISTORY_GAP after one cancel at most', async () => {
    const { ledger, server, payer } = await usePayer(fast)
    const transfer = someTransfer({ expiresAt: await ledgerTime(ledger, 40) })
    await payer.sendTransfer(transfer)
    const [{ Sequence } = {}] = await ownTransactions(ledger)
    // What is sent once more is the same.
    const cancels = new Set<unknown>()
    let isCanceled = false
    // Somebody else's cancel is never told, nor is ours sent before that.
    server.distortions = [
      {
        request({ command, tx_blob }) {
          if (command !== 'submit' || !String(tx_blob).startsWith('120004')) return undefined
          cancels.add(tx_blob)
          return isCanceled ? undefined : 'nothing'
        },
        answer(result) {
          const transactions = result.transactions as { tx: Json }[] | undefined
          const isTold = ({ tx }: { tx: Json }) =>
            tx.TransactionType !== 'EscrowCancel' || tx.Account === customer.address
          return transactions && { ...result, transactions: transactions.filter(isTold) }
        }
      }
    ]
    const cancel = { TransactionType: 'EscrowCancel', Owner: customer.address, OfferSequence: Sequence }
    while (!isCanceled) {
      const { engine_result } = await strangerOn(ledger).submit(cancel)
      // Which of two comes first, a ledger decides when it closes.
      await moreLedgers(ledger, 1)
      isCanceled = engine_result === 'tesSUCCESS'
    }
    const [[lost] = []] = await until(payer, 'error')
    expect(lost).toMatchObject({ name: 'UnreachableError', code: 'HISTORY_GAP', transferIds: [transfer.id] })
    const sent = cancels.size
    await moreLedgers(ledger, 10)
    expect(cancels.size).toBe(sent)
    expect(await ownTransactions(ledger, customer.address, 'EscrowCancel')).toHaveLength(1)
  })

  test('plugin compares its transfers with its open escrows after a history gap, behind 2,000 of strangers', async () => {
    const { ledger, server, payer, payee } = await usePair({ ...fast, atServer: 'payer' })
    const [kept, closed] = [someTransfer(), someTransfer()]
    for (const transfer of [kept, closed]) await payer.sendTransfer(transfer)
    await payer.disconnect()
    await payee.fulfillCondition(closed.id, closed.fulfillment)
    await moreLedgers(ledger, 5)
    const account_objects = Array.from({ length: 400 }, (_, number) => ({
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
          if (lists++ === 0) return { ledger_index, validated: false, account_objects: [] }
          const page = Number(marker ?? 0)
          delete request.marker
          if (page >= 5) return undefined
          return { ledger_index, validated: true, account_objects, marker: String(page + 1) }
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
    const sandbox = await useSandbox({ closeIntervalMs: 10 })
    const server = await useServer(sandbox)
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(someTransfer())
    const { ledgerIndex } = sandbox.ledger.closedHeader
    await expect.poll(() => sandbox.ledger.closedHeader.ledgerIndex).toBeGreaterThan(ledgerIndex + 20)
    await payer.disconnect()
    const laggard = await Laggard.start(sandbox, 20)
    onTestFinished(() => laggard.close())
    server.upstream = laggard
    const message = expect.stringContaining('not in step')
    await expect(payer.connect()).rejects.toThrow(named('UnreachableError', { message }))
    server.upstream = sandbox
    await payer.connect()
    await payer.sendTransfer(someTransfer())
    expect(payer.told.filter(([event]) => event === 'error' || event === 'outgoing_cancel')).toEqual([])
  })

  test('plugin backs off from a server without history, and emits connect once it has some', async () => {
    const { server, payer } = await usePayer(fast)
    const first = server.requests.length
    const asked = (command: string) =>
      server.requests.slice(first).filter(request => request.command === command).length
    server.distortions = [
      { request: ({ command }) => (command === 'account_tx' ? { error: 'slowDown' } : undefined) }
    ]
    server.cut()
    await until(payer, 'disconnect')
    await expect.poll(() => asked('account_tx')).toBeGreaterThan(3)
    expect(payer.told.filter(([event]) => event === 'connect')).toHaveLength(1)
    expect(asked('server_info')).toBe(1)
    server.distortions = []
    await until(payer, 'connect', 2)
    expect(payer.told.map(([event]) => event)).toEqual(['connect', 'disconnect', 'connect'])
  })

  test('a list of escrows that repeats its last three pages for ever is not asked on', async () => {
    let asked = 0
    const { payer } = await usePayer(
      { closeIntervalMs: 0 },
      {
        request({ command, ledger_index }) {
          if (command !== 'account_objects') return undefined
          return { ledger_index, validated: true, account_objects: [], marker: `page ${asked++ % 3}` }
        }
      }
    )
    await expect.poll(() => asked).toBeGreaterThan(3)
    // An answer comes after all that was asked before it.
    for (let count = 0; count < 50; count++) await payer.getBalance()
    expect(asked).toBeLessThan(20)
  })

  test('a message nested deeper than 64 levels is ignored, and one of 9 MB ends the connection', async () => {
    const { server, payer } = await usePayer(fast)
    const [line] = server.lines
    // Whoever reads it takes the ledger for one of the year 2063.
    const closed = `"type":"ledgerClosed","ledger_index":99999999,"ledger_hash":"x","ledger_time":2000000000`
    line?.send(`{${closed},"deep":${'['.repeat(40_000)}${']'.repeat(40_000)}}`)
    await payer.sendTransfer(someTransfer())
    expect(payer.getLedgerTime().getUTCFullYear()).toBeLessThan(2060)
    line?.send(`"${'x'.repeat(9e6)}"`)
    await until(payer, 'connect', 2)
    await payer.sendTransfer(someTransfer())
  })

  test('connect and payments work on a server that does not list escrows', async () => {
    const { payer, payee } = await usePair(
      { ...fast, atServer: 'payee' },
      { request: ({ command }) => (command === 'account_objects' ? 'nothing' : undefined) }
    )
    const transfer = await prepare({ payer, payee })
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
  })

  test('plugin ignores malformed messages', async () => {
    const { payer } = await usePayer(fast, talksNonsense(always))
    await payer.sendTransfer(someTransfer())
    expect(payer.told.map(([event]) => event)).toEqual(['connect', 'outgoing_prepare'])
  })
})
