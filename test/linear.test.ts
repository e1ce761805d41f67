import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { parseTransaction } from '../src/ilp-plugin-xrp-escrow/validated-transaction.ts'
import { accounts } from '../src/xrpl-sandbox/index.ts'
import { fakeShop } from './support/letters.ts'
import { RawConnection } from './support/raw-http.ts'
import { copyProject, fastLedger } from './support/scripts.ts'

// The time that it takes to read a stranger's text grows with its length, not faster: with its square, a megabyte
// would take hours. The sandbox's frames are in xrpl-sandbox/bad-input.test.ts.

const megabyte = 2 ** 20
const oddCharacters = [
  'x',
  '0',
  ' ',
  '.',
  '-',
  '_',
  '/',
  '%',
  '"',
  '\\',
  ':',
  '[',
  '{',
  '?',
  ',',
  ';',
  '\u00e9'
]
const bigHeaders = { NODE_OPTIONS: `--max-http-header-size=${8 * megabyte}` }

test.each(['shop-from-before', 'streaming-shop'])(
  '%s reads a megabyte of each odd character in linear time',
  async name => {
    const ledger = await fastLedger()
    const project = await copyProject()
    const shop = project.run(`src/${name}.ts`, { ...bigHeaders, TEST_LEDGER: ledger.url, PORT: '0' })
    const url = (await shop.waitForOutput(/Visit (http:\S+)/))[1] as string
    for (const character of oddCharacters) {
      const text = character.repeat(megabyte)
      const path = character === ' ' ? '' : text
      const inHeaders = `Pay-Token: a${text}b\r\nAccept: a${text}b\r\nOrigin: a${text}b\r\n`
      for (const request of [
        `GET /${path} HTTP/1.1\r\nHost: x\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: x\r\n${inHeaders}\r\n`
      ]) {
        const connection = (await RawConnection.open(url)).send(request)
        expect(await connection.waitForText(/^HTTP\/1\.1 \d{3} /), character).toMatch(
          /^HTTP\/1\.1 (200|400|402|404) /
        )
        connection.close()
      }
    }
    expect(shop.output).not.toMatch(/.{300}/)
    await project.remove()
    await ledger.close()
  }
)

test.each(['x', '.', ' ', '0', '-'])(
  'a client reads a megabyte of "%s" in a Pay header in linear time',
  async character => {
    const ledger = await fastLedger()
    const project = await copyProject()
    const pay = `interledger-psk 10 a.${character.repeat(megabyte)}! ${'A'.repeat(43)}`
    const shop = await fakeShop((_req, res) => res.writeHead(200, { Pay: pay }).end())
    const env = { ...bigHeaders, TEST_LEDGER: ledger.url, SHOP_URL: shop.url }
    const client = project.run('src/streaming-client2.ts', env)
    expect(await client.waitForEnd()).toBe(1)
    expect(client.output).toMatch(/Pay header is not .*: interledger-psk 10 a\..{0,80}$/m)
    await shop.close()
    await project.remove()
    await ledger.close()
  }
)

test('the plugin reads a megabyte of each odd character in a memo in linear time', () => {
  const hex = (text: string) => Buffer.from(text).toString('hex').toUpperCase()
  for (const character of [...oddCharacters, '\n', '\0', '\u2028']) {
    const MemoData = hex(`a${character.repeat(megabyte)}!`)
    const Memos = ['xrpIlp', 'xrpId', 'xrpMessage'].map(rel => ({
      Memo: { MemoType: hex(`https://interledger.org/rel/${rel}`), MemoData }
    }))
    const tx = {
      ...{
        TransactionType: 'Payment',
        Account: accounts.customer.address,
        Destination: accounts.shop.address
      },
      ...{ Amount: '10', Fee: '10', Sequence: 4, Memos, hash: 'AB'.repeat(32), ledger_index: 5, date: 0 }
    }
    const meta = {
      TransactionResult: 'tesSUCCESS',
      TransactionIndex: 0,
      AffectedNodes: [],
      delivered_amount: '10'
    }
    parseTransaction({ tx, meta, validated: true, id: randomUUID() }, 'test.crypto.xrp.')
  }
})
