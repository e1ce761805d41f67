import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import PluginXrpEscrow, {
  type LedgerTransfer,
  type PluginEvents,
  type PluginOptions,
  type Transfer
} from 'ilp-plugin-xrp-escrow'
import { expect, onTestFinished } from 'vitest'
import { walletOf } from '../../src/ilp-plugin-xrp-escrow/wallet.ts'
import { accounts, type SandboxOptions, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { DistortingServer, type Distortion } from '../support/distorting-server.ts'
import { needsSandbox, openLedger, type TestLedger, type TestLedgerOptions } from '../support/ledger.ts'

export const prefix = 'test.crypto.xrp.'
export const { genesis } = accounts

/** Why an incoming transfer is rejected. */
export const reason = {
  code: 'F05',
  name: 'Wrong Condition',
  message: 'Unable to fulfill the condition',
  triggered_by: prefix + accounts.shop.address,
  triggered_at: '2017-10-31T12:00:00.000Z',
  forwarded_by: [],
  additional_info: { more: [1] }
}

/** The accounts of the test that runs: on a real server each test has its own. */
export let customer: TestLedger['customer'] = accounts.customer
export let shop: TestLedger['shop'] = accounts.shop

/** A ledger for one test, and the accounts on it. */
export async function useLedger(options: TestLedgerOptions = {}): Promise<TestLedger> {
  const ledger = await openLedger({ closeIntervalMs: 50, realIntervalMs: 200, ...options })
  onTestFinished(() => ledger.close())
  customer = ledger.customer
  shop = ledger.shop
  return ledger
}

/** A sandbox for one test that restarts the ledger, or looks behind it. */
export async function useSandbox(options: SandboxOptions = {}) {
  needsSandbox('it looks behind the API')
  const sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 50, ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** A server for one test, before a ledger. */
export async function useServer(ledger: { url: string }, ...distortions: Distortion[]) {
  const server = await DistortingServer.start(ledger, distortions)
  onTestFinished(() => server.close())
  return server
}

/** Of a ledger that closes fast, so that twenty of them pass while a test waits. */
export const fast = { closeIntervalMs: 20 }

/** A plugin for one test that is not connected yet, and all that it tells. */
export function useUnconnected(server: string, options: Partial<PluginOptions> = {}) {
  const plugin = new PluginXrpEscrow({ server, secret: customer.secret, ...options })
  onTestFinished(() => plugin.disconnect())
  return { plugin, told: record(plugin) }
}

/** A connected plugin for one test, and all that it tells. */
export async function usePlugin(server: string, options: Partial<PluginOptions> = {}) {
  const { plugin, told } = useUnconnected(server, options)
  await plugin.connect({ timeout: 120_000 })
  return Object.assign(plugin, { told })
}

export type TestPlugin = Awaited<ReturnType<typeof usePlugin>>

/** A ledger, a server before it, and a plugin of the customer there. */
export async function usePayer(options: TestLedgerOptions = {}, ...distortions: Distortion[]) {
  const ledger = await useLedger(options)
  const server = await useServer(ledger, ...distortions)
  return { ledger, server, payer: await usePlugin(server.url) }
}

/** Which of two plugins are at a server before their ledger, and how the shop's is made. */
interface PairOptions extends TestLedgerOptions {
  atServer?: 'payer' | 'payee' | 'both'
  shopOptions?: Partial<PluginOptions>
}

/** A ledger, a server before it, and a plugin of the customer and one of the shop. */
export async function usePair(
  { atServer, shopOptions, ...options }: PairOptions = {},
  ...distortions: Distortion[]
) {
  const ledger = await useLedger(options)
  const server = await useServer(ledger, ...distortions)
  const urlOf = (who: string) => (atServer === who || atServer === 'both' ? server : ledger).url
  const payer = await usePlugin(urlOf('payer'))
  const payee = await usePlugin(urlOf('payee'), { secret: shop.secret, ...shopOptions })
  return { ledger, server, payer, payee }
}

/** Sends a transfer, and waits until its receiver has been told. */
export async function prepare(
  { payer, payee }: { payer: PluginXrpEscrow; payee: TestPlugin },
  fields: Partial<Transfer> = {}
) {
  const transfer = someTransfer(fields)
  await payer.sendTransfer(transfer)
  if (storyOf(payee.told, transfer.id).length === 0) await next(payee, 'incoming_prepare')
  return transfer
}

/** An error of the interface, or any of that name. */
export function named(name: string, fields: object = {}) {
  return expect.objectContaining({ name, ...fields })
}

/** What the ledger has of an account's own transactions, or of those of one type. */
export async function ownTransactions(ledger: TestLedger, address = customer.address, type?: string) {
  return (await ledger.transactionsOf(address)).filter(
    ({ Account, TransactionType }) => Account === address && (!type || TransactionType === type)
  )
}

/** Waits until so many more ledgers have closed. */
export async function moreLedgers(ledger: TestLedger, count: number): Promise<void> {
  const last = (await ledger.newest()).ledgerIndex + count
  const newest = async () => (await ledger.newest()).ledgerIndex
  await expect.poll(newest, { interval: 10 }).toBeGreaterThanOrEqual(last)
}

/** Waits until so many transactions are in the open ledger. */
export async function openTransactions(ledger: TestLedger, count: number): Promise<void> {
  await expect.poll(() => ledger.openTransactions(), { interval: 5 }).toBeGreaterThanOrEqual(count)
}

/** Lets everybody in this process read and answer what there is. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

/** The ids of the transfers that events were told of. */
export function idsOf(told: unknown[][]): string[] {
  return told.map(([transfer]) => (transfer as Transfer).id)
}

/** One event with its arguments. */
export type Told = [event: keyof PluginEvents, ...args: unknown[]]

/** Writes down all events of a plugin as they come. */
export function record(plugin: PluginXrpEscrow): Told[] {
  const told: Told[] = []
  for (const event of eventNames) plugin.on(event, (...args: unknown[]) => told.push([event, ...args]))
  return told
}

const directions = ['incoming', 'outgoing'] as const
const kinds = ['transfer', 'prepare', 'fulfill', 'reject', 'cancel', 'request', 'response'] as const
const eventNames: (keyof PluginEvents)[] = [
  'connect',
  'disconnect',
  'error',
  ...directions.flatMap(direction => kinds.map(kind => `${direction}_${kind}` as const))
]

/** The names of the events that concern one transfer, in order. */
export function storyOf(told: Told[], id: string): string[] {
  return storiesOf(told).get(id) ?? []
}

/** The same for each transfer. */
export function storiesOf(told: Told[]): Map<string, string[]> {
  const stories = new Map<string, string[]>()
  for (const [event, first] of told) {
    const { id } = (first ?? {}) as Partial<LedgerTransfer>
    if (id !== undefined) stories.set(id, [...(stories.get(id) ?? []), event])
  }
  return stories
}

/** Waits until an event has been told so often, from the beginning on. Returns the arguments of each. */
export async function until(plugin: TestPlugin, event: keyof PluginEvents, times = 1): Promise<unknown[][]> {
  const matching = () => plugin.told.filter(([name]) => name === event).map(([, ...args]) => args)
  let missing = times - matching().length
  if (missing > 0) {
    await new Promise<void>(resolve => {
      plugin.on(event, function count() {
        if (--missing > 0) return
        plugin.off(event, count)
        resolve()
      })
    })
  }
  return matching()
}

/** Waits for the next event of that name. */
export function next(emitter: EventEmitter, event: string): Promise<unknown[]> {
  return new Promise(resolve => emitter.once(event, (...args) => resolve(args)))
}

/** A transfer that can be sent, with the fulfillment that takes it. */
export function someTransfer(fields: Partial<Transfer> = {}): Transfer & { fulfillment: string } {
  const preimage = randomBytes(32)
  const transfer = {
    id: randomUUID(),
    to: `${prefix}${shop.address}.client.0`,
    amount: '10',
    ilp: 'ARgAAAAAAAAAawxleGFtcGxlLmFsaWNlAAA',
    executionCondition: createHash('sha256').update(preimage).digest('base64url'),
    // The clock of a real server runs ahead when its ledgers are closed fast.
    expiresAt: new Date(Date.now() + 24 * 3_600_000).toISOString(),
    ...fields
  }
  // Only the plugin's fields go to the plugin.
  return Object.defineProperty(transfer as Transfer & { fulfillment: string }, 'fulfillment', {
    value: preimage.toString('base64url'),
    enumerable: false
  })
}

/** The time of a ledger so many seconds ahead of the newest one, ISO 8601. */
export async function ledgerTime(ledger: TestLedger, aheadSeconds: number): Promise<string> {
  return new Date((await ledger.newest()).timeMs + aheadSeconds * 1000).toISOString()
}

/** Someone who uses the ledger without a plugin. */
export function strangerOn({ ask }: TestLedger, secret = genesis.secret) {
  const wallet = walletOf(secret)
  const submitBlob = (tx_blob: string) => ask<{ engine_result: string }>({ command: 'submit', tx_blob })
  const sign = async (tx: Record<string, unknown>) => {
    const account = wallet.address
    const request = { command: 'account_info', account, ledger_index: 'current' }
    const { Sequence } = (await ask<{ account_data: { Sequence: number } }>(request)).account_data
    return { Sequence, ...wallet.sign({ Account: account, Sequence, Fee: '400', ...tx }) }
  }
  return {
    submitBlob,
    /** Signs a transaction without account, sequence and fee. */
    sign,
    /** Signs and submits such a transaction. Returns the preliminary result. */
    async submit(tx: Record<string, unknown>) {
      const { blob, Sequence } = await sign(tx)
      return { ...(await submitBlob(blob)), Sequence }
    }
  }
}

/** Upper-case hex of UTF-8, as in memos. */
export function hex(text: string): string {
  return Buffer.from(text).toString('hex').toUpperCase()
}

export function memo(type: string, data: string) {
  return { Memo: { MemoType: hex(`https://interledger.org/rel/${type}`), MemoData: hex(data) } }
}
