import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Bench, customer, lock, NEVER, shop, wallet } from './support.ts'

let bench: Bench
beforeAll(async () => {
  bench = await Bench.start()
})
afterAll(() => bench.stop())

/** A funded account of its own. */
async function someone(name: string) {
  const account = wallet(name)
  await bench.pay(customer, account, 20_000_000)
  await bench.close()
  return account
}

const asf = { requireDest: 1, disableMaster: 4, accountTxnId: 5, depositAuth: 9 }

describe('tickets', () => {
  test('can be used once each, in any order', async () => {
    const by = await someone('ticket holder')
    const first = (await bench.account(by)).Sequence + 1
    await bench.submit(by, { TransactionType: 'TicketCreate', TicketCount: 3 })
    await bench.close()
    expect(await bench.account(by)).toMatchObject({ OwnerCount: 3, TicketCount: 3, Sequence: first + 3 })
    const { account_objects } = await bench.ask('account_objects', { account: by.address })
    expect(account_objects.map((entry: { TicketSequence: number }) => entry.TicketSequence).sort()).toEqual([
      first,
      first + 1,
      first + 2
    ])

    const pay = (TicketSequence: number) => bench.pay(by, shop, 1, { Sequence: 0, TicketSequence })
    const [last, middle] = [await pay(first + 2), await pay(first + 1)]
    expect((await pay(first + 2)).engine_result).toBe('tefNO_TICKET')
    expect((await pay(first + 90)).engine_result).toBe('terPRE_TICKET')
    await bench.close()
    for (const payment of [last, middle]) expect(await bench.result(payment)).toBe('tesSUCCESS')
    expect(await bench.account(by)).toMatchObject({ OwnerCount: 1, TicketCount: 1, Sequence: first + 3 })
  })

  test('release a held transaction as soon as they exist', async () => {
    const by = await someone('ticket waiter')
    const { Sequence } = await bench.account(by)
    const waiting = await bench.pay(by, shop, 1, { Sequence: 0, TicketSequence: Sequence + 1 })
    expect(waiting.engine_result).toBe('terPRE_TICKET')
    await bench.submit(by, { TransactionType: 'TicketCreate', TicketCount: 1, Sequence })
    await bench.close()
    expect(await bench.result(waiting)).toBe('tesSUCCESS')
  })

  test('need an owner reserve each', async () => {
    const by = await someone('holder of too many tickets')
    const { engine_result } = await bench.submit(by, { TransactionType: 'TicketCreate', TicketCount: 100 })
    expect(engine_result).toBe('tecINSUFFICIENT_RESERVE')
  })
})

describe('an account that', () => {
  const set = (by: Parameters<Bench['submit']>[0], more: object) =>
    bench.submit(by, { TransactionType: 'AccountSet', ...more })

  test('requires destination tags rejects payments and escrows without one', async () => {
    const to = await someone('tagged')
    await set(to, { SetFlag: asf.requireDest })
    expect((await bench.pay(customer, to, 1)).engine_result).toBe('tecDST_TAG_NEEDED')
    expect((await bench.pay(customer, to, 1, { DestinationTag: 0 })).engine_result).toBe('tesSUCCESS')
    const escrow = { Condition: lock('tagged').Condition, CancelAfter: NEVER }
    expect((await bench.createEscrow(customer, to, escrow)).engine_result).toBe('tecDST_TAG_NEEDED')
    await set(to, { ClearFlag: asf.requireDest })
    expect((await bench.pay(customer, to, 1)).engine_result).toBe('tesSUCCESS')
    await bench.close()
  })

  test('authorizes deposits receives only escrows that it finishes itself', async () => {
    const to = await someone('guarded')
    await set(to, { SetFlag: asf.depositAuth })
    expect((await bench.pay(customer, to, 1)).engine_result).toBe('tecNO_PERMISSION')
    const { Condition, Fulfillment } = lock('guarded')
    const { tx_json } = await bench.createEscrow(customer, to, { Condition, CancelAfter: NEVER })
    expect(
      (await bench.finishEscrow(customer, customer, tx_json.Sequence, { Condition, Fulfillment }))
        .engine_result
    ).toBe('tecNO_PERMISSION')
    expect(
      (await bench.finishEscrow(to, customer, tx_json.Sequence, { Condition, Fulfillment })).engine_result
    ).toBe('tesSUCCESS')
    await bench.close()
  })

  test('has disabled its master key signs with its regular key', async () => {
    const by = await someone('careful')
    const disable = { SetFlag: asf.disableMaster }
    expect((await set(by, disable)).engine_result).toBe('tecNO_ALTERNATIVE_KEY')
    const key = wallet('the other key')
    // Once, that costs nothing.
    const { Sequence } = await bench.account(by)
    const change = {
      TransactionType: 'SetRegularKey',
      Account: by.address,
      RegularKey: key.address,
      Sequence
    }
    const { tx_blob } = by.sign({ ...change, Fee: '0' } as never)
    expect((await bench.ask('submit', { tx_blob })).engine_result).toBe('tesSUCCESS')
    await set(by, disable)
    expect((await bench.pay(by, shop, 1)).engine_result).toBe('tefMASTER_DISABLED')
    expect(
      (await bench.pay(key, shop, 1, { Account: by.address, Sequence: Sequence + 2 })).engine_result
    ).toBe('tesSUCCESS')
    await bench.close()
  })

  test('tracks AccountTxnID accepts a transaction that names it', async () => {
    const by = await someone('chained')
    await set(by, { SetFlag: asf.accountTxnId })
    const { hash: AccountTxnID } = await bench.pay(by, shop, 1)
    expect((await bench.pay(by, shop, 1, { AccountTxnID })).engine_result).toBe('tesSUCCESS')
    expect((await bench.pay(by, shop, 1, { AccountTxnID })).engine_result).toBe('tefWRONG_PRIOR')
    await bench.close()
  })

  test('sets Domain or TickSize shows it until it clears it', async () => {
    const by = await someone('described')
    const description = {
      Domain: '6578616D706C65',
      EmailHash: 'AB'.repeat(16),
      MessageKey: by.publicKey,
      TransferRate: 1_500_000_000,
      TickSize: 5
    }
    await set(by, description)
    await bench.close()
    expect(await bench.account(by)).toMatchObject(description)
    const none = { Domain: '', EmailHash: '0'.repeat(32), MessageKey: '', TransferRate: 0, TickSize: 0 }
    await set(by, none)
    await bench.close()
    for (const name of Object.keys(none)) expect(await bench.account(by)).not.toHaveProperty(name)
  })
})
