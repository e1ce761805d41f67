import { inspect } from 'node:util'
import PluginXrpEscrow, { type Message } from 'ilp-plugin-xrp-escrow'
import { describe, expect, onTestFinished, test } from 'vitest'
import { useScriptedServer } from './scripted-server.ts'
import {
  customer,
  memo,
  next,
  prefix,
  shop,
  someTransfer,
  until,
  useLedger,
  usePlugin,
  useSandbox,
  useStranger
} from './support.ts'

const named = (name: string) => expect.objectContaining({ name })
const reason = {
  code: 'F05',
  name: 'Wrong Condition',
  message: 'Unable to fulfill the condition',
  triggered_by: prefix,
  triggered_at: '2017-10-31T12:00:00.000Z',
  forwarded_by: [],
  additional_info: { more: [1] }
}

async function useBoth() {
  const ledger = await useLedger()
  const payer = await usePlugin(ledger.url)
  const payee = await usePlugin(ledger.url, { secret: shop.secret, sendRejections: true })
  return { ledger, payer, payee }
}

describe('a transfer', () => {
  test('fulfillCondition finds a transfer as soon as sendTransfer has resolved', async () => {
    const { payer, payee } = await useBoth()
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const refused = someTransfer()
    await payer.sendTransfer(refused)
    await payee.rejectIncomingTransfer(refused.id, reason)
    await until(payer, 'outgoing_reject')
    for (const plugin of [payer, payee])
      await expect(plugin.getFulfillment(refused.id)).rejects.toThrow(named('AlreadyRolledBackError'))
  })

  test('sendTransfer rejects an id that was received', async () => {
    const { payer, payee } = await useBoth()
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    const back = { ...someTransfer({ to: prefix + customer.address }), id: transfer.id }
    await expect(payee.sendTransfer(back)).rejects.toThrow(named('DuplicateIdError'))
  })

  test('conditions and fulfillments in non-canonical base64url are taken by their bytes', async () => {
    const { payer, payee } = await useBoth()
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
    const { ledger, payer } = await useBoth()
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
    const { payer, payee } = await useBoth()
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
    const { payer, payee } = await useBoth()
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    const calls: [string, () => unknown][] = [
      ['new', () => new (PluginXrpEscrow as unknown as new () => unknown)()],
      ['sendTransfer', () => payer.sendTransfer(undefined as never)],
      ['sendTransfer', () => payer.sendTransfer(null as never)],
      ['sendTransfer', () => payer.sendTransfer([] as never)],
      ['sendRequest', () => payer.sendRequest(undefined as never)],
      ['sendRequest', () => payer.sendRequest({ to: prefix + shop.address, custom: 1n } as never)],
      ['sendRequest', () => payer.sendRequest({ to: prefix + shop.address, id: {} } as never)],
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

  test.each([0, Number.NaN, Number.POSITIVE_INFINITY])(
    'is a timeout of %d: the default, or none',
    async timeout => {
      const { url } = await useLedger()
      const plugin = new PluginXrpEscrow({ server: url, secret: customer.secret })
      onTestFinished(() => plugin.disconnect())
      await plugin.connect({ timeout })
      const other = await usePlugin(url, { secret: shop.secret })
      other.registerRequestHandler(async () => ({ to: '', ilp: 'BBBB' }))
      expect(await plugin.sendRequest({ to: other.getAccount(), timeout })).toMatchObject({ ilp: 'BBBB' })
    }
  )

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

describe('no secret', () => {
  const secret = 'sEdTM1uX8pu2do5XvTnutH6HsouMaM2'
  const { secret: right } = { secret: 'sEdSKaCy2JT7JaM7v95H9SxkhP9wS2r' }
  test.each([
    ['address', { secret: right, address: secret }],
    ['account', { secret: right, account: secret }],
    ['server', { secret: right, server: secret }],
    ['prefix', { secret: right, prefix: secret }],
    ['secret', { secret: `${secret}x` }],
    [
      'credentials of a URL',
      { secret: right, server: `ws://user:${secret}@localhost:1/${secret}?key=${secret}` }
    ]
  ])('connect quotes no secret that stands in the option %s', async (_where, options) => {
    const plugin = new PluginXrpEscrow({ server: 'ws://localhost:1', ...options })
    const err = await plugin.connect().then(
      () => expect.fail('connected'),
      err => err
    )
    expect(inspect(err, { depth: 9, showHidden: true })).not.toContain(secret)
    await expect(plugin.getBalance()).rejects.toThrow(expect.not.stringContaining(secret))
  })
})

describe('maxFeeDrops', () => {
  test.each([0, -1, 1.5, Number.NaN, '10'])('connect rejects maxFeeDrops of %s', async maxFeeDrops => {
    const plugin = new PluginXrpEscrow({
      server: 'ws://localhost:1',
      secret: 'sEdTM1uX8pu2do5XvTnutH6HsouMaM2',
      maxFeeDrops: maxFeeDrops as number
    })
    await expect(plugin.connect()).rejects.toThrow(named('InvalidFieldsError'))
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
    await expect
      .poll(() => plugin.getFulfillmentFee().catch((err: Error) => err.name))
      .toBe('NotAcceptedError')
  })
})

describe('a message', () => {
  const payment = { TransactionType: 'Payment', Amount: '1' }

  async function usePair() {
    const { url } = await useLedger()
    const asking = await usePlugin(url)
    const asked = await usePlugin(url, { secret: shop.secret })
    return { url, asking, asked, to: asked.getAccount() }
  }

  test('messages in events have sender, receiver and ledger', async () => {
    const { asking, asked, to } = await usePair()
    asked.registerRequestHandler(async () => ({ to: 'nowhere', custom: { price: 10 } }))
    await asking.sendRequest({ id: 'mine', to, ilp: 'AAAA' })
    const common = { id: 'mine', ledger: prefix }
    const [there, back] = [
      { ...common, from: asking.getAccount(), to },
      { ...common, from: to, to: asking.getAccount() }
    ]
    expect((await until(asking, 'outgoing_request'))[0]).toEqual([{ ...there, ilp: 'AAAA' }])
    expect((await until(asked, 'incoming_request'))[0]).toEqual([{ ...there, ilp: 'AAAA' }])
    expect((await until(asked, 'outgoing_response'))[0]).toEqual([{ ...back, custom: { price: 10 } }])
    expect((await until(asking, 'incoming_response'))[0]).toEqual([{ ...back, custom: { price: 10 } }])
  })

  test('late responses are not answered', async () => {
    const { url, asking, asked, to } = await usePair()
    const second = await usePlugin(url)
    const answers: Message[] = []
    const handler = async (request: Message) => {
      answers.push(request)
      return { to: request.from as string }
    }
    let answerNow: () => void = () => {}
    asked.registerRequestHandler(async request => {
      await new Promise<void>(resolve => {
        answerNow = resolve
      })
      return { to: request.from as string, ilp: 'BBBB' }
    })
    asking.registerRequestHandler(handler)
    second.registerRequestHandler(handler)
    const before = BigInt(await asked.getBalance())
    await expect(asking.sendRequest({ id: 'late', to, timeout: 300 })).rejects.toThrow(
      named('NoSubscriptionsError')
    )
    await until(asked, 'incoming_request')
    answerNow()
    await until(asked, 'outgoing_response')
    const received = next(asking, 'incoming_transfer')
    const { id, amount } = someTransfer()
    await asked.sendTransfer({ id, amount, to: asking.getAccount() })
    await received
    expect(answers).toEqual([])
    // One drop came, and one went with the answer, and ten with the payment after it; twice a fee of ten.
    expect(BigInt(await asked.getBalance()) - before).toBe(1n - 1n - 10n - 20n)
  })

  test('a message of a 2017 plugin without an id is emitted as a request', async () => {
    const { url, asked } = await usePair()
    const stranger = await useStranger(url, customer.secret)
    const Memos = [memo('xrpMessage', '{"method":"quote","__proto__":{"a":1}}')]
    await stranger.submit({ ...payment, Destination: shop.address, Memos })
    const [[message] = []] = await until(asked, 'incoming_request')
    expect(message).toMatchObject({ from: prefix + customer.address, custom: { method: 'quote' } })
    expect(Object.keys((message as Message).custom as object)).toEqual(['method'])
  })

  test('sendRequest rejects messages that are too large', async () => {
    const { asking, to } = await usePair()
    await expect(asking.sendRequest({ to, ilp: 'A'.repeat(1000) })).rejects.toThrow(
      named('MaximumIlpDataSizeExceededError')
    )
    await expect(asking.sendRequest({ to, ilp: 'A', custom: 'A'.repeat(1000) })).rejects.toThrow(
      named('MaximumCustomDataSizeExceededError')
    )
  })
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
    ...[
      '{"sequence":{"toString":1}}',
      '{"sequence":{"toString":1},"reason":{"code":{},"name":1}}',
      '[]',
      'null'
    ],
    ...[
      '{"sequence":1,"reason":{"code":"F","name":"x","message":"y","forwarded_by":[{}]}}',
      '{"__proto__":1}'
    ],
    ...[
      '{"id":{"toString":1}}',
      '{"id":1}',
      '{"ilp":{"a":1}}',
      '7',
      '"x"',
      '{"custom":{"__proto__":{"x":1}}}'
    ],
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
