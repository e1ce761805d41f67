import { afterAll, beforeAll, expect, test } from 'vitest'
import { Wallet } from 'xrpl'
import { parseTransaction as parseValidated } from '../src/ilp-plugin-xrp-escrow/validated-transaction.ts'
import { accounts, type SandboxLedger, startSandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { serialize } from '../src/xrpl-sandbox/ledger/codec.ts'
import { accountOf } from '../src/xrpl-sandbox/ledger/state.ts'
import { parseTransaction } from '../src/xrpl-sandbox/ledger/transaction.ts'
import { copyProject, type ProjectCopy, pairs, testPlugins } from './support/scripts.ts'

// What a stranger may write into the memos of payments to shops and clients. Each of these values, made a text, a
// number, or waited for, is not what it says.
const values = ['toString', 'valueOf', 'toJSON', 'then', 'length', 'constructor', '__proto__'].map(
  key => `{"${key}":1}`
)
const fields = ['sequence', 'reason', 'id', 'ilp', 'custom']
const types = ['xrpRejection', 'xrpMessage']
const deep = ['['.repeat(900), '{"a":'.repeat(170)]
const unreadable = ['', '{', 'null', '[]', '\u0000', '"\u2028\x1b[2J"', '1e999', ...deep]
const memos = types.flatMap(type => [
  ...fields.flatMap(field => values.map(value => ({ type, data: `{"id":"x","${field}":${value}}` }))),
  ...unreadable.map(data => ({ type, data }))
])

// Their plugin has the Ledger Plugin Interface (Interledger RFC 0004, draft 8) and an event emitter's own
// methods, and ends the script when anything else is asked of it.
const plugins = `${testPlugins}
const lpi = [
  'connect', 'disconnect', 'isConnected', 'getInfo', 'getAccount', 'getBalance', 'getFulfillment', 'sendTransfer',
  'sendRequest', 'fulfillCondition', 'rejectIncomingTransfer', 'registerRequestHandler', 'deregisterRequestHandler'
]
const emitter = ['on', 'once', 'off', 'addListener', 'removeListener', 'removeAllListeners']

function onlyLpi(plugin) {
  return new Proxy({}, {
    get(_, name) {
      if (name === 'then') return undefined
      if (lpi.includes(name) || emitter.includes(name)) return plugin[name].bind(plugin)
      console.error('Not in the interface: ' + String(name))
      process.exit(7)
    }
  })
}

for (const [name, open] of Object.entries(xrp)) xrp[name] = () => onlyLpi(open())
`

let ledger: SandboxLedger
let project: ProjectCopy
const wallets = [0, 1, 2, 3].map(() => Wallet.generate())
const stranger = Wallet.generate()

beforeAll(async () => {
  const funding = [...wallets, stranger].map(({ address }) => ({ address, xrp: 1_000 }))
  ledger = await startSandboxLedger({ port: 0, closeIntervalMs: 200, funding })
  project = await copyProject(plugins)
})

afterAll(async () => {
  await project.remove()
  await ledger.close()
})

const hex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()

function pay(destination: string, { type, data }: { type: string; data: string }): void {
  const Memo = {
    MemoType: hex(`https://interledger.org/rel/${type}`),
    ...(data && { MemoData: hex(data) })
  }
  const payment = {
    TransactionType: 'Payment',
    Account: stranger.address,
    Destination: destination,
    Amount: '1',
    Fee: '1000',
    Sequence: accountOf(ledger.ledger.open, stranger.address)?.Sequence ?? 0,
    SigningPubKey: stranger.publicKey,
    Memos: [{ Memo }]
  }
  const transaction = parseTransaction(serialize(payment as never), { trusted: true })
  expect(ledger.ledger.submit(transaction).result).toBe('tesSUCCESS')
}

test('both pairs ask a plugin for its interface only, and go on after hostile memos to each of their accounts', async () => {
  const running = await Promise.all(
    pairs.map(async ({ client, shop, lettersIn }, pair) => {
      const [{ seed: SHOP_SECRET = '' }, { seed: CUSTOMER_SECRET = '' }] = wallets.slice(2 * pair) as [
        Wallet,
        Wallet
      ]
      const env = { TEST_LEDGER: ledger.url, INTERVAL_MS: '200' }
      const { shop: seller, url } = await project.openShop(shop, { ...env, SHOP_SECRET })
      const buyer = project.run(client, { ...env, SHOP_URL: url, CUSTOMER_SECRET })
      await buyer.waitUntil(output => lettersIn(output).length >= 1)
      return { seller, buyer, lettersIn }
    })
  )
  for (const memo of memos) for (const { address } of wallets) pay(address, memo)
  ledger.ledger.close()
  for (const { seller, buyer, lettersIn } of running) {
    const before = lettersIn(buyer.output).length
    await buyer.waitUntil(output => lettersIn(output).length >= before + 5)
    expect(await buyer.interrupt()).toBe(0)
    expect(await seller.interrupt()).toBe(0)
    for (const { output } of [seller, buyer]) {
      expect(output).not.toContain('Not in the interface')
      expect(output).not.toMatch(/^\s+at /m)
      expect(output).not.toMatch(/(?!\n)\p{Cc}/u)
    }
  }
})

test('the plugin reads a megabyte of any character in a memo in linear time', () => {
  const meta = { TransactionResult: 'tesSUCCESS', TransactionIndex: 0, AffectedNodes: [] }
  const { customer, shop } = accounts
  for (const text of ['x', '0', ' ', '.', '-', '\u00e9', '\n'].map(character => character.repeat(2 ** 20))) {
    const Memos = ['xrpIlp', 'xrpId', 'xrpMessage'].map(rel => ({
      Memo: { MemoType: hex(`https://interledger.org/rel/${rel}`), MemoData: hex(`a${text}!`) }
    }))
    const tx = {
      ...{ TransactionType: 'Payment', Account: customer.address, Destination: shop.address, Amount: '10' },
      ...{ Fee: '10', Sequence: 4, Memos, hash: 'AB'.repeat(32), ledger_index: 5, date: 0 }
    }
    parseValidated({ tx, meta: { ...meta, delivered_amount: '10' }, validated: true }, 'test.crypto.xrp.')
  }
})
