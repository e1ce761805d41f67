import { decode, encode, XrplDefinitions } from 'ripple-binary-codec'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashes } from 'xrpl'
import type { ClosedLedger } from '../../src/xrpl-sandbox/ledger/history.ts'
import { type Message, RawClient } from './client.ts'
import { Bench, customer, genesis, lock, NEVER, shop } from './support.ts'

let bench: Bench
const payments: string[] = []

// A history to ask about: 25 payments, three to a ledger, and 70 open escrows.
beforeAll(async () => {
  bench = await Bench.start()
  for (let count = 0; count < 25; count++) {
    payments.push((await bench.pay(customer, shop, count + 1)).hash)
    if (count % 3 === 2) await bench.close()
  }
  await bench.close()
  for (let count = 0; count < 70; count++) {
    await bench.createEscrow(customer, shop, { ...escrowLock(count), CancelAfter: NEVER })
  }
  await bench.close()
})
afterAll(() => bench.stop())

const escrowLock = (count: number) => ({ Condition: lock(`api ${count}`).Condition })
const hashOf = ({ tx, hash }: Message): string => hash ?? tx.hash

describe('ledger_index', () => {
  test('names the open ledger, the last closed one, or an older one by number or hash', async () => {
    const { ledgerIndex, hash } = bench.sandbox.ledger.closedHeader
    const info = (params: object) => bench.ask('account_info', { account: shop.address, ...params })
    const open = { ledger_current_index: ledgerIndex + 1, validated: false }
    const closed = { ledger_index: ledgerIndex, ledger_hash: hash, validated: true }
    expect(await info({})).toMatchObject(open)
    expect(await info({ ledger_index: 'current' })).toMatchObject(open)
    for (const named of ['validated', 'closed', ledgerIndex, String(ledgerIndex)])
      expect(await info({ ledger_index: named })).toMatchObject(closed)
    expect(await info({ ledger_hash: hash })).toMatchObject(closed)
    const oldest = { account: shop.address, ledger_index: 1 }
    expect(await bench.askInVain('account_info', oldest)).toBe('lgrNotFound')
  })

  test('of an older ledger shows the state of that time', async () => {
    const { ledger_index } = await bench.ask('tx', { transaction: payments[5] })
    const before = await bench.account(shop, ledger_index - 1)
    const after = await bench.account(shop, ledger_index)
    expect(Number(after.Balance) - Number(before.Balance)).toBe(4 + 5 + 6)
    const then = { account: shop.address, ledger_index }
    expect((await bench.ask('account_objects', then)).account_objects).toEqual([])
  })
})

describe('account_tx', () => {
  const list = async (params: object) => {
    const pages: string[][] = []
    let marker: unknown
    do {
      const page = await bench.ask('account_tx', {
        account: shop.address,
        ...params,
        ...(marker ? { marker } : {})
      })
      pages.push(page.transactions.map(hashOf))
      marker = page.marker
    } while (marker)
    return pages
  }

  test('pages through everything once, newest first or oldest first', async () => {
    const [whole = []] = await list({ limit: 1000 })
    expect(whole).toHaveLength(1 + 25 + 70)
    const pages = await list({ limit: 7 })
    expect(pages.map(page => page.length)).toEqual([...Array(13).fill(7), 5])
    expect(pages.flat()).toEqual(whole)
    expect((await list({ limit: 7, forward: true })).flat()).toEqual(whole.toReversed())
  })

  test('returns transactions of the requested ledgers only', async () => {
    const { ledger_index: first } = await bench.ask('tx', { transaction: payments[3] })
    const range = { ledger_index_min: first, ledger_index_max: first + 1, forward: true }
    const found = (await list(range)).flat()
    expect(found.toSorted()).toEqual(payments.slice(3, 9).toSorted())
    expect((await list({ ...range, limit: 4 })).flat()).toEqual(found)
    expect((await list({ ledger_index: first })).flat().toSorted()).toEqual(payments.slice(3, 6).toSorted())
  })
})

test.each([customer.address, shop.address])('account_objects lists each escrow of %s once', async address => {
  const found: Message[] = []
  let marker: unknown
  do {
    const page = await bench.ask('account_objects', {
      account: address,
      limit: 9,
      ...(marker ? { marker } : {})
    })
    found.push(...page.account_objects)
    marker = page.marker
  } while (marker)
  expect(new Set(found.map(({ index }) => index)).size).toBe(70)
  expect(new Set(found.map(({ OwnerNode }) => OwnerNode))).toEqual(new Set(['0', '1', '2']))
  const others = await bench.ask('account_objects', { account: address, type: 'check' })
  expect(others.account_objects).toEqual([])
})

