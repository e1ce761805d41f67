import type { Message } from 'ilp-plugin-xrp-escrow'
import { describe, expect, test } from 'vitest'
import { customer, memo, next, prefix, shop, until, useLedger, usePlugin, useStranger } from './support.ts'

async function useBoth() {
  const ledger = await useLedger()
  const asking = await usePlugin(ledger.url)
  const asked = await usePlugin(ledger.url, { secret: shop.secret })
  return { ledger, asking, asked, to: prefix + shop.address }
}

describe('a request', () => {
  test('sendRequest resolves with the response of the handler at 11 drops each way', async () => {
    const { asking, asked, to } = await useBoth()
    const [before, answererBefore] = [await asking.getBalance(), await asked.getBalance()]
    asked.registerRequestHandler(async request => ({
      to: request.from as string,
      ilp: 'BBBB',
      custom: request.custom
    }))
    const response = await asking.sendRequest({ to, ilp: 'AAAA', custom: { question: 'price?' } })
    expect(response).toMatchObject({ from: to, ilp: 'BBBB', custom: { question: 'price?' } })
    expect((await until(asked, 'incoming_request'))[0]?.[0]).toMatchObject({
      from: prefix + customer.address,
      to,
      ledger: prefix,
      ilp: 'AAAA'
    })
    await until(asked, 'outgoing_response')
    expect(asking.told.map(([event]) => event)).toEqual(['connect', 'outgoing_request', 'incoming_response'])
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

  test.each([
    ['the message alone', [memo('xrpMessage', '{"id":"a","ilp":"AAAA"}')]],
    ['the id beside it', [memo('xrpMessage', '{"ilp":"AAAA"}'), memo('xrpMessageId', 'a')]]
  ])('a request of a 2017 plugin is emitted: %s', async (_form, Memos) => {
    const { ledger, asked } = await useBoth()
    const stranger = await useStranger(ledger.url)
    await stranger.submit({ TransactionType: 'Payment', Destination: shop.address, Amount: '1', Memos })
    expect((await until(asked, 'incoming_request'))[0]?.[0]).toMatchObject({ id: 'a', ilp: 'AAAA' })
  })

  test.each([
    ['an address that is none', { to: 'shop' }],
    ['a timeout that is none', { timeout: 'soon' }],
    ['another ledger', { ledger: 'g.crypto.' }]
  ])('sendRequest with %s rejects', async (_what, fields) => {
    const { asking, to } = await useBoth()
    await expect(asking.sendRequest({ to, ...fields } as Message)).rejects.toThrow(
      expect.objectContaining({ name: 'InvalidFieldsError' })
    )
  })
})
