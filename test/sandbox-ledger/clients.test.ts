// Clients that nobody here wrote, unchanged: what works with rippled has to work here.
import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Client, type EscrowCreate, type EscrowFinish, Wallet } from 'xrpl'
import { XrplClient } from 'xrpl-client'
import { accounts, type SandboxLedger, startSandboxLedger } from '../../src/sandbox-ledger/index.ts'
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

  test('hears of ledgers and of the transactions of an account', async () => {
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

  test('is told of a failed transaction by submitAndWait', async () => {
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

  test('becomes ready, asks, and hears of ledgers and transactions', async () => {
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

// ripple-lib comes with eighty packages of its age, so that only its conversation is kept: what it sent, what
// it got, and what it understood of it, recorded with ripple-lib 1.10.1, ripple-keypairs 1.1.4 and
// ripple-binary-codec 1.4.2 against this sandbox. As long as it gets the same, it understands the same.
describe('ripple-lib 1.10.1', () => {
  const recording: { startedAt: string; steps: Message[] } = JSON.parse(
    readFileSync(new URL('./fixtures/ripple-lib-1.10.1.json', import.meta.url), 'utf8')
  )

  test('gets the answers that it has understood before', async () => {
    const sandbox = await startSandboxLedger({
      port: 0,
      closeIntervalMs: 0,
      now: () => Date.parse(recording.startedAt)
    })
    const client = await RawClient.connect(sandbox.url)
    const answers: Message[] = []
    for (const { sent, ledger_accept } of recording.steps) {
      if (sent) answers.push(await client.ask(sent))
      if (ledger_accept) sandbox.ledger.close()
    }
    const received = recording.steps.flatMap(step => step.received ?? [])
    expect(comparable(answers)).toEqual(comparable(received.filter(({ type }) => type === 'response')))
    expect(comparable(client.stream)).toEqual(comparable(received.filter(({ type }) => type !== 'response')))
    client.close()
    await sandbox.close()
  })

  test('has understood them', () => {
    const understood = recording.steps
      .filter(({ what }) => what)
      .map(({ what, understood }) => [what, understood])
    expect(understood).toMatchObject([
      ['getServerInfo', { completeLedgers: '2-4', validatedLedger: { baseFeeXRP: '0.00001' } }],
      ['getAccountInfo', { sequence: 4, xrpBalance: '10000' }],
      ['prepareEscrowCreation', { instructions: { sequence: 4 } }],
      ['submit', { resultCode: 'tesSUCCESS' }],
      ['getTransaction', { type: 'escrowCreation', outcome: { result: 'tesSUCCESS', ledgerVersion: 5 } }],
      ['prepareEscrowExecution', { instructions: { sequence: 3 } }],
      ['submit', { resultCode: 'tesSUCCESS' }],
      ['getTransaction', { type: 'escrowExecution', outcome: { result: 'tesSUCCESS', ledgerVersion: 6 } }],
      ['getTransactions', [{ type: 'escrowExecution' }, { type: 'escrowCreation' }]]
    ])
  })
})
