// Clients that nobody here wrote, unchanged: what works with rippled has to work here.
import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type BaseRequest,
  Client,
  type EscrowCreate,
  type EscrowFinish,
  hashes,
  type SubmittableTransaction,
  Wallet
} from 'xrpl'
import { XrplClient } from 'xrpl-client'
import { accounts, type SandboxLedger, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { type Message, RawClient } from './client.ts'
import { comparable } from './comparable.ts'
import { customer, lock, NEVER, shop } from './support.ts'

describe('xrpl.js', () => {
  let sandbox: SandboxLedger
  let client: Client
  beforeAll(async () => {
    sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 200 })
    client = new Client(sandbox.url)
    await client.connect()
  })
  afterAll(async () => {
    await client.disconnect()
    await sandbox.close()
  })

  test('autofills, submits and waits for a payment', async () => {
    const { result } = await client.submitAndWait(
      { TransactionType: 'Payment', Account: customer.address, Destination: shop.address, Amount: '1000' },
      { wallet: customer }
    )
    expect(result).toMatchObject({ validated: true, meta: { delivered_amount: '1000' } })
    expect(result.tx_json).toMatchObject({ DeliverMax: '1000', Fee: expect.stringMatching(/^1\d$/) })
  })

  test('makes an escrow round trip', async () => {
    const { Condition, Fulfillment } = lock('xrpl.js')
    const create: EscrowCreate = {
      TransactionType: 'EscrowCreate',
      Account: customer.address,
      Destination: shop.address,
      Amount: '10',
      Condition,
      CancelAfter: NEVER
    }
    const created = await client.submitAndWait(create, { wallet: customer })
    const finish: EscrowFinish = {
      TransactionType: 'EscrowFinish',
      Account: shop.address,
      Owner: customer.address,
      OfferSequence: created.result.tx_json.Sequence as number,
      Condition,
      Fulfillment
    }
    const finished = await client.submitAndWait(finish, { wallet: shop })
    expect(finished.result.meta).toMatchObject({ TransactionResult: 'tesSUCCESS' })
    expect(Number(finished.result.tx_json.Fee)).toBeGreaterThanOrEqual(350)
  })

  test('funds a wallet from the faucet, and reads its balances', async () => {
    const faucet = { faucetHost: `localhost:${sandbox.port}`, faucetProtocol: 'http' as const }
    const { wallet, balance } = await client.fundWallet(Wallet.generate(), { ...faucet, amount: '25' })
    expect(balance).toBe(25)
    expect(await client.getBalances(wallet.address)).toEqual([{ currency: 'XRP', value: '25' }])
  })

  test('receives ledgers and the transactions of an account', async () => {
    await client.request({ command: 'subscribe', streams: ['ledger'], accounts: [shop.address] })
    const heard = new Promise<Message>(resolve => client.once('transaction', resolve))
    const ledger = new Promise<Message>(resolve => client.once('ledgerClosed', resolve))
    const { tx_blob, hash } = customer.sign(
      await client.autofill({
        TransactionType: 'Payment',
        Account: customer.address,
        Destination: shop.address,
        Amount: '7'
      })
    )
    await client.submit(tx_blob)
    expect(await heard).toMatchObject({ hash, validated: true, tx_json: { DeliverMax: '7' } })
    expect(await ledger).toMatchObject({ ledger_index: expect.any(Number) })
  })

  test('finds its transaction and the hash in the response to submit', async () => {
    const payment = await client.autofill({
      TransactionType: 'Payment',
      Account: customer.address,
      Destination: shop.address,
      Amount: '3'
    })
    const { tx_blob, hash } = customer.sign(payment)
    const { result } = await client.submit(tx_blob)
    expect(result).toMatchObject({ engine_result: 'tesSUCCESS', tx_json: { Amount: '3', hash } })
    const { hash: _, ...sent } = result.tx_json as SubmittableTransaction & { hash: string }
    expect(hashes.hashSignedTx(sent)).toBe(hash)
  })

  // What its own integration tests ask a server for.
  const account = shop.address
  test.each<[BaseRequest & Message, object]>([
    [
      { command: 'account_channels', account },
      { account, channels: [] }
    ],
    [
      { command: 'account_currencies', account },
      { send_currencies: [], receive_currencies: [] }
    ],
    [
      { command: 'account_info', account, signer_lists: true },
      { signer_lists: [], validated: false }
    ],
    [{ command: 'account_lines', account }, { lines: [] }],
    [{ command: 'account_nfts', account }, { account_nfts: [] }],
    [{ command: 'account_objects', account, type: 'escrow' }, { account_objects: [] }],
    [{ command: 'account_offers', account }, { offers: [] }],
    [
      { command: 'account_tx', account, limit: 1 },
      { limit: 1, transactions: [{ validated: true }] }
    ],
    [{ command: 'fee' }, { drops: { base_fee: '10', minimum_fee: '10' } }],
    [
      { command: 'ledger', ledger_index: 'validated' },
      { validated: true, ledger: { closed: true } }
    ],
    [{ command: 'ledger_closed' }, { ledger_hash: expect.stringMatching(/^[0-9A-F]{64}$/) }],
    [{ command: 'ledger_current' }, { ledger_current_index: expect.any(Number) }],
    [
      { command: 'ledger_data', ledger_index: 'validated', limit: 1 },
      { state: [{}], marker: expect.any(String) }
    ],
    [{ command: 'ledger_entry', account_root: account }, { node: { LedgerEntryType: 'AccountRoot' } }],
    [{ command: 'ping' }, { role: 'admin' }],
    [{ command: 'random' }, { random: expect.stringMatching(/^[0-9A-F]{64}$/) }],
    [{ command: 'server_info' }, { info: { build_version: '3.2.0', ports: [{ protocol: ['ws'] }] } }],
    [{ command: 'server_state' }, { state: { build_version: '3.2.0', load_base: 256 } }]
  ])('gets a response to %j', async (request, answer) => {
    expect((await client.request(request as never as { command: 'ping' })).result).toMatchObject(answer)
  })

  test('rejects submitAndWait of a failed transaction', async () => {
    const { result } = await client.submitAndWait(
      {
        TransactionType: 'Payment',
        Account: customer.address,
        Destination: Wallet.generate().address,
        Amount: '1'
      },
      { wallet: customer, failHard: false }
    )
    expect(result.meta).toMatchObject({ TransactionResult: 'tecNO_DST_INSUF_XRP' })
  })
})

