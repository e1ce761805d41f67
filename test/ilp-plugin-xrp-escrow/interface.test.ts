import PluginXrpEscrow, { type Message } from 'ilp-plugin-xrp-escrow'
import { describe, expect, test } from 'vitest'
import { toTransaction } from '../../src/ilp-plugin-xrp-escrow/transactions.ts'
import {
  customer,
  genesis,
  memo,
  moreLedgers,
  named,
  next,
  openTransactions,
  prefix,
  prepare,
  shop,
  someTransfer,
  strangerOn,
  until,
  useLedger,
  usePair,
  usePayer,
  usePlugin,
  useServer
} from './support.ts'

describe('a transfer', () => {
  test('sendTransfer rejects an id that was received', async () => {
    const { payer, payee } = await usePair()
    const transfer = await prepare({ payer, payee })
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
    const stranger = strangerOn(ledger)
    const before = BigInt(await payee.getBalance())
    const { Sequence } = await stranger.submit({ TransactionType: 'TicketCreate', TicketCount: 1 })
    await moreLedgers(ledger, 1)
    const transfer = someTransfer({ amount: '1000' })
    const create = toTransaction(transfer, genesis.address, prefix)
    const ticket = { Sequence: 0, TicketSequence: Sequence + 1 }
    expect((await stranger.submit({ ...create, ...ticket })).engine_result).toBe('tesSUCCESS')
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
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

  test.each(['after incoming_cancel', 'before incoming_cancel'])(
    'a transfer that has expired is not fulfilled at the cost of a fee, %s',
    async moment => {
      const { ledger, payer, payee } = await usePair({ closeIntervalMs: 0 })
      const expiresMs = (await ledger.newest()).timeMs + 5_000
      const transfer = someTransfer({ expiresAt: new Date(expiresMs).toISOString() })
      const told = next(payee, 'incoming_prepare')
      const sent = payer.sendTransfer(transfer)
      await openTransactions(ledger, 1)
      await ledger.closeLedger()
      await Promise.all([sent, told])
      const balance = await payee.getBalance()
      while ((await ledger.newest()).timeMs < expiresMs) await ledger.closeLedger()
      // An answer comes after all that was told before it.
      if (moment === 'after incoming_cancel') await payee.getBalance()
      await expect(payee.fulfillCondition(transfer.id, transfer.fulfillment)).rejects.toThrow(
        named('AlreadyRolledBackError')
      )
      await ledger.closeLedger()
      expect(await payee.getBalance()).toBe(balance)
    }
  )
})

describe('invalid input', () => {
  test('methods reject missing and malformed arguments with errors of the interface', async () => {
    const { payer, payee } = await usePair()
    const transfer = await prepare({ payer, payee })
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
    const { server, payer: plugin } = await usePayer()
    const refusal = { error: 'noPermission', error_message: 'You may not' }
    server.distortions = [{ request: ({ command }) => (command === 'ping' ? undefined : refusal) }]
    const notAccepted = named('NotAcceptedError')
    await expect(plugin.getBalance()).rejects.toThrow(notAccepted)
    await expect(plugin.getFulfillmentFee()).rejects.toThrow(notAccepted)
    await expect(plugin.getFulfillment('no such id')).rejects.toThrow(notAccepted)
    await expect(usePlugin(server.url)).rejects.toThrow(named('UnreachableError'))
  })
})

test('getFulfillmentFee rejects a fee beyond maxFeeDrops', async () => {
  let factor = 1
  const server = await useServer(await useLedger(), {
    request: ({ command }) =>
      command === 'fee' ? { drops: { base_fee: '10', open_ledger_fee: String(10 * factor) } } : undefined
  })
  const plugin = await usePlugin(server.url, { secret: shop.secret, maxFeeDrops: 700 })
  expect(await plugin.getFulfillmentFee()).toBe('350')
  factor = 2.5
  await expect.poll(() => plugin.getFulfillmentFee().catch((err: Error) => err.name)).toBe('NotAcceptedError')
})

describe('a request', () => {
  async function useBoth() {
    const { ledger, payer: asking, payee: asked } = await usePair()
    return { ledger, asking, asked, to: asked.getAccount() }
  }

  test('sendRequest resolves with the response of the handler at 11 drops each way', async () => {
    const { asking, asked, to } = await useBoth()
    const [before, answererBefore] = [await asking.getBalance(), await asked.getBalance()]
    asked.registerRequestHandler(async ({ custom }) => ({ to: 'nowhere', ilp: 'BBBB', custom }))
    const custom = { question: 'price?' }
    const response = await asking.sendRequest({ id: 'mine', to, ilp: 'AAAA', custom })
    const common = { id: 'mine', ledger: prefix, custom }
    const there = { ...common, from: asking.getAccount(), to, ilp: 'AAAA' }
    const back = { ...common, from: to, to: asking.getAccount(), ilp: 'BBBB' }
    expect(response).toEqual(back)
    await until(asked, 'outgoing_response')
    expect(asking.told).toEqual([['connect'], ['outgoing_request', there], ['incoming_response', back]])
    expect(asked.told).toEqual([['connect'], ['incoming_request', there], ['outgoing_response', back]])
    expect(BigInt(before) - BigInt(await asking.getBalance())).toBe(10n)
    expect(BigInt(answererBefore) - BigInt(await asked.getBalance())).toBe(10n)
  })

  test('sendRequest without a handler rejects after its timeout', async () => {
    const { asking, asked, to } = await useBoth()
    const before = BigInt(await asked.getBalance())
    const message = `"${to}" did not answer request "of mine" within 300 ms`
    await expect(asking.sendRequest({ id: 'of mine', to, timeout: 300 })).rejects.toThrow(
      named('NoSubscriptionsError', { message })
    )
    expect((await until(asked, 'incoming_request'))[0]?.[0]).toMatchObject({ id: 'of mine' })
    expect(BigInt(await asked.getBalance())).toBe(before + 1n)
  })

  test('registerRequestHandler rejects a second handler', async () => {
    const { asked } = await useBoth()
    const handler = async (request: Message) => request
    asked.registerRequestHandler(handler)
    expect(() => asked.registerRequestHandler(handler)).toThrow(named('RequestHandlerAlreadyRegisteredError'))
    asked.deregisterRequestHandler()
    asked.registerRequestHandler(handler)
  })

  test('a handler that rejects emits error and sends no response', async () => {
    const { asking, asked, to } = await useBoth()
    asked.registerRequestHandler(() => Promise.reject(new Error('The host is at fault')))
    await expect(asking.sendRequest({ to, timeout: 300 })).rejects.toThrow('did not answer')
    expect((await until(asked, 'error'))[0]).toEqual([new Error('The host is at fault')])
  })

  test('sendRequest accepts a response from the receiver only', async () => {
    const { ledger, asking, asked, to } = await useBoth()
    const request = asking.sendRequest({ id: 'guessed', to })
    await until(asked, 'incoming_request')
    const Memos = [memo('xrpMessage', '{"id":"guessed","ilp":"AAAA"}')]
    const payment = { TransactionType: 'Payment', Destination: customer.address, Amount: '1', Memos }
    await strangerOn(ledger).submit(payment)
    await until(asking, 'incoming_request')
    const late = await asked
      .sendRequest({ id: 'guessed', to: prefix + customer.address, ilp: 'BBBB', timeout: 1 })
      .catch(err => err.name)
    expect(late).toBe('NoSubscriptionsError')
    expect(await request).toMatchObject({ from: to, ilp: 'BBBB' })
  })

  test('requests of a 2017 plugin are emitted, with their id in the message, beside it, or without one', async () => {
    const { ledger, asked } = await useBoth()
    const peer = strangerOn(ledger, customer.secret)
    const forms: [Record<string, unknown>[], object][] = [
      [[memo('xrpMessage', '{"id":"a","ilp":"AAAA"}')], { id: 'a', ilp: 'AAAA' }],
      [[memo('xrpMessage', '{"ilp":"AAAA"}'), memo('xrpMessageId', 'b')], { id: 'b', ilp: 'AAAA' }],
      [[memo('xrpMessage', '{"method":"quote","__proto__":{"a":1}}')], { custom: { method: 'quote' } }]
    ]
    for (const [Memos] of forms)
      await peer.submit({ TransactionType: 'Payment', Destination: shop.address, Amount: '1', Memos })
    const messages = (await until(asked, 'incoming_request', 3)).map(([message]) => message as Message)
    for (const [index, [, content]] of forms.entries())
      expect(messages[index]).toMatchObject({ from: prefix + customer.address, ...content })
    expect(Object.keys(messages[2]?.custom as object)).toEqual(['method'])
  })

  test('late responses are not answered', async () => {
    const { ledger, asking, asked, to } = await useBoth()
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
    const before = BigInt(await asked.getBalance())
    await expect(asking.sendRequest({ id: 'late', to, timeout: 300 })).rejects.toThrow(
      named('NoSubscriptionsError')
    )
    await until(asked, 'incoming_request')
    // The next run of the program knows nothing of its request.
    const later = await usePlugin(ledger.url)
    later.registerRequestHandler(handler)
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

  test('sendRequest rejects messages that are too large', async () => {
    const { asking, to } = await useBoth()
    await expect(asking.sendRequest({ to, ilp: 'A'.repeat(1000) })).rejects.toThrow(
      named('MaximumIlpDataSizeExceededError')
    )
    await expect(asking.sendRequest({ to, ilp: 'A', custom: 'A'.repeat(1000) })).rejects.toThrow(
      named('MaximumCustomDataSizeExceededError')
    )
  })
})