test('directories shrink when escrows are deleted, in any order', async () => {
  const own = await Bench.start()
  const created = []
  for (let count = 0; count < 70; count++)
    created.push(await own.createEscrow(customer, shop, { ...escrowLock(count), CancelAfter: NEVER }))
  await own.close()
  // From the middle outwards, so that pages empty in the middle, at the end and at the beginning.
  const order = created
    .map(({ tx_json }, position) => ({ Sequence: tx_json.Sequence, distance: Math.abs(position - 35) }))
    .sort((a, b) => a.distance - b.distance)
  for (const [count, { Sequence }] of order.entries()) {
    const number = created.findIndex(({ tx_json }) => tx_json.Sequence === Sequence)
    expect((await own.finishEscrow(shop, customer, Sequence, lock(`api ${number}`))).engine_result).toBe(
      'tesSUCCESS'
    )
    if (count % 35 === 34) {
      await own.close()
      for (const { address } of [customer, shop]) {
        const { account_objects } = await own.ask('account_objects', { account: address })
        expect(account_objects).toHaveLength(70 - count - 1)
      }
    }
  }
  const { node } = await own.ask('ledger_entry', { directory: { owner: customer.address } })
  expect(node.Indexes).toEqual([])
  await own.stop()
})

test('tx finds a transaction by its CTID', async () => {
  const { ctid, hash } = await bench.ask('tx', { transaction: payments[0] })
  expect(await bench.ask('tx', { ctid: ctid.toLowerCase() })).toMatchObject({ ctid, hash })
  const elsewhere = `${ctid.slice(0, 8)}FFFF${ctid.slice(12)}`
  expect(await bench.askInVain('tx', { ctid: elsewhere })).toBe('txnNotFound')
  expect(await bench.askInVain('tx', { ctid: `${ctid.slice(0, 12)}0001` })).toBe('wrongNetwork')
})

test('server_definitions returns the definitions, or their hash alone to a client that has them', async () => {
  const { hash, ...definitions } = await bench.ask('server_definitions')
  const codec = new XrplDefinitions(definitions)
  const { tx_blob } = await bench.sign(customer, { TransactionType: 'AccountSet', Domain: 'AB' })
  expect(decode(encode(decode(tx_blob, codec), codec))).toEqual(decode(tx_blob))
  // As rippled has them.
  expect(Object.fromEntries(definitions.FIELDS)).toMatchObject({
    Fulfillment: { isSerialized: true, isSigningField: true, isVLEncoded: true, nth: 16, type: 'Blob' },
    TxnSignature: { isSerialized: true, isSigningField: false, isVLEncoded: true, nth: 4, type: 'Blob' },
    hash: { isSerialized: false, isSigningField: false, isVLEncoded: false, nth: 257, type: 'Hash256' }
  })
  expect(definitions).toMatchObject({
    LEDGER_ENTRY_TYPES: { AccountRoot: 97, Escrow: 117, Invalid: -1 },
    TRANSACTION_RESULTS: { tecNO_TARGET: 138, telLOCAL_ERROR: -399, tesSUCCESS: 0 },
    TRANSACTION_TYPES: { EscrowCreate: 1, Invalid: -1, Payment: 0 },
    TYPES: { AccountID: 8, Done: -1, UInt8: 16, Validation: 10003 }
  })
  expect(await bench.ask('server_definitions', { hash: hash.toLowerCase() })).toEqual({ hash })
  expect(await bench.ask('server_definitions', { hash: 'AB'.repeat(32) })).toHaveProperty('FIELDS')
  expect(await bench.askInVain('server_definitions', { hash: 'AB' })).toBe('invalidParams')
})

