import { createHash } from 'node:crypto'
import { Wallet } from 'xrpl'
import {
  accounts,
  type SandboxLedger,
  type SandboxOptions,
  startSandboxLedger
} from '../../src/xrpl-sandbox/index.ts'
import { type Message, RawClient } from './client.ts'

export const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest()
const hex = (bytes: Buffer) => bytes.toString('hex').toUpperCase()

/** Condition and fulfillment of a preimage (32 bytes), as they stand in transactions. */
export function lock(label: string) {
  const preimage = sha256(label)
  return {
    Condition: `A0258020${hex(sha256(preimage))}810120`,
    Fulfillment: `A0228020${hex(preimage)}`
  }
}

export const genesis = Wallet.fromSeed(accounts.genesis.secret, { algorithm: 'ecdsa-secp256k1' as never })
export const shop = Wallet.fromSeed(accounts.shop.secret)
export const customer = Wallet.fromSeed(accounts.customer.secret)
/** A customer with a key of the older kind; it is not funded. */
export const secp256k1Customer = Wallet.fromEntropy(sha256('customer').subarray(0, 16), {
  algorithm: 'ecdsa-secp256k1' as never
})
export const wallet = (name: string) => Wallet.fromEntropy(sha256(name).subarray(0, 16))

export const NEVER = 4_000_000_000

/** A sandbox that closes its ledgers on demand, with a client of it. */
export class Bench {
  readonly sandbox: SandboxLedger
  readonly client: RawClient

  constructor(sandbox: SandboxLedger, client: RawClient) {
    this.sandbox = sandbox
    this.client = client
  }

  /** Starts one whose time goes on with its ledgers alone, a second with each, however slow the machine is. */
  static async start(options: SandboxOptions = {}): Promise<Bench> {
    const begunAt = Date.now()
    const sandbox = await startSandboxLedger({
      ...{ port: 0, closeIntervalMs: 0, now: () => begunAt },
      ...options
    })
    return new Bench(sandbox, await RawClient.connect(sandbox.url))
  }

  async stop() {
    this.client.close()
    await this.sandbox.close()
  }

  /** The `result` of a command that succeeds. */
  async ask(command: string, params: object = {}): Promise<Message> {
    const answer = await this.client.ask({ command, ...params })
    if (answer.status !== 'success') throw new Error(`${command} failed: ${JSON.stringify(answer)}`)
    return answer.result
  }

  /** The error name of a command that fails. */
  async askInVain(command: string, params: object = {}): Promise<string> {
    const answer = await this.client.ask({ command, ...params })
    if (answer.status !== 'error') throw new Error(`${command} succeeded: ${JSON.stringify(answer)}`)
    return answer.error
  }

  close(): Promise<Message> {
    return this.ask('ledger_accept')
  }

  async account({ address }: { address: string }, ledger_index: string | number = 'current') {
    const { account_data } = await this.ask('account_info', { account: address, ledger_index })
    return account_data
  }

  /** Fills in what a transaction needs, unless it is given, and signs. */
  async sign(by: Wallet, fields: Record<string, unknown>) {
    const Sequence = fields.Sequence ?? (await this.account(by)).Sequence
    const Fee = fields.Fulfillment ? '350' : '10'
    return by.sign({ Account: by.address, Fee, ...fields, Sequence } as never)
  }

  /** Signs and submits; the answer, with the `hash` beside it. */
  async submit(by: Wallet, fields: Record<string, unknown>): Promise<Message> {
    const { tx_blob, hash } = await this.sign(by, fields)
    return { ...(await this.ask('submit', { tx_blob })), hash }
  }

  pay(by: Wallet, to: { address: string }, drops: number | string, more: Record<string, unknown> = {}) {
    const payment = { TransactionType: 'Payment', Destination: to.address, Amount: String(drops) }
    return this.submit(by, { ...payment, ...more })
  }

  createEscrow(by: Wallet, to: { address: string }, more: Record<string, unknown> = {}) {
    const escrow = { TransactionType: 'EscrowCreate', Destination: to.address, Amount: '10' }
    return this.submit(by, { ...escrow, ...more })
  }

  finishEscrow(
    by: Wallet,
    owner: { address: string },
    OfferSequence: number,
    more: Record<string, unknown> = {}
  ) {
    return this.submit(by, { TransactionType: 'EscrowFinish', Owner: owner.address, OfferSequence, ...more })
  }

  cancelEscrow(by: Wallet, owner: { address: string }, OfferSequence: number) {
    return this.submit(by, { TransactionType: 'EscrowCancel', Owner: owner.address, OfferSequence })
  }

  /** The validated result of a transaction. */
  async result({ hash }: { hash: string }): Promise<string> {
    return (await this.ask('tx', { transaction: hash })).meta.TransactionResult
  }

  /** Closes empty ledgers until their time is past `time`. */
  async closeUntil(time: number) {
    while (this.sandbox.ledger.closedHeader.closeTime <= time) await this.close()
  }
}
