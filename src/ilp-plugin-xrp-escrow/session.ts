import { AccountNotFoundError, NotAcceptedError, UnreachableError } from './errors.ts'
import { isUInt32, toObject } from './json.ts'
import type { ClosedLedger } from './known-ledgers.ts'
import { type Follower, LedgerConnection } from './ledger-connection.ts'
import { nameOf, ownId, type ValidatedTransaction } from './ledger-transaction.ts'
import { Messages } from './messages.ts'
import { type Settings, toSettings } from './options.ts'
import { Outbox } from './outbox.ts'
import { refused } from './refusals.ts'
import { type Ask, errorCode } from './server-socket.ts'
import { Stock } from './stock.ts'
import { Submitter } from './submitter.ts'
import type { TransferRecord } from './transfer-log.ts'
import { Transfers } from './transfers.ts'
import type { PluginEvents, PluginOptions, RequestHandler } from './types.ts'

const lsfDisableMaster = 0x00100000
// How long to wait for a ledger that may tell of a transfer; ledgers can stand still.
const maxWaitMs = 10_000
// How long to wait for what was open before: a few transfers are soon told of, thousands while one works.
const maxStockMs = 1_000

/** What a session needs of its plugin. */
interface SessionHost {
  requestHandler(): RequestHandler | undefined
  tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void
}

/** An account on a ledger: what a plugin puts together at its first `connect`, and keeps. */
export class Session implements Follower {
  readonly settings: Settings
  readonly address: string
  readonly connection: LedgerConnection
  readonly submitter: Submitter
  readonly transfers: Transfers
  readonly messages: Messages
  readonly outbox: Outbox
  readonly #stock: Stock
  readonly #tell: SessionHost['tell']
  // Who waits for something that may be so by now.
  readonly #waiting = new Set<() => void>()