describe('ledger hashes', () => {
  test('are those that xrpl.js calculates from the header and the transactions', async () => {
    const { ledger_index } = await bench.ask('tx', { transaction: payments[0] })
    const { ledger } = await bench.ask('ledger', { ledger_index, transactions: true, expand: true })
    expect(ledger.transactions).toHaveLength(3)
    const header = { ...ledger, parent_close_time: ledger.parent_close_time }
    expect(hashes.hashLedger(header, { computeTreeHashes: false })).toBe(ledger.ledger_hash)
    const transactions = ledger.transactions.map((transaction: Message) => {
      const { delivered_amount, ...metaData } = transaction.metaData
      const { DeliverMax, ...fields } = transaction
      return { ...fields, metaData }
    })
    expect(hashes.hashTxTree(transactions)).toBe(ledger.transaction_hash)
  })

  test('of the state are those that xrpl.js calculates from the entries', async () => {
    const own = await Bench.start({ funding: [{ address: shop.address, xrp: 10 }] })
    const entry = async (account_root: string) =>
      (await own.ask('ledger_entry', { account_root, ledger_index: 'validated' })).node
    const { node: amendments } = await own.ask('ledger_entry', { amendments: true })
    const { node: fees } = await own.ask('ledger_entry', { fee: true })
    const entries = [await entry(shop.address), await entry(genesis.address), amendments, fees]
    const { ledger } = await own.ask('ledger', { ledger_index: 'validated' })
    expect(hashes.hashStateTree(entries)).toBe(ledger.account_hash)
    await own.stop()
  })
})

describe('API version 2', () => {
  test('streams use the format of the version that subscribed', async () => {
    const [one, two] = [
      await RawClient.connect(bench.sandbox.url),
      await RawClient.connect(bench.sandbox.url)
    ]
    const subscription = { command: 'subscribe', streams: ['ledger', 'transactions'] }
    await one.ask(subscription)
    await two.ask({ ...subscription, api_version: 2 })
    const { hash } = await bench.pay(customer, shop, 5)
    await bench.close()
    await Promise.all([one.ask({ command: 'ping' }), two.ask({ command: 'ping' })])
    expect(one.stream).toMatchObject([
      { type: 'ledgerClosed', fee_base: 10, txn_count: 1 },
      { type: 'transaction', transaction: { hash, Amount: '5', date: expect.any(Number) }, status: 'closed' }
    ])
    expect(two.stream).toMatchObject([
      { type: 'ledgerClosed', fee_base: 10, txn_count: 1 },
      { type: 'transaction', hash, tx_json: { DeliverMax: '5' }, close_time_iso: expect.any(String) }
    ])
    expect(two.stream[0]).not.toHaveProperty('fee_ref')
    expect(two.stream[1]).not.toHaveProperty('transaction')
    one.close()
    two.close()
  })
})

test('the open ledger lists its transactions', async () => {
  const { hash } = await bench.pay(customer, shop, 7)
  const { ledger } = await bench.ask('ledger', { ledger_index: 'current', transactions: true })
  expect(ledger).toMatchObject({ closed: false, transactions: [hash] })
  expect(await bench.ask('fee')).toMatchObject({ current_ledger_size: '1' })
  await bench.close()
})

test('history is pruned to its limit, and complete_ledgers names the rest', async () => {
  const own = await Bench.start({ historyLimit: 20 })
  const first = await own.pay(customer, shop, 1)
  for (let count = 0; count < 30; count++) {
    await own.pay(customer, shop, 1)
    if (count % 2) await own.close()
  }
  const last = own.sandbox.ledger.closedHeader.ledgerIndex
  const { complete_ledgers } = (await own.ask('server_info')).info
  expect(complete_ledgers).toBe(`${last - 9}-${last}`)
  expect(await own.askInVain('tx', { transaction: first.hash })).toBe('txnNotFound')
  const { transactions, ledger_index_min } = await own.ask('account_tx', {
    account: shop.address,
    limit: 100
  })
  expect(transactions).toHaveLength(20)
  expect(ledger_index_min).toBe(last - 9)
  expect((await own.ask('ledger_closed')).ledger_index).toBe(last)
  await own.stop()
})

test.each(['book_offers', 'gateway_balances', 'sign', 'amm_info', 'tx_history', 'version'])(
  '%s returns unknownCmd',
  async command => {
    expect(await bench.askInVain(command, { account: shop.address })).toBe('unknownCmd')
  }
)

