import type { PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'
import { expect, test, vi } from 'vitest'
import { Funds } from '../src/shop/funds.ts'

test.each([
  { what: 'three', taken: 3, toldBefore: true, told: 1050, canPay: false },
  { what: 'two', taken: 2, toldBefore: false, told: 1050 - 2 * 340, canPay: true },
  { what: 'no', taken: 0, toldBefore: true, told: 0, canPay: false },
  { what: 'no', taken: 0, toldBefore: true, told: 350, canPay: true }
])(
  'a balance of $told that was asked for while $what payments were taken is read for what it is',
  async row => {
    vi.spyOn(console, 'log').mockImplementation(() => {})
    let answer = (_drops: number) => {}
    const getBalance = () =>
      new Promise<string>(resolve => {
        const before = answer
        answer = drops => {
          before(drops)
          resolve(String(drops))
        }
      })
    const plugin = { getBalance, getFulfillmentFee: async () => '350' } as unknown as PluginXrpEscrow
    const funds = new Funds(plugin, 10)
    const look = () => {
      answer = () => {}
      return funds.open()
    }
    const opened = look()
    answer(3 * 350)
    await opened

    for (let count = 0; count < row.taken; count++) funds.spendFee()
    const looked = look()
    // A ledger that has them is told of before the answer is used, or after it.
    if (row.toldBefore) for (let count = 0; count < row.taken; count++) funds.receive(10)
    answer(row.told)
    await looked
    expect(funds.canPayFee()).toBe(row.canPay)
    vi.restoreAllMocks()
  }
)
