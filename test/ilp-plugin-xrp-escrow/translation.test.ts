import { describe, expect, test } from 'vitest'
import {
  conditionOf,
  fromXrplCondition,
  fromXrplFulfillment,
  parseBytes32,
  toXrplCondition,
  toXrplFulfillment
} from '../../src/ilp-plugin-xrp-escrow/condition.ts'
import {
  fromTransaction,
  toRippleTime,
  toTransaction,
  toUnixMs
} from '../../src/ilp-plugin-xrp-escrow/transfer.ts'
import { customer, hex, memo, prefix, shop } from './support.ts'

// The escrow "letter-0" that a rippled 2.3.0 took and let go (test/fixtures/rippled-2.3.0,
// escrow-create-and-finish.json): the preimage is the SHA-256 of its name.
const letter0 = {
  fulfillment: 'V0dzpnY3QQfvW91DNrP6o4c_2yxPV_aQTrOFP0VXKzM',
  condition: 'TArKrWVLfLudL5XmH-guK7EjpC84EL_FlgC8ykJ_c-k',
  xrplFulfillment: 'A0228020574773A676374107EF5BDD4336B3FAA3873FDB2C4F57F6904EB3853F45572B33',
  xrplCondition: 'A02580204C0ACAAD654B7CBB9D2F95E61FE82E2BB123A42F3810BFC59600BCCA427F73E9810120'
}

describe('conditions', () => {
  test('are on the ledger what a rippled accepts', () => {
    const preimage = parseBytes32(letter0.fulfillment) as Buffer
    expect(toXrplFulfillment(preimage)).toBe(letter0.xrplFulfillment)
    expect(conditionOf(preimage)).toBe(letter0.condition)
    expect(toXrplCondition(Buffer.from(letter0.condition, 'base64url'))).toBe(letter0.xrplCondition)
  })

  test('come back from the ledger', () => {
    expect(fromXrplFulfillment(letter0.xrplFulfillment)).toBe(letter0.fulfillment)
    expect(fromXrplCondition(letter0.xrplCondition)).toBe(letter0.condition)
  })

  test.each([
    ['PREFIX-SHA-256', letter0.xrplCondition.replace('A0', 'A1')],
    ['another length of the preimage', letter0.xrplCondition.replace('810120', '810121')],
    ['nothing', ''],
    ['a number', 7]
  ])('of another kind (%s) are none', (_kind, condition) => {
    expect(fromXrplCondition(condition)).toBeUndefined()
  })

  test.each([
    ['31 bytes', Buffer.alloc(31).toString('base64url')],
    ['33 bytes', Buffer.alloc(33).toString('base64url')],
    ['padding', `${Buffer.alloc(32).toString('base64url')}=`],
    ['plain base64', `${'/'.repeat(42)}8`]
  ])('and fulfillments with %s are not 32 bytes of base64url', (_what, text) => {
    expect(parseBytes32(text)).toBeUndefined()
  })
})

describe('times', () => {
  test.each([
    ['2000-01-01T00:00:00.000Z', 0],
    ['2017-10-31T12:00:00.000Z', 562_766_400],
    ['2017-10-31T13:00:00+01:00', 562_766_400],
    ['2026-11-22T02:35:57.999Z', 848_630_157],
    ['2136-02-07T06:28:15Z', 2 ** 32 - 1]
  ])('%s is %i on the ledger', (iso, seconds) => {
    expect(toRippleTime(iso)).toBe(seconds)
    expect(toUnixMs(seconds)).toBe(Math.floor(Date.parse(iso) / 1000) * 1000)
  })

  test.each(['tomorrow', '2017', '31.10.2017', '2017-13-31T12:00:00Z', '2136-02-07T06:28:16Z', 7, null])(
    '%s is refused',
    iso => {
      expect(() => toRippleTime(iso)).toThrow(expect.objectContaining({ name: 'InvalidFieldsError' }))
    }
  )
})

describe('transfers', () => {
  const transfer = {
    id: 'd86b0299-e2fa-4713-833a-96a6a75271b8',
    from: prefix + customer.address,
    to: prefix + shop.address,
    ledger: prefix,
    amount: '10',
    ilp: 'ARgAAAAAAAAAawxleGFtcGxlLmFsaWNlAAA',
    executionCondition: letter0.condition,
    expiresAt: '2017-10-31T12:00:00.000Z'
  }
  // What the sendTransfer of ilp-plugin-xrp-escrow 1.0.7 makes of it with ripple-lib 0.17: its source names the
  // fields and memos, its library adds the flag tfFullyCanonicalSig.
  const of2017 = {
    TransactionType: 'EscrowCreate',
    Account: customer.address,
    Destination: shop.address,
    Amount: '10',
    CancelAfter: 562_766_400,
    Condition: letter0.xrplCondition,
    Flags: 2_147_483_648,
    Sequence: 6,
    Memos: [memo('xrpIlp', transfer.ilp), memo('xrpId', transfer.id)]
  }

  test('of the 2017 plugin are understood', () => {
    expect(fromTransaction(of2017, prefix)).toEqual(transfer)
  })

  test('are written as the 2017 plugin wrote them', () => {
    const { Flags: _flags, Sequence: _sequence, Account: _account, ...fields } = of2017
    expect(toTransaction(transfer, customer.address, prefix)).toEqual(fields)
  })

  test('have their memos in upper-case hex', () => {
    const { Memos } = toTransaction(transfer, customer.address, prefix) as typeof of2017
    expect(Memos[1]?.Memo.MemoType).toBe('68747470733A2F2F696E7465726C65646765722E6F72672F72656C2F7872704964')
    expect(Memos[0]?.Memo.MemoData).toBe(hex(transfer.ilp))
  })
})
