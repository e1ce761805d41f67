import { randomBytes } from 'node:crypto'
import { encodeSeed } from 'ripple-address-codec'
import { TestRunner, test } from 'vitest'
import { walletOf } from '../../src/ilp-plugin-xrp-escrow/wallet.ts'
import { accounts, type SandboxOptions, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { RawClient } from '../xrpl-sandbox/client.ts'

/** The administrator's WebSocket of a stand-alone rippled to test on in place of sandboxes. */
const realUrl = process.env.RIPPLED_URL
// A real server's clock runs ahead by all ledgers above one a second, and the scripts go by this machine's.
const scriptsIntervalMs = 500
const maxAheadMs = 10 * 60_000
const fundingXrp = 10_000

/** A test beside others of its file; on a real server, whose ledgers all share, by itself. */
export const aside = realUrl === undefined ? test.concurrent : test

interface TestAccount {
  address: string
  secret: string
}

/** A ledger to test on: a sandbox, or with RIPPLED_URL a real server with accounts that nobody has used. */
export interface TestLedger {
  url: string
  /** Ed25519, has 10,000 XRP */
  shop: TestAccount
  /** secp256k1, has 10,000 XRP */
  customer: TestAccount
  /** variables by which the scripts find the ledger and their accounts */
  env: Record<string, string>
  /** Closes a ledger now. */
  closeLedger(): Promise<void>
  /** The newest ledger, and its time in milliseconds of Unix time. */
  newest(): Promise<{ ledgerIndex: number; timeMs: number }>
  /** How many transactions wait for the next ledger. */
  openTransactions(): Promise<number>
  /** The validated transactions that concern an account, the oldest first, in version 1 of the API. */
  transactionsOf(address: string): Promise<Record<string, unknown>[]>
  /** What the server answers to an administrator's request. */
  ask<Result = Record<string, unknown>>(request: Record<string, unknown>): Promise<Result>
  /** Closes no ledgers any more, and frees what it can. */
  close(): Promise<void>
}

/** How a test wants its ledger. Whoever asks for more than the pace needs a sandbox. */
export interface TestLedgerOptions extends SandboxOptions {
  /** milliseconds between ledgers, 0 for none but those that the test closes */
  closeIntervalMs?: number
  /** the least that this may be on a real server, where scripts are to run on it: 500 */
  realIntervalMs?: number
}

/** Opens a ledger with a shop's and a customer's account on it. */
export async function openLedger({
  closeIntervalMs = 200,
  realIntervalMs = scriptsIntervalMs,
  ...options
}: TestLedgerOptions = {}): Promise<TestLedger> {
  if (Object.keys(options).length > 0) needsSandbox(`it sets ${Object.keys(options)}`)
  const isReal = realUrl !== undefined
  const sandbox = isReal ? undefined : await startSandboxLedger({ port: 0, closeIntervalMs, ...options })
  const url = sandbox?.url ?? (realUrl as string)
  const administrator = await RawClient.connect(url)
  const ask: TestLedger['ask'] = async request => {
    const { result, error } = await administrator.ask(request)
    if (error) throw new Error(error)
    return result
  }
  const shop = isReal ? generate('ed25519') : accounts.shop
  const customer = isReal ? generate('secp256k1') : accounts.customer
  const closeLedger = async () => {
    await ask({ command: 'ledger_accept' })
  }
  const newest = async () => {
    const { ledger, ledger_index } = await ask<{ ledger: { close_time: number }; ledger_index: number }>({
      command: 'ledger',
      ledger_index: 'validated'
    })
    return { ledgerIndex: ledger_index, timeMs: (ledger.close_time + 946_684_800) * 1000 }
  }
  let timer: NodeJS.Timeout | undefined
  if (isReal) {
    await fund(ask, [shop, customer])
    if (realIntervalMs >= scriptsIntervalMs && (await newest()).timeMs - Date.now() > maxAheadMs)
      throw new Error(`The clock of "${url}" is too far ahead, from closing ledgers fast: start it afresh`)
    if (closeIntervalMs > 0) {
      timer = setInterval(() => closeLedger().catch(() => {}), Math.max(closeIntervalMs, realIntervalMs))
    }
  }
  return {
    url,
    shop,
    customer,
    env: { TEST_LEDGER: url, SHOP_SECRET: shop.secret, CUSTOMER_SECRET: customer.secret },
    closeLedger,
    newest,
    async openTransactions() {
      const request = { command: 'ledger', ledger_index: 'current', transactions: true }
      return (await ask<{ ledger: { transactions?: unknown[] } }>(request)).ledger.transactions?.length ?? 0
    },
    async transactionsOf(account) {
      const { transactions } = await ask<{ transactions: { tx: Record<string, unknown> }[] }>({
        command: 'account_tx',
        account,
        ledger_index_min: -1,
        ledger_index_max: -1,
        forward: true,
        limit: 10_000
      })
      return transactions.map(({ tx }) => tx)
    },
    ask,
    async close() {
      clearInterval(timer)
      administrator.close()
      await sandbox?.close()
    }
  }
}

/** Skips the test that runs, or is told about, on a real server. */
export function needsSandbox(reason: string): void {
  if (realUrl) TestRunner.getCurrentTest()?.context.skip(`a sandbox only: ${reason}`)
}

function generate(algorithm: 'ed25519' | 'secp256k1'): TestAccount {
  const secret = encodeSeed(randomBytes(16), algorithm)
  return { address: walletOf(secret).address, secret }
}

/** Pays accounts into being, from the genesis account, which others may be using at the same moment. */
async function fund(ask: TestLedger['ask'], funded: TestAccount[]): Promise<void> {
  const genesis = walletOf(accounts.genesis.secret)
  for (const { address } of funded) {
    for (let result = ''; result !== 'tesSUCCESS'; ) {
      const { account_data } = await ask<{ account_data: { Sequence: number } }>({
        command: 'account_info',
        account: genesis.address,
        ledger_index: 'current'
      })
      const { blob } = genesis.sign({
        TransactionType: 'Payment',
        Account: genesis.address,
        Destination: address,
        Amount: String(fundingXrp * 1_000_000),
        Fee: '100000',
        Sequence: account_data.Sequence
      })
      result = (await ask<{ engine_result: string }>({ command: 'submit', tx_blob: blob })).engine_result
      if (!/^(tes|tefPAST_SEQ|terPRE_SEQ)/.test(result)) throw new Error(`The funding failed: ${result}`)
    }
  }
  await ask({ command: 'ledger_accept' })
}
