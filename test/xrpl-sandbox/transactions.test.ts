import { encode, encodeForSigning } from 'ripple-binary-codec'
import { sign } from 'ripple-keypairs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Bench, customer, genesis, lock, NEVER, shop, wallet } from './support.ts'

let bench: Bench
beforeEach(async () => {
  bench = await Bench.start()
})
afterEach(() => bench.stop())

const now = () => bench.sandbox.ledger.closedHeader.closeTime

test('an escrow with FinishAfter and no condition can be finished after that time, by anybody', async () => {
  const FinishAfter = now() + 3
  const { tx_json } = await bench.createEscrow(customer, shop, { FinishAfter })
  await bench.close()
  expect(await bench.finishEscrow(shop, customer, tx_json.Sequence)).toMatchObject({
    engine_result: 'tecNO_PERMISSION'
  })
  await bench.closeUntil(FinishAfter)
  const finish = await bench.finishEscrow(genesis, customer, tx_json.Sequence)
  expect(finish.engine_result).toBe('tesSUCCESS')
  await bench.close()
  expect((await bench.account(shop)).Balance).toBe(String(10_000_000_000 - 10 + 10))
})

test('the close time of an escrow counts to the second: at CancelAfter it can be finished, after it cancelled', async () => {
  const CancelAfter = now() + 4
  const { Condition, Fulfillment } = lock('to the second')
  const first = await bench.createEscrow(customer, shop, { CancelAfter, Condition })
  const second = await bench.createEscrow(customer, shop, { CancelAfter, Condition })
  await bench.closeUntil(CancelAfter - 1)
  expect(now()).toBe(CancelAfter)
  const early = await bench.cancelEscrow(customer, customer, first.tx_json.Sequence)
  expect(early.engine_result).toBe('tecNO_PERMISSION')
  const finish = await bench.finishEscrow(shop, customer, first.tx_json.Sequence, { Condition, Fulfillment })
  expect(finish.engine_result).toBe('tesSUCCESS')
  await bench.close()
  const late = await bench.finishEscrow(shop, customer, second.tx_json.Sequence, { Condition, Fulfillment })
  expect(late.engine_result).toBe('tecNO_PERMISSION')
  const cancel = await bench.cancelEscrow(genesis, customer, second.tx_json.Sequence)
  expect(cancel.engine_result).toBe('tesSUCCESS')
})

test('an escrow to its own account returns the money when it is finished', async () => {
  const { Condition, Fulfillment } = lock('self')
  const before = await bench.account(customer)
  const { tx_json } = await bench.createEscrow(customer, customer, { Condition, CancelAfter: NEVER })
  await bench.close()
  expect(await bench.account(customer)).toMatchObject({ OwnerCount: 1 })
  const { account_objects } = await bench.ask('account_objects', { account: customer.address })
  expect(account_objects).toHaveLength(1)
  expect(account_objects[0]).not.toHaveProperty('DestinationNode')
  await bench.finishEscrow(customer, customer, tx_json.Sequence, { Condition, Fulfillment })
  await bench.close()
  const after = await bench.account(customer)
  expect(after).toMatchObject({ OwnerCount: 0, Balance: String(Number(before.Balance) - 10 - 350) })
})

test('a transaction with a future sequence is held, and applied when the gap is filled', async () => {
  const { Sequence } = await bench.account(customer)
  const third = await bench.pay(customer, shop, 3, { Sequence: Sequence + 2 })
  const second = await bench.pay(customer, shop, 2, { Sequence: Sequence + 1 })
  expect([third.engine_result, second.engine_result]).toEqual(['terPRE_SEQ', 'terPRE_SEQ'])
  expect([third.applied, third.kept]).toEqual([false, true])
  const first = await bench.pay(customer, shop, 1, { Sequence })
  expect(first).toMatchObject({ engine_result: 'tesSUCCESS', account_sequence_next: Sequence + 1 })
  expect((await bench.account(customer)).Sequence).toBe(Sequence + 3)
  await bench.close()
  for (const submitted of [first, second, third]) expect(await bench.result(submitted)).toBe('tesSUCCESS')
})

