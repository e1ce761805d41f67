import { expect, test } from 'vitest'
import { parsePayHeader } from '../src/client/pay-header.ts'
import { parseTransaction } from '../src/ilp-plugin-xrp-escrow/validated-transaction.ts'
import { accounts } from '../src/xrpl-sandbox/index.ts'

// What others write is read in a time that grows with its length, not with its square, which would be hours here.

const texts = ['x', '0', ' ', '.', '-', '\u00e9', '\n'].map(character => character.repeat(2 ** 20))

test('parsePayHeader reads a megabyte of any character in linear time', () => {
  for (const text of texts) {
    const headers = { get: () => `interledger-psk 10 a.${text}! ${'A'.repeat(43)}` }
    const response = { url: 'http://localhost:8000/', status: 200, headers }
    expect(() => parsePayHeader(response, 200, 100, 'test.')).toThrow(/Pay header is not .*: .{0,100}$/)
  }
})

test('the plugin reads a megabyte of any character in a memo in linear time', () => {
  const hex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()
  const meta = { TransactionResult: 'tesSUCCESS', TransactionIndex: 0, AffectedNodes: [] }
  const { customer, shop } = accounts
  for (const text of texts) {
    const Memos = ['xrpIlp', 'xrpId', 'xrpMessage'].map(rel => ({
      Memo: { MemoType: hex(`https://interledger.org/rel/${rel}`), MemoData: hex(`a${text}!`) }
    }))
    const tx = {
      ...{ TransactionType: 'Payment', Account: customer.address, Destination: shop.address, Amount: '10' },
      ...{ Fee: '10', Sequence: 4, Memos, hash: 'AB'.repeat(32), ledger_index: 5, date: 0 }
    }
    parseTransaction({ tx, meta: { ...meta, delivered_amount: '10' }, validated: true }, 'test.crypto.xrp.')
  }
})
