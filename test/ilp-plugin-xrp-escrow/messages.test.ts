import type { Message } from 'ilp-plugin-xrp-escrow'
import { describe, expect, test } from 'vitest'
import {
  customer,
  memo,
  named,
  next,
  prefix,
  shop,
  someTransfer,
  until,
  usePair,
  usePlugin,
  useStranger
} from './support.ts'

async function useBoth() {
  const { ledger, payer: asking, payee: asked } = await usePair()
  return { ledger, asking, asked, to: prefix + shop.address }
}

describe('a request', () => {
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
    const request = asking.sendRequest({ id: 'of mine', to, timeout: 300 })
    await expect(request).rejects.toThrow(
      expect.objectContaining({
        name: 'NoSubscriptionsError',
        message: `"${to}" did not answer request "of mine" within 300 ms`
      })
    )
    expect((await until(asked, 'incoming_request'))[0]?.[0]).toMatchObject({ id: 'of mine' })
    expect(BigInt(await asked.getBalance())).toBe(before + 1n)
  })

  test('registerRequestHandler rejects a second handler', async () => {
    const { asked } = await useBoth()
    const handler = async (request: Message) => request
    asked.registerRequestHandler(handler)
    expect(() => asked.registerRequestHandler(handler)).toThrow(
      expect.objectContaining({ name: 'RequestHandlerAlreadyRegisteredError' })
    )
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
    const stranger = await useStranger(ledger.url)
    const request = asking.sendRequest({ id: 'guessed', to })
    await until(asked, 'incoming_request')
    const Memos = [memo('xrpMessage', '{"id":"guessed","ilp":"AAAA"}')]
    const told = next(asking, 'incoming_request')
    await stranger.submit({ TransactionType: 'Payment', Destination: customer.address, Amount: '1', Memos })
    await told
    const late = await asked
      .sendRequest({ id: 'guessed', to: prefix + customer.address, ilp: 'BBBB', timeout: 1 })
      .catch(err => err.name)
    expect(late).toBe('NoSubscriptionsError')
    expect(await request).toMatchObject({ from: to, ilp: 'BBBB' })
  })

  test('requests of a 2017 plugin are emitted, with their id in the message, beside it, or without one', async () => {
    const { ledger, asked } = await useBoth()
    const stranger = await useStranger(ledger.url, customer.secret)
    const forms: [Record<string, unknown>[], object][] = [
      [[memo('xrpMessage', '{"id":"a","ilp":"AAAA"}')], { id: 'a', ilp: 'AAAA' }],
      [[memo('xrpMessage', '{"ilp":"AAAA"}'), memo('xrpMessageId', 'b')], { id: 'b', ilp: 'AAAA' }],
      [[memo('xrpMessage', '{"method":"quote","__proto__":{"a":1}}')], { custom: { method: 'quote' } }]
    ]
    for (const [Memos, content] of forms) {
      const told = next(asked, 'incoming_request')
      await stranger.submit({ TransactionType: 'Payment', Destination: shop.address, Amount: '1', Memos })
      const [message] = await told
      expect(message).toMatchObject({ from: prefix + customer.address, ...content })
    }
    const [[message] = []] = (await until(asked, 'incoming_request')).slice(-1)
    expect(Object.keys((message as Message).custom as object)).toEqual(['method'])
  })

  test('late responses are not answered', async () => {
    const { ledger, asking, asked, to } = await useBoth()
    const second = await usePlugin(ledger.url)
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
