import { randomBytes, randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import PluginXrpEscrow, { type PluginOptions, type Transfer } from 'ilp-plugin-xrp-escrow'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { toTransaction } from '../../src/ilp-plugin-xrp-escrow/transactions.ts'
import { changesTransactions } from '../support/distorting-server.ts'
import {
  customer,
  genesis,
  ledgerTime,
  memo,
  moreLedgers,
  named,
  next,
  ownTransactions,
  prefix,
  prepare,
  reason,
  shop,
  someTransfer,
  storyOf,
  strangerOn,
  until,
  useLedger,
  usePair,
  usePlugin
} from './support.ts'

const isReal = process.env.RIPPLED_URL !== undefined

describe('a transfer', () => {
  test('prepare and fulfill emit one event each on both sides, and then getFulfillment resolves', async () => {
    const { payer, payee } = await usePair()
    const [before, shopBefore] = [await payer.getBalance(), await payee.getBalance()]
    const transfer = await prepare({ payer, payee }, { noteToSelf: { mine: true } })
    const { id, fulfillment } = transfer
    await expect(payer.getFulfillment(id)).rejects.toThrow(named('MissingFulfillmentError'))
    // Already in a listener.
    const asked = new Promise(resolve => {
      payer.on('outgoing_fulfill', () => resolve(payer.getFulfillment(id)))
    })
    await payee.fulfillCondition(id, fulfillment)
    expect(await asked).toBe(fulfillment)
    expect(await payee.getFulfillment(id)).toBe(fulfillment)
    expect(storyOf(payer.told, id)).toEqual(['outgoing_prepare', 'outgoing_fulfill'])
    expect(storyOf(payee.told, id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
    const onLedger = {
      id,
      from: prefix + customer.address,
      to: prefix + shop.address,
      ledger: prefix,
      amount: '10',
      ilp: transfer.ilp,
      executionCondition: transfer.executionCondition,
      expiresAt: `${transfer.expiresAt?.slice(0, 19)}.000Z`
    }
    // Each is told what its own transactions have cost.
    expect(payee.told.at(-1)).toEqual(['incoming_fulfill', { ...onLedger, feeDrops: '350' }, fulfillment])
    const [[prepared] = []] = await until(payer, 'outgoing_prepare')
    expect(prepared).toMatchObject({ noteToSelf: { mine: true }, feeDrops: '10' })
    expect(BigInt(before) - BigInt(await payer.getBalance())).toBe(10n + 10n)
    expect(BigInt(shopBefore) - BigInt(await payee.getBalance())).toBe(350n - 10n)
  })

  test('sendTransfer sends an unconditional transfer as a final Payment', async () => {
    const { payer, payee } = await usePair()
    const { id, to, amount, ilp } = someTransfer()
    const received = next(payee, 'incoming_transfer')
    await payer.sendTransfer({ id, to, amount, ilp: ilp as string })
    expect(await received).toMatchObject([{ id, amount, ilp, from: prefix + customer.address }])
    expect(storyOf(payer.told, id)).toEqual(['outgoing_transfer'])
    const notConditional = named('TransferNotConditionalError')
    const fulfillment = someTransfer().fulfillment
    await expect(payee.fulfillCondition(id, fulfillment)).rejects.toThrow(notConditional)
    await expect(payee.rejectIncomingTransfer(id, reason)).rejects.toThrow(notConditional)
    await expect(payee.getFulfillment(id)).rejects.toThrow(notConditional)
    await expect(payer.getFulfillment(id)).rejects.toThrow(notConditional)
  })

  test('sendTransfer to the own account emits outgoing and incoming events', async () => {
    const { payer } = await usePair()
    const transfer = await prepare({ payer, payee: payer }, { to: prefix + customer.address })
    await payer.fulfillCondition(transfer.id, transfer.fulfillment)
    const story = ['outgoing_prepare', 'incoming_prepare', 'outgoing_fulfill', 'incoming_fulfill']
    expect(storyOf(payer.told, transfer.id)).toEqual(story)
  })

  test('sendTransfer repeated with the same fields pays once, with others rejects', async () => {
    const { payer } = await usePair()
    const transfer = someTransfer()
    await Promise.all([payer.sendTransfer(transfer), payer.sendTransfer({ ...transfer })])
    await payer.sendTransfer(transfer)
    await expect(payer.sendTransfer({ ...transfer, amount: '11' })).rejects.toThrow(named('DuplicateIdError'))
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
  })

  test('fulfillCondition repeated costs one transaction', async () => {
    const both = await usePair()
    const { payee } = both
    const transfer = await prepare(both)
    await Promise.all([1, 2].map(() => payee.fulfillCondition(transfer.id, transfer.fulfillment)))
    const balance = await payee.getBalance()
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    expect(await payee.getBalance()).toBe(balance)
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
    await expect(payee.fulfillCondition(transfer.id, someTransfer().fulfillment)).rejects.toThrow(
      named('AlreadyFulfilledError')
    )
    await expect(payee.rejectIncomingTransfer(transfer.id, reason)).rejects.toThrow(
      named('AlreadyFulfilledError')
    )
  })

  test.each([
    ['in canonical form', 'A0228020'],
    ['in long-form DER', 'A081228020'],
    ['with lengths of eight bytes', 'A088000000000000002A80880000000000000020']
  ])('a fulfillment by a third party %s is emitted on both sides', async (_form, head) => {
    // The sandbox takes the canonical form only.
    const changed = changesTransactions(tx => {
      if (tx.TransactionType === 'EscrowFinish') tx.Fulfillment = head + String(tx.Fulfillment).slice(-64)
    })
    const { ledger, payer, payee } = await usePair({ atServer: 'both' }, changed)
    const transfer = await prepare({ payer, payee })
    const [{ Sequence, Condition } = {}] = await ownTransactions(ledger)
    const preimage = Buffer.from(transfer.fulfillment, 'base64url').toString('hex').toUpperCase()
    const Fulfillment = (isReal ? head : 'A0228020') + preimage
    const finish = { Owner: customer.address, OfferSequence: Sequence, Condition, Fulfillment }
    await strangerOn(ledger).submit({ TransactionType: 'EscrowFinish', ...finish })
    for (const told of [until(payer, 'outgoing_fulfill'), until(payee, 'incoming_fulfill')])
      expect((await told)[0]?.[1]).toBe(transfer.fulfillment)
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    expect(await payer.getFulfillment(transfer.id)).toBe(transfer.fulfillment)
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
    // What others have paid for costs this account nothing.
    const [[incoming] = []] = await until(payee, 'incoming_fulfill')
    expect(incoming).not.toHaveProperty('feeDrops')
  })

  test('getFulfillment reads evicted transfers from ledger history', async () => {
    const ledger = await useLedger()
    const payer = await usePlugin(ledger.url, { maxCachedTransfers: 1 })
    const payee = await usePlugin(ledger.url, { secret: shop.secret, maxCachedTransfers: 1 })
    const transfers = []
    for (let count = 0; count < 3; count++) transfers.push(await prepare({ payer, payee }))
    await Promise.all(transfers.map(({ id, fulfillment }) => payee.fulfillCondition(id, fulfillment)))
    await until(payer, 'outgoing_fulfill', 3)
    for (const { id, fulfillment } of transfers) {
      expect(await payer.getFulfillment(id)).toBe(fulfillment)
      expect(await payee.getFulfillment(id)).toBe(fulfillment)
    }
    await expect(payer.getFulfillment(randomUUID())).rejects.toThrow(named('TransferNotFoundError'))
  })
})

describe('an expiry', () => {
  test('an expired transfer is canceled by ledger time and refunded', async () => {
    const { ledger, payer, payee } = await usePair({ closeIntervalMs: 20 })
    const before = await payer.getBalance()
    const transfer = await prepare({ payer, payee }, { expiresAt: await ledgerTime(ledger, 40) })
    const [cancelled] = await until(payer, 'outgoing_cancel')
    expect(cancelled).toMatchObject([
      { id: transfer.id, feeDrops: '20' },
      { code: 'R00', name: 'Transfer Timed Out' }
    ])
    await until(payee, 'incoming_cancel')
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare', 'outgoing_cancel'])
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_cancel'])
    // The escrow's fee, and one cancel's.
    expect(BigInt(before) - BigInt(await payer.getBalance())).toBe(20n)
    const rolledBack = named('AlreadyRolledBackError')
    await expect(payee.fulfillCondition(transfer.id, transfer.fulfillment)).rejects.toThrow(rolledBack)
    await expect(payer.getFulfillment(transfer.id)).rejects.toThrow(rolledBack)
    await payee.rejectIncomingTransfer(transfer.id, reason)
  })

  test('plugin cancels expired transfers of an earlier run and follows the others', async () => {
    const ledger = await useLedger({ closeIntervalMs: 20 })
    const payee = await usePlugin(ledger.url, { secret: shop.secret })
    const crashed = await usePlugin(ledger.url)
    const before = await crashed.getBalance()
    const transfer = someTransfer({ expiresAt: await ledgerTime(ledger, 40) })
    const later = someTransfer()
    await Promise.all([crashed.sendTransfer(transfer), crashed.sendTransfer(later)])
    await until(payee, 'incoming_prepare', 2)
    await crashed.disconnect()
    await until(payee, 'incoming_cancel')

    const payer = await usePlugin(ledger.url)
    const [cancelled] = await until(payer, 'outgoing_cancel')
    expect(cancelled?.[0]).toMatchObject({
      id: transfer.id,
      amount: '10',
      ilp: transfer.ilp,
      feeDrops: '20'
    })
    // The one that has not expired is taken up as well, by both sides.
    await payee.fulfillCondition(later.id, later.fulfillment)
    expect((await until(payer, 'outgoing_fulfill'))[0]).toMatchObject([{ id: later.id }, later.fulfillment])
    expect(payer.told.map(([event]) => event)).toEqual(['connect', 'outgoing_cancel', 'outgoing_fulfill'])
    expect(BigInt(before) - BigInt(await payer.getBalance())).toBe(10n + 10n + 10n + 10n)
  })
})

describe('a rejection', () => {
  test('rejectIncomingTransfer emits incoming_reject once and costs the payee nothing', async () => {
    const { ledger, payer, payee } = await usePair({ closeIntervalMs: 20 })
    const transfer = await prepare({ payer, payee }, { expiresAt: await ledgerTime(ledger, 40) })
    await payer.disconnect()
    await payee.rejectIncomingTransfer(transfer.id, reason)
    await payee.rejectIncomingTransfer(transfer.id, reason)
    expect(payee.told.at(-1)).toEqual([
      'incoming_reject',
      expect.objectContaining({ id: transfer.id }),
      reason
    ])
    await expect(payee.fulfillCondition(transfer.id, transfer.fulfillment)).rejects.toThrow(
      named('AlreadyRolledBackError')
    )
    const before = await payee.getBalance()
    const longAfter = (await ledger.newest()).timeMs + 60_000
    while ((await ledger.newest()).timeMs < longAfter) await ledger.closeLedger()
    expect(await payee.getBalance()).toBe(before)
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_reject'])
  })

  test.each([
    ['as the interface has it', {}],
    ['as ilp-compat-plugin gives it', { forwarded_by: '', triggered_at: new Date() }]
  ])('sendRejections sends the reason to the payer, %s', async (_how, fields) => {
    const { payer, payee } = await usePair({ shopOptions: { sendRejections: true } })
    const transfer = await prepare({ payer, payee })
    await payee.rejectIncomingTransfer(transfer.id, { ...reason, ...(fields as object) })
    expect((await until(payer, 'outgoing_reject'))[0]).toEqual([
      expect.objectContaining({ id: transfer.id }),
      { ...reason, triggered_at: expect.any(String) }
    ])
    for (const plugin of [payer, payee])
      await expect(plugin.getFulfillment(transfer.id)).rejects.toThrow(named('AlreadyRolledBackError'))
  })

  test('outgoing_reject is emitted for the receiver only, and has no fields that the reason lacks', async () => {
    const both = await usePair()
    const transfer = await prepare(both)
    const [{ Sequence: sequence } = {}] = await ownTransactions(both.ledger)
    const { forwarded_by: _, ...rest } = reason
    for (const [secret, reason] of [
      [genesis.secret, { ...rest, message: 'of a stranger' }],
      [shop.secret, rest]
    ] as const) {
      const Memos = [memo('xrpRejection', JSON.stringify({ sequence, reason }))]
      const payment = { TransactionType: 'Payment', Destination: customer.address, Amount: '1', Memos }
      await strangerOn(both.ledger, secret).submit(payment)
      await moreLedgers(both.ledger, 1)
    }
    const [told, ...more] = await until(both.payer, 'outgoing_reject')
    expect(told).toStrictEqual([expect.objectContaining({ id: transfer.id }), rest])
    expect(more).toEqual([])
  })

  test('rejectIncomingTransfer rejects for the payer and for unknown ids', async () => {
    const both = await usePair()
    const { id } = await prepare(both)
    await expect(both.payer.rejectIncomingTransfer(id, reason)).rejects.toThrow(named('NotAcceptedError'))
    await expect(both.payer.rejectIncomingTransfer(randomUUID(), reason)).rejects.toThrow(
      named('TransferNotFoundError')
    )
  })
})

describe('before anything is signed', () => {
  const { id, to, executionCondition, expiresAt } = someTransfer()
  const rows: [string, object, string][] = [
    ['an id that is no UUID', { id: 'letter-0' }, '"letter-0"'],
    ['no id', { id: undefined }, '"undefined"'],
    ['half a drop', { amount: '10.5' }, '"10.5"'],
    ['a number as amount', { amount: 10 }, '"10"'],
    ['a negative amount', { amount: '-1' }, '"-1"'],
    ['2^64 drops', { amount: '18446744073709551616' }, '"18446744073709551616"'],
    ['more than there is', { amount: '100000000000000001' }, '"100000000000000001"'],
    ['nothing at all', { amount: '0' }, '"0"'],
    ['another ledger in the address', { to: `g.crypto.${shop.address}` }, `"g.crypto.${shop.address}"`],
    ['no account in the address', { to: `${prefix}shop` }, `"${prefix}shop"`],
    ['spaces in the address', { to: `${to} x` }, `"${to} x"`],
    ['another sender', { from: prefix + shop.address }, `"${prefix}${shop.address}"`],
    ['another ledger', { ledger: 'g.crypto.' }, '"g.crypto."'],
    ['a condition of 31 bytes', { executionCondition: 'A'.repeat(42) }, `"${'A'.repeat(42)}"`],
    ['a condition of 33 bytes', { executionCondition: 'A'.repeat(44) }, `"${'A'.repeat(44)}"`],
    [
      'a condition in plain base64',
      { executionCondition: `${executionCondition}=` },
      `"${executionCondition}="`
    ],
    ...['soon', '2017', '31.10.2117', '2117-13-31T12:00:00Z', '2136-02-07T06:28:16Z'].map(
      (time): [string, object, string] => [`an expiry of ${time}`, { expiresAt: time }, `"${time}"`]
    ),
    ['an expiry in the past', { expiresAt: '2017-10-31T12:00:00Z' }, '"2017-10-31T12:00:00Z"'],
    ['a condition without an expiry', { expiresAt: undefined }, id],
    ['a packet that is not base64url', { ilp: 'Ä' }, '"Ä"']
  ]
  test('sendTransfer rejects invalid fields and quotes their values', async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const plugin = await usePlugin(ledger.url)
    for (const [what, fields, value] of rows) {
      const transfer = { id, to, amount: '10', executionCondition, expiresAt, ...fields } as Transfer
      const err: Error = await plugin.sendTransfer(transfer).then(
        () => expect.fail(what),
        err => err
      )
      expect([what, err.name]).toEqual([what, 'InvalidFieldsError'])
      expect(err.message).toContain(value)
    }
    await ledger.closeLedger()
    expect(await ledger.transactionsOf(customer.address)).toHaveLength(1)
  })

  test('sendTransfer accepts a packet of 908 characters and rejects one of 909', async () => {
    const { url } = await useLedger()
    const plugin = await usePlugin(url)
    await expect(plugin.sendTransfer(someTransfer({ ilp: 'A'.repeat(909) }))).rejects.toThrow(
      named('MaximumIlpDataSizeExceededError')
    )
    await plugin.sendTransfer(someTransfer({ ilp: 'A'.repeat(908) }))
  })

  test('fulfillCondition rejects a wrong fulfillment at no cost', async () => {
    const both = await usePair()
    const { payee } = both
    const transfer = await prepare(both)
    const before = await payee.getBalance()
    const wrong = randomBytes(32).toString('base64url')
    await expect(payee.fulfillCondition(transfer.id, wrong)).rejects.toThrow(named('NotAcceptedError'))
    await expect(payee.fulfillCondition(transfer.id, 'short')).rejects.toThrow(named('InvalidFieldsError'))
    await expect(payee.fulfillCondition(randomUUID(), wrong)).rejects.toThrow(named('TransferNotFoundError'))
    await expect(both.payer.fulfillCondition(transfer.id, wrong)).rejects.toThrow(named('NotAcceptedError'))
    expect(await payee.getBalance()).toBe(before)
  })
})

describe('what the ledger refuses', () => {
  test.each([
    ['more than the account has', { amount: '99999999999' }, 'InsufficientBalanceError', 'tecUNFUNDED'],
    [
      'an account that does not exist',
      { to: `${prefix}rEwRpE8w41M6GQm6Cr6zR3DkPxWQ193nMS` },
      'AccountNotFoundError',
      'tecNO_DST'
    ]
  ])(
    'sendTransfer of %s rejects with the error of the interface',
    async (_what, fields, name, engineResult) => {
      const { payer } = await usePair()
      const transfer = someTransfer(fields)
      const err: Error = await payer.sendTransfer(transfer).then(
        () => expect.fail('sent'),
        err => err
      )
      expect(err.name).toBe(name)
      expect(err.message).toContain(transfer.id)
      expect(err.message).toContain(engineResult)
      // The same again gets the same outcome, and what comes after it is not held up.
      await expect(payer.sendTransfer(transfer)).rejects.toBe(err)
      await payer.sendTransfer(someTransfer())
    }
  )

  test('sendTransfer of a Payment to the own account rejects with the engine result', async () => {
    const { payer } = await usePair()
    const { id, amount } = someTransfer()
    const sent = payer.sendTransfer({ id, amount, to: prefix + customer.address })
    await expect(sent).rejects.toThrow(/^Transfer ".+" was not accepted \(temREDUNDANT: /)
    await payer.sendTransfer(someTransfer())
  })
})

describe('connecting', () => {
  const { secret } = customer
  const other = 'sEdTM1uX8pu2do5XvTnutH6HsouMaM2'
  type Row = [what: string, options: Record<string, unknown>, error: string]
  const rows: Row[] = [
    ['no secret', { secret: '' }, 'InvalidFieldsError'],
    ['a secret that is none', { secret: 'shhhhhhhhhhhhhhhhhhhhhhhhhhhh' }, 'InvalidFieldsError'],
    ['another account', { secret, address: shop.address }, 'InvalidFieldsError'],
    ['another account by its other name', { secret, account: shop.address }, 'InvalidFieldsError'],
    ['no server', { secret, server: '' }, 'InvalidFieldsError'],
    ['a server that is no WebSocket', { secret, server: 'http://localhost' }, 'InvalidFieldsError'],
    ['a prefix without its dot', { secret, prefix: 'test.crypto.xrp' }, 'InvalidFieldsError'],
    ['a server that is not there', { secret, server: 'ws://localhost:1' }, 'UnreachableError'],
    ['an account without money', { secret: other }, 'AccountNotFoundError'],
    ['a mistyped secret', { secret: `${other}x` }, 'InvalidFieldsError'],
    ['a secret as address', { secret, address: other }, 'InvalidFieldsError'],
    ['a secret as account', { secret, account: other }, 'InvalidFieldsError'],
    ['a secret as server', { secret, server: other }, 'InvalidFieldsError'],
    ['a secret as prefix', { secret, prefix: other }, 'InvalidFieldsError'],
    ['secrets in its URL', { secret, server: `ws://user:${other}@localhost:1/${other}` }, 'UnreachableError'],
    ...[0, -1, 1.5, Number.NaN, '10'].map((maxFeeDrops): Row => {
      return [`maxFeeDrops of ${maxFeeDrops}`, { secret, maxFeeDrops }, 'InvalidFieldsError']
    })
  ]
  test('connect rejects invalid options without quoting a secret', async () => {
    const ledger = await useLedger()
    for (const [what, options, name] of rows) {
      const plugin = new PluginXrpEscrow({ server: ledger.url, ...options } as PluginOptions)
      const err: Error = await plugin.connect().then(
        () => expect.fail(what),
        err => err
      )
      expect([what, err.name]).toEqual([what, name])
      const balanceErr = await plugin.getBalance().catch(err => err)
      const shown = inspect([err, balanceErr], { depth: 9, showHidden: true })
      for (const hidden of [options.secret, other]) if (hidden) expect(shown).not.toContain(hidden)
      expect(plugin.isConnected()).toBe(false)
    }
  })

  test('connect ignores options that are null', async () => {
    const ledger = await useLedger()
    const options = { _store: null, prefix: null, address: null, maxFeeDrops: null } as object
    const plugin = await usePlugin(ledger.url, options)
    expect(plugin.getInfo().prefix).toBe(prefix)
  })

  test('connect rejects a timeout that is not a number with a TypeError', async () => {
    const plugin = new PluginXrpEscrow({ server: 'ws://localhost:1', secret })
    await expect(plugin.connect({ timeout: 'soon' as never })).rejects.toThrow(TypeError)
  })

  test('methods of a plugin that is not connected fail with UnreachableError', async () => {
    const plugin = new PluginXrpEscrow({ server: 'ws://localhost:1', secret })
    const unreachable = named('UnreachableError')
    expect(plugin.isConnected()).toBe(false)
    expect(() => plugin.getInfo()).toThrow(unreachable)
    expect(() => plugin.getAccount()).toThrow(unreachable)
    expect(() => plugin.getLedgerTime()).toThrow(unreachable)
    await expect(plugin.getBalance()).rejects.toThrow(unreachable)
    await expect(plugin.sendTransfer(someTransfer())).rejects.toThrow(unreachable)
    await expect(plugin.getFulfillment(randomUUID())).rejects.toThrow(unreachable)
    await expect(plugin.sendRequest({ to: prefix + shop.address })).rejects.toThrow(unreachable)
  })

  test('getInfo, getAccount, getBalance and getLedgerTime describe ledger and account', async () => {
    const ledger = await useLedger()
    const plugin = await usePlugin(ledger.url, { prefix: 'g.crypto.ripple.', account: customer.address })
    expect(plugin.getInfo()).toEqual({
      prefix: 'g.crypto.ripple.',
      currencyCode: 'XRP',
      currencyScale: 6,
      connectors: []
    })
    expect(plugin.getAccount()).toBe(`g.crypto.ripple.${customer.address}`)
    expect(await plugin.getBalance()).toBe('10000000000')
    expect(Math.abs(plugin.getLedgerTime().getTime() - (await ledger.newest()).timeMs)).toBeLessThan(60_000)
  })

  test('inspecting a plugin shows no secret', async () => {
    const ledger = await useLedger()
    const plugin = await usePlugin(ledger.url)
    expect(inspect(plugin, { depth: 20, showHidden: true })).not.toContain(secret)
    expect(JSON.stringify(plugin)).not.toContain(secret)
  })
})

describe('what comes from strangers', () => {
  const uuid = 'd86b0299-e2fa-4713-833a-96a6a75271b8'
  const condition = `A0258020${'AB'.repeat(32)}810120`
  const toShop = (fields: object) => ({ Destination: shop.address, Amount: '10', ...fields })
  const payment = (...Memos: object[]) => toShop({ TransactionType: 'Payment', Memos })
  const escrow = (Memos: object[], fields: object = {}) => {
    const create = { TransactionType: 'EscrowCreate', Condition: condition, CancelAfter: 1_000_000_000 }
    return toShop({ ...create, Memos, ...fields })
  }
  const proper = [memo('xrpIlp', 'AAAA'), memo('xrpId', uuid)]
  const junk = (fields: Record<string, unknown>) => ({
    Memo: { MemoType: '6A756E6B', MemoData: 'FFFE', ...fields }
  })
  const memoTypes = ['xrpRejection', 'xrpMessage', 'xrpMessageId', 'xrpId', 'xrpIlp']
  // In every memo that the plugin reads.
  const odd = () =>
    [
      '{"sequence":{"toString":1}}',
      '{"sequence":{"toString":1},"reason":{"code":{},"name":1}}',
      '[]',
      'null',
      '{"sequence":1,"reason":{"code":"F","name":"x","message":"y","forwarded_by":[{}]}}',
      '{"__proto__":1}',
      '{"id":{"toString":1}}',
      '{"id":1}',
      '{"ilp":{"a":1}}',
      '7',
      '"x"',
      '{"custom":{"__proto__":{"x":1}}}',
      '{'
    ].map(data => payment(...memoTypes.map(type => memo(type, data))))

  test('plugin ignores hostile transactions that are not transfers', async () => {
    const { ledger, payee } = await usePair({ closeIntervalMs: 0 })
    payee.registerRequestHandler(async request => ({ to: request.from as string }))
    const stranger = strangerOn(ledger)
    const hostile: Record<string, unknown>[] = [
      payment(),
      payment(junk({}), junk({ MemoType: undefined }), junk({ MemoData: undefined })),
      payment(memo('xrpMessage', `{"id":"${'x'.repeat(400)}"}`)),
      payment(memo('xrpMessage', '[]'), memo('xrpRejection', '{"sequence":{},"reason":7}')),
      ...odd(),
      escrow([]),
      escrow([junk({})]),
      escrow([memo('xrpIlp', 'A'.repeat(900))]),
      escrow([memo('xrpId', 'constructor')]),
      escrow([junk({ MemoType: memo('xrpId', '').Memo.MemoType })]),
      escrow(proper, { CancelAfter: undefined, FinishAfter: 999_999_999 }),
      escrow(proper, { FinishAfter: 999_999_999 }),
      escrow(proper, { Condition: undefined, FinishAfter: 999_999_999 })
    ]
    for (const tx of hostile)
      expect([tx, await stranger.submit(tx)]).toMatchObject([tx, { engine_result: 'tesSUCCESS' }])
    await stranger.submit(
      escrow([memo('xrpIlp', 'not base64url!'), memo('xrpId', uuid)], { DestinationTag: 7 })
    )
    await ledger.closeLedger()
    await until(payee, 'incoming_prepare')
    expect(payee.told.filter(([event]) => !/request|response/.test(event))).toEqual([
      ['connect'],
      ['incoming_prepare', expect.objectContaining({ id: uuid, ilp: '', from: prefix + genesis.address })]
    ])
  })

  test("a stranger's transfer with the same id gets another id", async () => {
    const { ledger, payer, payee } = await usePair()
    const stranger = strangerOn(ledger)
    const transfer = someTransfer({ amount: '1000' })
    const copy = toTransaction({ ...transfer, amount: '1' }, genesis.address, prefix)
    const sent = payer.sendTransfer(transfer)
    await stranger.submit(copy)
    await sent
    await stranger.submit(copy)
    const prepared = (await until(payee, 'incoming_prepare', 3)).map(([told]) => told as Transfer)
    expect(new Set(prepared.map(({ id }) => id)).size).toBe(3)
    const real = prepared.find(({ amount }) => amount === '1000') as Transfer
    await payee.fulfillCondition(real.id, transfer.fulfillment)
    const [fulfilled] = await until(payer, 'outgoing_fulfill')
    expect(fulfilled).toMatchObject([{ id: transfer.id, amount: '1000' }, transfer.fulfillment])
    expect(storyOf(payee.told, real.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
  })

  test('transfers with one id, or with a guessed one, get ids of their own', async () => {
    const { ledger, payee } = await usePair({ closeIntervalMs: 0 })
    const [stranger, victim] = [strangerOn(ledger), strangerOn(ledger, customer.secret)]
    const create = (id: string, Amount: string) =>
      escrow([memo('xrpIlp', 'AAAA'), memo('xrpId', id)], { Amount })
    const id = randomUUID()
    const real = await victim.sign(create(id, '1000'))
    // Whoever sees the transaction before it is in a ledger knows its id, and all that can be made of its hash.
    const guessed = real.hash
      .toLowerCase()
      .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-8$3-a$4-$5')
    for (const taken of [id, guessed]) {
      await stranger.submit(create(taken, '1'))
      await ledger.closeLedger()
    }
    await victim.submitBlob(real.blob)
    await ledger.closeLedger()
    const prepared = (await until(payee, 'incoming_prepare', 3)).map(([told]) => told as Transfer)
    expect(prepared.map(({ amount }) => amount)).toEqual(['1', '1', '1000'])
    expect(new Set(prepared.map(told => told.id)).size).toBe(3)
    expect(prepared[0]?.from).toBe(prefix + genesis.address)
  })
})

describe('a host', () => {
  test('plugin survives listeners that throw', async () => {
    const both = await usePair()
    both.payee.prependListener('incoming_prepare', () => {
      throw new Error('The host is at fault')
    })
    both.payee.prependListener('incoming_prepare', async () => {
      throw new Error('The host is at fault again')
    })
    const transfer = await prepare(both)
    await both.payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const faults = both.payee.told
      .filter(([event]) => event === 'error')
      .map(([, err]) => (err as Error).message)
    expect(faults).toEqual(['The host is at fault', 'The host is at fault again'])
  })

  test('errors of listeners become warnings if nobody listens to error', async () => {
    const ledger = await useLedger()
    const plugin = new PluginXrpEscrow({ server: ledger.url, secret: customer.secret })
    onTestFinished(() => plugin.disconnect())
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warn.mockRestore())
    const fault = new Error('The host is at fault')
    plugin.on('connect', () => {
      throw fault
    })
    await plugin.connect()
    expect(warn.mock.calls).toEqual([[fault]])
  })

  test('two plugins on one account send twenty transfers once each', async () => {
    const { ledger, payer, payee } = await usePair()
    const other = await usePlugin(ledger.url)
    const transfers = Array.from({ length: 20 }, () => someTransfer())
    await Promise.all(transfers.map((transfer, index) => (index % 2 ? payer : other).sendTransfer(transfer)))
    const prepared = await until(payee, 'incoming_prepare', 20)
    expect(prepared.map(([told]) => (told as Transfer).id).sort()).toEqual(
      transfers.map(({ id }) => id).sort()
    )
    for (const plugin of [payer, other]) {
      await until(plugin, 'outgoing_prepare', 20)
      for (const { id } of transfers) expect(storyOf(plugin.told, id)).toEqual(['outgoing_prepare'])
    }
  })
})

test('plugin names the network ID in its transactions', async () => {
  const { payer, payee } = await usePair({ networkId: 21_337 })
  const transfer = await prepare({ payer, payee })
  await payee.fulfillCondition(transfer.id, transfer.fulfillment)
})