  /** @throws InvalidFieldsError for options that are wrong */
  constructor(options: PluginOptions, { tell, requestHandler }: SessionHost) {
    this.settings = toSettings(options)
    const { wallet, server, serverName, prefix, maxFeeDrops, rememberedTransfers, store } = this.settings
    const { address } = wallet
    const connection = new LedgerConnection(server, serverName, address, prefix, this)
    const submitter = new Submitter(connection, wallet, maxFeeDrops)
    const common = { address, prefix, tell, submit: submitter.submit.bind(submitter) }
    const transfers = new Transfers({
      ...common,
      remembered: rememberedTransfers,
      sendRejections: this.settings.sendRejections,
      closeTime: () => connection.validated.closeTime,
      noteToSelf: id => this.outbox.noteToSelf(id)
    })
    this.#stock = new Stock(connection, address, transfers, {
      onProgress: () => {},
      expect: transactions => this.expect(transactions),
      takeUp(transaction) {
        transfers.takeUp(transaction)
        submitter.onTransaction(transaction)
      }
    })
    const { ownKnown } = this.#stock
    this.outbox = new Outbox({ address, connection, submitter, log: transfers.outgoing, ownKnown }, store)
    this.messages = new Messages({ ...common, requestHandler })
    this.address = address
    this.connection = connection
    this.submitter = submitter
    this.transfers = transfers
    this.#tell = tell
  }

  /**
   * Connects, and tells of what is open from before, as far as that is soon done.
   *
   * @param timeoutMs - how long to wait for the server
   */
  async open(timeoutMs: number): Promise<void> {
    await this.connection.open(timeoutMs)
    await this.#until(() => this.#stock.isKnown, maxStockMs)
  }

  /** Disconnects, and gives up what has not been sent. */
  async close(reason: string): Promise<void> {
    this.outbox.giveUpUnsent(reason)
    this.messages.giveUp(new UnreachableError(reason))
    await this.connection.close()
  }

  /** An incoming transfer, also one that only the next ledger tells of: its payer may have been told a moment before. */
  async awaitIncoming(id: string): Promise<TransferRecord | undefined> {
    const { index } = this.connection.validated
    const find = () => this.transfers.incoming.get(id)
    await this.#until(() => find() !== undefined || this.connection.lastRead.index > index, maxWaitMs)
    return find()
  }

  /** Reads the account's history for a transfer, the first one of that id: its own rather than another's. */
  async findOnLedger(id: string): Promise<TransferRecord | undefined> {
    let found: TransferRecord | undefined
    try {
      for await (const { transactions } of this.connection.history()) {
        for (const { account, hash, content } of transactions) {
          const isEnd = content?.kind === 'finish' || content?.kind === 'cancel'
          if (content?.kind === 'transfer' && (content.transfer.id === id || ownId(hash) === id)) {
            const isOwn = account === this.address
            if (found && (!isOwn || found.transfer.from.endsWith(this.address))) continue
            found = { ...content, state: 'prepared', transfer: { ...content.transfer, id } }
          } else if (isEnd && found?.escrow && content.escrow === nameOf(found.escrow)) {
            found.state = content.kind === 'finish' ? 'fulfilled' : 'cancelled'
            if (content.kind === 'finish') found.fulfillment = content.fulfillment
          }
        }
      }
    } catch (err) {
      throw refused(`Transfer "${id}" cannot be looked for on the ledger`, err)
    }
    return found
  }

  /** Whether the account is there, and the secret can sign for it. */
  async admit(ask: Ask, ledger_index: number): Promise<void> {
    const { address } = this
    try {
      const { account_data } = await ask({ command: 'account_info', account: address, ledger_index })
      const flags = toObject(account_data)?.Flags
      if (isUInt32(flags) && flags & lsfDisableMaster) {
        throw new NotAcceptedError(
          `The account "${address}" has disabled its master key, so the secret cannot sign for it`
        )
      }
      this.#stock.invalidate()
    } catch (cause) {
      if (errorCode(cause) !== 'actNotFound') throw refused(`The account "${address}" was refused`, cause)
      const where = `does not exist on "${this.settings.serverName}"`
      throw new AccountNotFoundError(`The account "${address}" ${where}: fund it first`, { cause })
    }
  }

  expect(transactions: ValidatedTransaction[]): Promise<void> {
    return this.outbox.recall(transactions)
  }

  onUp(): void {
    this.submitter.onUp()
    this.#tell('connect')
    this.#takeStock(this.connection.lastRead)
  }

  onDown(): void {
    this.#tell('disconnect')
    this.#look()
  }

  onRefused(reason: Error): void {
    this.#tell('error', reason)
  }

  onLedger(ledger: ClosedLedger): void {
    this.submitter.onLedger(ledger)
  }

  onTransaction(transaction: ValidatedTransaction): void {
    const { account, content } = transaction
    try {
      this.transfers.onTransaction(transaction)
      this.submitter.onTransaction(transaction)
      if (content?.kind === 'payment' && content.message)
        this.messages.onPayment(account, content.payee, content.message)
    } catch (err) {
      // A fault of ours must not keep the next transaction from being told.
      this.#tell('error', err as Error)
    }
  }

  onRead(ledger: ClosedLedger): void {
    this.transfers.onRead(ledger)
    this.submitter.onRead(ledger)
    this.#takeStock(ledger)
    this.#look()
  }

  onMissed(firstLedger: number, lastLedger: number): void {
    this.submitter.onMissed(lastLedger)
    this.#stock.invalidate()
    const what = `the ledgers ${firstLedger} to ${lastLedger}: what happened in them is not told`
    this.#tell(
      'error',
      new UnreachableError(`The server "${this.settings.serverName}" does not have ${what}`)
    )
  }

  onReset(): void {
    const what = 'it was restarted empty, and what was on its way is gone'
    const name = this.settings.serverName
    const err = new UnreachableError(`The ledger at "${name}" is not the one it was: ${what}`)
    this.submitter.giveUp(Object.assign(err, { code: 'LEDGER_RESET' }))
    this.#stock.invalidate()
    this.#tell('error', Object.assign(err, { transferIds: this.transfers.onReset() }))
  }

  async #takeStock(ledger: ClosedLedger): Promise<void> {
    await this.#stock.onRead(ledger)
    this.#look()
  }

  /** Waits until something is so, for some time at most, and not without a connection. */
  #until(isSo: () => boolean, maxMs: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      const look = () => {
        if (isSo() || !this.connection.isUp) done()
      }
      const timer = setTimeout(done, maxMs)
      this.#waiting.add(look)
      look()
    })
  }

  #look(): void {
    for (const look of this.#waiting) look()
  }
}
