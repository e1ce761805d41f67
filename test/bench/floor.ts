// What a letter cannot cost less than: signs, encodes and hashes a letter's transaction every so often, and nothing
// else. On SIGCONT it says how many it has done. Arguments: client or shop; milliseconds.
import base64url from 'base64url'
import { serializeIlpPayment } from 'ilp-packet'
import { Wallet } from 'xrpl'
import { walletOf } from '../../src/ilp-plugin-xrp-escrow/wallet.ts'
import { accounts } from '../../src/xrpl-sandbox/index.ts'

const hex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()
const memo = (type: string, data: string) => ({
  Memo: { MemoType: hex(`https://interledger.org/rel/${type}`), MemoData: hex(data) }
})

const [role, intervalMs] = process.argv.slice(2)
const shop = Wallet.fromSeed(accounts.shop.secret)
const customer = Wallet.fromSeed(accounts.customer.secret)
const Condition = `A0258020${'5A'.repeat(32)}810120`
const ilpPacket = serializeIlpPayment({
  account: `test.crypto.xrp.${shop.address}.uYa7Ph2sKQk.1000`,
  amount: '10',
  data: Buffer.alloc(0)
})
const letter = {
  client: {
    TransactionType: 'EscrowCreate',
    Account: customer.address,
    Destination: shop.address,
    Amount: '10',
    Fee: '10',
    Condition,
    CancelAfter: 900_000_000,
    Memos: [memo('xrpIlp', base64url(ilpPacket)), memo('xrpId', '7a2c8a53-6a1f-4f1b-9f8f-2b6f0f3f6a10')]
  },
  shop: {
    TransactionType: 'EscrowFinish',
    Account: shop.address,
    Owner: customer.address,
    Fee: '350',
    Condition,
    Fulfillment: `A0228020${'A5'.repeat(32)}`
  }
}
const tx = role === 'shop' ? letter.shop : letter.client
const { sign } = walletOf(role === 'shop' ? accounts.shop.secret : accounts.customer.secret)

let done = 0
setInterval(() => {
  const Sequence = ++done
  sign({
    ...tx,
    Sequence,
    LastLedgerSequence: Sequence + 20,
    ...(role === 'shop' && { OfferSequence: Sequence })
  })
}, Number(intervalMs))
process.on('SIGCONT', () => console.error(`done: ${done} transactions`))
