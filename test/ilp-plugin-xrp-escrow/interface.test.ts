import PluginXrpEscrow, { type Message } from 'ilp-plugin-xrp-escrow'
import { describe, expect, onTestFinished, test } from 'vitest'
import { useScriptedServer } from './scripted-server.ts'
import {
  customer,
  memo,
  named,
  next,
  prefix,
  shop,
  someTransfer,
  until,
  useLedger,
  usePair,
  usePlugin,
  useSandbox,
  useStranger
} from './support.ts'

describe('a transfer', () => {
  test('sendTransfer rejects an id that was received', async () => {
    const { payer, payee } = await usePair()
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    const back = { ...someTransfer({ to: prefix + customer.address }), id: transfer.id }
    await expect(payee.sendTransfer(back)).rejects.toThrow(named('DuplicateIdError'))
  })

  test('conditions and fulfillments in non-canonical base64url are taken by their bytes', async () => {
    const { payer, payee } = await usePair()
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const stray = (text: string) => text.slice(0, -1) + alphabet[alphabet.indexOf(text.slice(-1)) + 1]
    const transfer = someTransfer()
    const executionCondition = stray(transfer.executionCondition as string)
    await payer.sendTransfer({ ...transfer, executionCondition })
    await payee.fulfillCondition(transfer.id, stray(transfer.fulfillment))
    expect(await payee.getFulfillment(transfer.id)).toBe(transfer.fulfillment)
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const [[told, fulfillment] = []] = await until(payer, 'outgoing_fulfill')
    expect(told).toMatchObject({ id: transfer.id, executionCondition })
    expect(fulfillment).toBe(transfer.fulfillment)
    expect(await payer.getFulfillment(transfer.id)).toBe(transfer.fulfillment)
  })

  test('fulfillCondition fulfills an escrow that was made with a ticket', async () => {
    const ledger = await useLedger()
    const payee = await usePlugin(ledger.url, { secret: shop.secret })
    const stranger = await useStranger(ledger.url)
    const before = BigInt(await payee.getBalance())
    const { tx_json } = await stranger.submit({ TransactionType: 'TicketCreate', TicketCount: 1 })
    await stranger.nextLedger()
    const { id, fulfillment, executionCondition = '', expiresAt = '' } = someTransfer()
    const condition = Buffer.from(executionCondition, 'base64url').toString('hex').toUpperCase()
    const create = {
      TransactionType: 'EscrowCreate',
      Destination: shop.address,
      Amount: '1000',
      Condition: `A0258020${condition}810120`,
      CancelAfter: Math.floor(Date.parse(expiresAt) / 1000) - 946_684_800,
      Sequence: 0,
      TicketSequence: Number(tx_json.Sequence) + 1,
      Memos: [memo('xrpIlp', 'AAAA'), memo('xrpId', id)]
    }
    expect((await stranger.submit(create)).engine_result).toBe('tesSUCCESS')
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(id, fulfillment)
    expect(BigInt(await payee.getBalance()) - before).toBe(1000n - 350n)
  })

  test('incoming transfers of an earlier run are not announced', async () => {
    const { ledger, payer } = await usePair()
    const [earlier, now] = [someTransfer(), someTransfer()]
    await payer.sendTransfer(earlier)
    const later = await usePlugin(ledger.url, { secret: shop.secret })
    await payer.sendTransfer(now)
    await until(later, 'incoming_prepare')
    expect(later.told.map(([event]) => event)).toEqual(['connect', 'incoming_prepare'])
    await expect(later.fulfillCondition(earlier.id, earlier.fulfillment)).rejects.toThrow(
      named('TransferNotFoundError')
    )
  })

  test('each listener gets its own copy of a transfer', async () => {
    const { payer, payee } = await usePair()
    const transfer = someTransfer({ noteToSelf: { list: [1] } })
    for (const [plugin, event] of [
      [payer, 'outgoing_prepare'],
      [payee, 'incoming_prepare']
    ] as const) {
      plugin.prependListener(event, told => {
        told.amount = '1000000'
        told.id = 'another'
        ;((told.noteToSelf ?? {}) as { list?: number[] }).list?.push(2)
      })
    }
    const given = { ...transfer }
    const sent = payer.sendTransfer(given)
    given.amount = '7'
    await sent
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const [[told] = []] = await until(payer, 'outgoing_fulfill')
    expect(told).toMatchObject({ id: transfer.id, amount: '10', noteToSelf: { list: [1] } })
  })
})