describe('xrpl-client', () => {
  let sandbox: SandboxLedger
  let client: XrplClient
  beforeEach(async () => {
    sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 200 })
    client = new XrplClient(sandbox.url)
    await client.ready()
  })
  afterEach(async () => {
    client.close()
    await sandbox.close()
  })

  test('connects, requests and subscribes', async () => {
    expect(client.getState()).toMatchObject({
      online: true,
      reserve: { base: 1, owner: 0.2 },
      ledger: { last: expect.any(Number) }
    })
    const { account_data } = await client.send({ command: 'account_info', account: accounts.shop.address })
    expect(account_data.Balance).toBe('10000000000')
    const heard = new Promise<Message>(resolve => client.once('transaction', resolve))
    await client.send({ command: 'subscribe', accounts: [accounts.shop.address] })
    const { tx_blob, hash } = customer.sign({
      TransactionType: 'Payment',
      Account: customer.address,
      Destination: shop.address,
      Amount: '9',
      Fee: '10',
      Sequence: 4
    })
    expect(await client.send({ command: 'submit', tx_blob })).toMatchObject({ engine_result: 'tesSUCCESS' })
    expect((await heard).transaction).toMatchObject({ hash, Amount: '9' })
  })
})

// ripple-lib comes with eighty packages of its age, so that only its conversation is kept: what it sent and what it
// got, recorded with ripple-lib 1.10.1, ripple-keypairs 1.1.4 and ripple-binary-codec 1.4.2 against this sandbox,
// when it understood all of it. As long as it gets the same, it understands the same. The faucet's signature and the
// hashes of its two payments are of a later sandbox.
describe('ripple-lib 1.10.1', () => {
  const recording: { startedAt: string; steps: Message[] } = JSON.parse(
    readFileSync(new URL('./fixtures/ripple-lib-1.10.1.json', import.meta.url), 'utf8')
  )

  // The shop, and a customer with a secp256k1 key.
  const recorded = [shop.address, 'rHsMbjuugY2AM8hh4RW6s7yKWZ3VEL4A3V']

  test('understands the responses that it understood before', async () => {
    const sandbox = await startSandboxLedger({
      port: 0,
      closeIntervalMs: 0,
      funding: recorded.map(address => ({ address, xrp: 10_000 })),
      now: () => Date.parse(recording.startedAt)
    })
    const client = await RawClient.connect(sandbox.url)
    const answers: Message[] = []
    for (const { sent, ledger_accept } of recording.steps) {
      if (sent) answers.push(await client.ask(sent))
      if (ledger_accept) sandbox.ledger.close()
    }
    const received = recording.steps.flatMap(step => step.received ?? [])
    // Fields that have been added since do not disturb it.
    expect(comparable(answers)).toMatchObject(comparable(received.filter(({ type }) => type === 'response')))
    expect(comparable(client.stream)).toMatchObject(
      comparable(received.filter(({ type }) => type !== 'response'))
    )
    client.close()
    await sandbox.close()
  })
})