test('state is kept for 256 ledgers, transactions for all', async () => {
  const own = await Bench.start()
  const payment = await own.pay(customer, shop, 1)
  await own.close()
  const { ledger_index } = await own.ask('tx', { transaction: payment.hash })
  for (let count = 0; count < 256; count++) await own.close()
  expect(await own.account(shop, ledger_index)).toMatchObject({ Balance: '10000000001' })
  await own.close()
  const old = { account: shop.address, ledger_index }
  for (const command of ['account_info', 'account_objects', 'ledger_data', 'account_lines'])
    expect(await own.askInVain(command, old)).toBe('lgrNotFound')
  expect(await own.ask('ledger', { ledger_index, transactions: true })).toMatchObject({
    ledger: { transactions: [payment.hash] }
  })
  expect((await own.ask('account_tx', old)).transactions).toHaveLength(1)
  expect(await own.result(payment)).toBe('tesSUCCESS')
  await own.stop()
})

test('ledger_entry finds Amendments and FeeSettings, and feature names the amendments', async () => {
  const { node } = await bench.ask('ledger_entry', { amendments: true, ledger_index: 'validated' })
  const { features } = await bench.ask('feature')
  expect(node.Amendments.toSorted()).toEqual(Object.keys(features).toSorted())
  const id = '6143A27B71F7DAF9330ECA7C5EC3D54C8083A4FDEF7016737EEC06AB61E82EE0'
  const feature = { name: 'fixIncludeKeyletFields', enabled: true, supported: true }
  expect(features[id]).toEqual(feature)
  for (const wanted of [id, feature.name])
    expect(await bench.ask('feature', { feature: wanted })).toEqual({ [id]: feature })
  expect(await bench.askInVain('feature', { feature: 'Weather' })).toBe('badFeature')
  expect((await bench.ask('ledger_entry', { fee: true })).node).toMatchObject({
    ...{ LedgerEntryType: 'FeeSettings', BaseFeeDrops: '10' },
    ...{ ReserveBaseDrops: '1000000', ReserveIncrementDrops: '200000' }
  })
})

/** The whole state as it was after a ledger of the history. */
const stateAfter = ({ state }: ClosedLedger) => state?.indexes().map(index => [index, state.read(index)])

/** A history of payments, and of escrows made and finished, with all that was told of it. */
async function past(ledgers: number, historyLimit: number) {
  const bench = await Bench.start({ historyLimit })
  const { ledger } = bench.sandbox
  const snapshots = new Map<number, object>()
  const told: { hash: string; ledgerIndex: number; meta: object }[] = []
  ledger.on('close', closed => {
    const { ledgerIndex } = closed.header
    snapshots.set(ledgerIndex, structuredClone(stateAfter(closed) as object))
    for (const { hash, meta } of closed.transactions)
      told.push({ hash, ledgerIndex, meta: structuredClone(meta) })
  })
  const { Condition, Fulfillment } = lock('past')
  for (let count = 0; count < ledgers; count++) {
    const { tx_json } = await bench.createEscrow(customer, shop, { Condition, CancelAfter: NEVER })
    for (let more = 0; more < 3; more++) await bench.pay(customer, shop, 1 + more)
    await bench.close()
    await bench.finishEscrow(shop, customer, tx_json.Sequence, { Condition, Fulfillment })
    await bench.close()
  }
  return { bench, ledger, snapshots, told }
}

test('history returns every state, transaction and account as of its ledger', async () => {
  const { bench, ledger, snapshots, told } = await past(12, 30)
  const { history } = ledger
  const first = history.first.header.ledgerIndex
  expect(first).toBeGreaterThan(5)
  for (let index = first; index < ledger.openIndex; index++) {
    const closed = history.ledger(index) as NonNullable<ReturnType<typeof history.ledger>>
    expect(stateAfter(closed)).toEqual(snapshots.get(index))
  }
  const kept = told.filter(({ ledgerIndex }) => ledgerIndex >= first)
  for (const { hash, ledgerIndex, meta } of kept) {
    const found = history.transaction(hash)
    expect(found).toMatchObject({ hash, header: { ledgerIndex } })
    expect(found?.meta).toEqual(meta)
  }
  for (const { hash } of told.filter(({ ledgerIndex }) => ledgerIndex < first))
    expect(history.transaction(hash)).toBeUndefined()
  for (const forward of [true, false]) {
    const all = history.accountTransactions(shop.address, { min: 0, max: 2 ** 31, forward, limit: 1_000 })
    const hashes = kept.map(({ hash }) => hash)
    expect(all.transactions.map(({ hash }) => hash)).toEqual(forward ? hashes : hashes.reverse())
  }
  await bench.stop()
})