test.each([
  [6, 2],
  [7, 1]
])('of a held transaction and its predecessor %i ledgers later, %i are applied', async (ledgers, applied) => {
  const { Sequence } = await bench.account(customer)
  await bench.pay(customer, shop, 2, { Sequence: Sequence + 1 })
  for (let closed = 0; closed < ledgers; closed++) await bench.close()
  await bench.pay(customer, shop, 1, { Sequence })
  await bench.close()
  expect((await bench.account(customer)).Sequence).toBe(Sequence + applied)
})

test('a held transaction is dropped after its LastLedgerSequence', async () => {
  const { Sequence } = await bench.account(customer)
  const LastLedgerSequence = bench.sandbox.ledger.openIndex + 1
  await bench.pay(customer, shop, 2, { Sequence: Sequence + 1, LastLedgerSequence })
  await bench.close()
  await bench.close()
  await bench.pay(customer, shop, 1, { Sequence })
  expect((await bench.account(customer)).Sequence).toBe(Sequence + 1)
})

test('a transaction of an account that does not exist yet is applied once the account is funded', async () => {
  const newcomer = wallet('newcomer')
  const Sequence = bench.sandbox.ledger.openIndex
  const early = await bench.pay(newcomer, shop, 1, { Sequence })
  expect(early.engine_result).toBe('terNO_ACCOUNT')
  await bench.pay(customer, newcomer, 5_000_000)
  await bench.close()
  await bench.close()
  expect(await bench.result(early)).toBe('tesSUCCESS')
})

test('fail_hard does not apply a transaction that would only claim its fee', async () => {
  const { tx_blob } = await bench.sign(customer, {
    TransactionType: 'Payment',
    Destination: wallet('nobody').address,
    Amount: '1'
  })
  const answer = await bench.ask('submit', { tx_blob, fail_hard: true })
  expect(answer).toMatchObject({ engine_result: 'tecNO_DST_INSUF_XRP', applied: false, kept: false })
})

test('the canonical order decides which of two transactions finishes an escrow', async () => {
  let overtaken = 0
  for (let round = 0; round < 12; round++) {
    const { Condition, Fulfillment } = lock(`race ${round}`)
    const { tx_json } = await bench.createEscrow(customer, shop, { Condition, CancelAfter: NEVER })
    await bench.close()
    const finish = { Condition, Fulfillment }
    const first = await bench.finishEscrow(shop, customer, tx_json.Sequence, finish)
    const second = await bench.finishEscrow(genesis, customer, tx_json.Sequence, finish)
    expect([first.engine_result, second.engine_result]).toEqual(['tesSUCCESS', 'tecNO_TARGET'])
    await bench.close()
    const results = [await bench.result(first), await bench.result(second)]
    expect(results.toSorted()).toEqual(['tecNO_TARGET', 'tesSUCCESS'])
    if (results[0] === 'tecNO_TARGET') overtaken++
  }
  expect(overtaken).toBeGreaterThan(0)
  expect(overtaken).toBeLessThan(12)
})

test('a payment of money that arrives in the same ledger succeeds in any canonical order', async () => {
  for (let round = 0; round < 6; round++) {
    const poor = wallet(`poor ${round}`)
    await bench.pay(customer, poor, 1_100_000)
    await bench.close()
    await bench.pay(shop, poor, 500_000)
    const onward = await bench.pay(poor, customer, 550_000)
    expect(onward.engine_result).toBe('tesSUCCESS')
    await bench.close()
    expect(await bench.result(onward)).toBe('tesSUCCESS')
  }
})

test('transactions of one account are applied in the order of their sequences', async () => {
  const submitted = []
  for (let round = 0; round < 10; round++) {
    submitted.push(await bench.pay(customer, shop, 1), await bench.pay(shop, customer, 1))
  }
  await bench.close()
  const { ledger } = await bench.ask('ledger', {
    ledger_index: 'validated',
    transactions: true,
    expand: true
  })
  const inOrder = ledger.transactions.toSorted(
    (a: typeof ledger, b: typeof ledger) => a.metaData.TransactionIndex - b.metaData.TransactionIndex
  )
  expect(inOrder).toHaveLength(20)
  for (const { address } of [customer, shop]) {
    const positions = inOrder.filter(({ Account }: { Account: string }) => Account === address)
    const sequences = positions.map(({ Sequence }: { Sequence: number }) => Sequence)
    expect(sequences).toEqual(sequences.toSorted((a: number, b: number) => a - b))
  }
})