describe('what is left out or makes no sense', () => {
  test('methods reject missing and malformed arguments with errors of the interface', async () => {
    const { payer, payee } = await usePair()
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    const to = prefix + shop.address
    const calls: [string, () => unknown][] = [
      ['new', () => new (PluginXrpEscrow as unknown as new () => unknown)()],
      ['sendTransfer', () => payer.sendTransfer(undefined as never)],
      ['sendTransfer', () => payer.sendTransfer(null as never)],
      ['sendTransfer', () => payer.sendTransfer([] as never)],
      ['sendRequest', () => payer.sendRequest(undefined as never)],
      ['sendRequest', () => payer.sendRequest({ to, custom: 1n } as never)],
      ['sendRequest', () => payer.sendRequest({ to, id: {} } as never)],
      ['sendRequest', () => payer.sendRequest({ to, timeout: 'soon' } as never)],
      ['sendRequest', () => payer.sendRequest({ to, ledger: 'g.crypto.' } as never)],
      ['sendRequest', () => payer.sendRequest({ to: 'shop' })],
      ['fulfillCondition', () => payee.fulfillCondition(transfer.id, undefined as never)],
      ['rejectIncomingTransfer', () => payee.rejectIncomingTransfer(transfer.id, undefined as never)],
      ['registerRequestHandler', () => payee.registerRequestHandler(undefined as never)]
    ]
    for (const [name, call] of calls) {
      const err = await (async () => call())().then(
        () => 'none',
        (err: Error) => err.name
      )
      expect([name, err]).toEqual([name, 'InvalidFieldsError'])
    }
    const notFound = named('TransferNotFoundError')
    await expect(payee.getFulfillment(undefined as never)).rejects.toThrow(notFound)
    await expect(payee.fulfillCondition(undefined as never, transfer.fulfillment)).rejects.toThrow(notFound)
  })

  test('timeouts of 0 and NaN are the default, and Infinity is none', async () => {
    const { payer, payee } = await usePair()
    payee.registerRequestHandler(async () => ({ to: '', ilp: 'BBBB' }))
    for (const timeout of [0, Number.NaN, Number.POSITIVE_INFINITY]) {
      await payer.disconnect()
      await payer.connect({ timeout })
      expect(await payer.sendRequest({ to: payee.getAccount(), timeout })).toMatchObject({ ilp: 'BBBB' })
    }
  })

  test('errors of a server become errors of the interface', async () => {
    const { url } = await useLedger()
    let isRefusing = false
    const server = await useScriptedServer(
      { url },
      {
        request: ({ command }) =>
          isRefusing && command !== 'ping'
            ? { error: 'noPermission', error_message: 'You may not' }
            : undefined
      }
    )
    const plugin = await usePlugin(server.url)
    isRefusing = true
    const notAccepted = named('NotAcceptedError')
    await expect(plugin.getBalance()).rejects.toThrow(notAccepted)
    await expect(plugin.getFulfillmentFee()).rejects.toThrow(notAccepted)
    await expect(plugin.getFulfillment('no such id')).rejects.toThrow(notAccepted)
    const other = new PluginXrpEscrow({ server: server.url, secret: customer.secret })
    await expect(other.connect()).rejects.toThrow(named('UnreachableError'))
  })
})

test('getFulfillmentFee rejects a fee beyond maxFeeDrops', async () => {
  const { url } = await useLedger()
  let factor = 1
  const server = await useScriptedServer(
    { url },
    {
      request: ({ command }) =>
        command === 'fee' ? { drops: { base_fee: '10', open_ledger_fee: String(10 * factor) } } : undefined
    }
  )
  const plugin = await usePlugin(server.url, { secret: shop.secret, maxFeeDrops: 700 })
  expect(await plugin.getFulfillmentFee()).toBe('350')
  factor = 2.5
  await expect.poll(() => plugin.getFulfillmentFee().catch((err: Error) => err.name)).toBe('NotAcceptedError')
})

test('plugin survives hostile memos', async () => {
  const sandbox = await useSandbox({ closeIntervalMs: 0 })
  const payee = await usePlugin(sandbox.url, { secret: shop.secret })
  const handled: Message[] = []
  payee.registerRequestHandler(async request => {
    handled.push(request)
    return undefined as never
  })
  const stranger = await useStranger(sandbox.url)
  const odd = [
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
    `{"id":"${'x'.repeat(400)}"}`
  ]
  for (const data of odd) {
    const types = ['xrpRejection', 'xrpMessage', 'xrpMessageId', 'xrpId', 'xrpIlp']
    const Memos = types.map(type => memo(type, data)).slice(0, data.length > 100 ? 2 : 5)
    await stranger.submit({ TransactionType: 'Payment', Amount: '1', Destination: shop.address, Memos })
    sandbox.ledger.close()
  }
  const transfer = someTransfer()
  const payer = await usePlugin(sandbox.url)
  const close = setInterval(() => sandbox.ledger.close(), 10)
  onTestFinished(() => clearInterval(close))
  await payer.sendTransfer(transfer)
  await payee.fulfillCondition(transfer.id, transfer.fulfillment)
  expect(payee.isConnected()).toBe(true)
})

test.each(['when that was told', 'before that is told'])(
  'a transfer that has expired is not fulfilled at the cost of a fee, %s',
  async moment => {
    const sandbox = await useSandbox({ closeIntervalMs: 0 })
    const payer = await usePlugin(sandbox.url)
    const payee = await usePlugin(sandbox.url, { secret: shop.secret })
    const { closeTime } = sandbox.ledger.closedHeader
    const expiresAt = new Date((closeTime + 946_684_800 + 5) * 1000).toISOString()
    const transfer = someTransfer({ expiresAt })
    const told = next(payee, 'incoming_prepare')
    const sent = payer.sendTransfer(transfer)
    while (sandbox.ledger.openTransactions.size < 1) await new Promise(setImmediate)
    sandbox.ledger.close()
    await Promise.all([sent, told])
    const balance = await payee.getBalance()
    while (sandbox.ledger.closedHeader.closeTime < closeTime + 5) sandbox.ledger.close()
    // An answer comes after all that was told before it.
    if (moment === 'when that was told') await payee.getBalance()
    await expect(payee.fulfillCondition(transfer.id, transfer.fulfillment)).rejects.toThrow(
      named('AlreadyRolledBackError')
    )
    sandbox.ledger.close()
    expect(await payee.getBalance()).toBe(balance)
  }
)