test('a payment of the base reserve or more creates an account, with the ledger index as its sequence', async () => {
  const newcomer = wallet('newcomer')
  expect((await bench.pay(customer, newcomer, 999_999)).engine_result).toBe('tecNO_DST_INSUF_XRP')
  expect((await bench.pay(customer, newcomer, 1_000_000)).engine_result).toBe('tesSUCCESS')
  await bench.close()
  const { ledgerIndex } = bench.sandbox.ledger.closedHeader
  expect(await bench.account(newcomer)).toMatchObject({ Sequence: ledgerIndex, Balance: '1000000' })
})

test('the reserve cannot be spent, but can pay a fee', async () => {
  const poor = wallet('poor')
  await bench.pay(customer, poor, 1_000_100)
  await bench.close()
  expect((await bench.pay(poor, shop, 101)).engine_result).toBe('tecUNFUNDED_PAYMENT')
  expect((await bench.pay(poor, shop, 90)).engine_result).toBe('tesSUCCESS')
  expect((await bench.account(poor)).Balance).toBe('999990')
  const escrow = await bench.createEscrow(poor, shop, { Condition: lock('x').Condition, CancelAfter: NEVER })
  expect(escrow.engine_result).toBe('tecINSUFFICIENT_RESERVE')
  expect((await bench.pay(poor, shop, 1, { Fee: '2000000' })).engine_result).toBe('terINSUF_FEE_B')
})

test('tags, InvoiceID and memos are stored in the transaction and in the escrow', async () => {
  const Memos = [{ Memo: { MemoType: '6964', MemoData: 'CD', MemoFormat: '746578742F706C61696E' } }]
  const InvoiceID = 'A'.repeat(64)
  const tags = { DestinationTag: 7, SourceTag: 8 }
  const payment = await bench.pay(customer, shop, 1, { ...tags, InvoiceID, Memos })
  const escrow = await bench.createEscrow(customer, shop, {
    ...tags,
    Memos,
    Condition: lock('tags').Condition,
    CancelAfter: NEVER
  })
  await bench.close()
  expect(await bench.ask('tx', { transaction: payment.hash })).toMatchObject({ ...tags, InvoiceID, Memos })
  expect(await bench.ask('tx', { transaction: escrow.hash })).toMatchObject({ ...tags, Memos })
  const { account_objects } = await bench.ask('account_objects', { account: shop.address })
  expect(account_objects[0]).toMatchObject(tags)
})

test('memos of more than a kilobyte, or with characters outside of URLs in their type, are rejected', async () => {
  const memo = (Memo: object) => ({
    TransactionType: 'Payment',
    Destination: shop.address,
    Amount: '1',
    Memos: [{ Memo }]
  })
  const submit = async (Memo: object) => {
    const { tx_blob } = await bench.sign(customer, memo(Memo))
    return bench.client.ask({ command: 'submit', tx_blob })
  }
  expect(await submit({ MemoData: 'AB'.repeat(1024) })).toMatchObject({
    error: 'invalidTransaction',
    error_exception: 'fails local checks: The memo exceeds the maximum allowed size.'
  })
  expect((await submit({ MemoType: '20' })).error).toBe('invalidTransaction')
  expect((await submit({ MemoData: '20' })).result.engine_result).toBe('tesSUCCESS')
})

test.each([
  ['TrustSet', { LimitAmount: { currency: 'USD', issuer: shop.address, value: '1' } }, 'temDISABLED'],
  ['NFTokenMint', { NFTokenTaxon: 0 }, 'temDISABLED'],
  ['Payment', { Amount: { currency: 'USD', issuer: shop.address, value: '1' } }, 'temBAD_AMOUNT'],
  [
    'Payment',
    { Amount: '1', SendMax: { currency: 'USD', issuer: shop.address, value: '1' } },
    'temBAD_AMOUNT'
  ],
  ['Payment', { Amount: { mpt_issuance_id: '0'.repeat(48), value: '1' } }, 'temBAD_AMOUNT'],
  ['Payment', { Amount: '1', Sequence: 0, TicketSequence: 1 }, 'tefNO_TICKET']
])('%s %j returns %s', async (TransactionType, fields, engine_result) => {
  const Destination = TransactionType === 'Payment' ? { Destination: shop.address } : {}
  const { Sequence } = await bench.account(customer)
  // xrpl.js checks nothing when it only encodes: what it would refuse has to reach the server.
  const unsigned = {
    TransactionType,
    Account: customer.address,
    ...Destination,
    Fee: '10',
    Sequence,
    SigningPubKey: customer.publicKey,
    ...fields
  }
  const TxnSignature = sign(encodeForSigning(unsigned), customer.privateKey)
  const answer = await bench.ask('submit', { tx_blob: encode({ ...unsigned, TxnSignature }) })
  expect(answer.engine_result).toBe(engine_result)
})

test('an unknown transaction type is an invalidTransaction', async () => {
  const { tx_blob } = await bench.sign(customer, { TransactionType: 'AccountSet' })
  const answer = await bench.client.ask({ command: 'submit', tx_blob: tx_blob.replace('120003', '12FFF0') })
  expect(answer).toMatchObject({ error: 'invalidTransaction' })
})

test('a network with an ID above 1024 rejects transactions without it', async () => {
  const other = await Bench.start({ networkId: 21_338 })
  const submit = (fields: object) => other.pay(customer, shop, 1, { ...fields })
  expect((await submit({})).engine_result).toBe('telREQUIRES_NETWORK_ID')
  expect((await submit({ NetworkID: 21_337 })).engine_result).toBe('telWRONG_NETWORK')
  expect((await submit({ NetworkID: 21_338 })).engine_result).toBe('tesSUCCESS')
  expect((await other.ask('server_info')).info.network_id).toBe(21_338)
  await other.stop()
  expect((await bench.pay(customer, shop, 1, { NetworkID: 1 })).engine_result).toBe(
    'telNETWORK_ID_MAKES_TX_NON_CANONICAL'
  )
})

test('a transaction that pays less than the open ledger asks is queued until the fee falls', async () => {
  bench.sandbox.setOpenLedgerFee(5000)
  expect(await bench.ask('fee')).toMatchObject({
    drops: { open_ledger_fee: '5000' },
    current_queue_size: '0'
  })
  expect((await bench.ask('server_info')).info.load_factor).toBe(500)
  expect((await bench.ask('server_state')).state.load_factor).toBe(500 * 256)
  const { Sequence } = await bench.account(customer)
  const queued = await bench.pay(customer, shop, 1)
  expect(queued).toMatchObject({
    ...{ engine_result: 'terQUEUED', queued: true, applied: false, kept: true, open_ledger_cost: '5000' },
    ...{ account_sequence_next: Sequence, account_sequence_available: Sequence + 1 }
  })
  const { queue_data } = await bench.ask('account_info', { account: customer.address, queue: true })
  expect(queue_data).toEqual({ txn_count: 1 })
  const LastLedgerSequence = bench.sandbox.ledger.openIndex + 1
  expect((await bench.pay(shop, customer, 1, { LastLedgerSequence })).engine_result).toBe('telCAN_NOT_QUEUE')
  expect((await bench.pay(shop, customer, 1, { Fee: '5000' })).engine_result).toBe('tesSUCCESS')
  for (let count = 0; count < 10; count++) await bench.close()
  expect(await bench.ask('fee')).toMatchObject({ current_queue_size: '1' })
  bench.sandbox.setOpenLedgerFee(10)
  await bench.close()
  await bench.close()
  expect(await bench.result(queued)).toBe('tesSUCCESS')
})

test("funding payments are signed with the genesis account's keys", async () => {
  const { transactions } = await bench.ask('account_tx', { account: genesis.address, binary: true })
  expect(transactions).not.toEqual([])
  for (const { tx_blob } of transactions) expect(genesis.verifyTransaction(tx_blob)).toBe(true)
})
