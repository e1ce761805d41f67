import { EventEmitter, once } from 'node:events'
import { AccountFollower } from './account-follower.ts'
import {
  check,
  MissingFulfillmentError,
  NotAcceptedError,
  RequestHandlerAlreadyRegisteredError,
  requestFailed,
  TransferNotConditionalError,
  TransferNotFoundError,
  UnreachableError
} from './errors.ts'
import { copyOf, toObject } from './json.ts'
import { Messages } from './messages.ts'
import { type Settings, toSettings } from './options.ts'
import { Submitter } from './submitter.ts'
import { meetsCondition, parseBytes32, toTransaction } from './transactions.ts'
import { alreadyFulfilled, isRolledBack, rolledBack, type TransferRecord } from './transfer-log.ts'
import { Transfers } from './transfers.ts'
import type {
  LedgerInfo,
  Message,
  PluginEvents,
  PluginOptions,
  RejectionMessage,
  RequestHandler,
  Transfer
} from './types.ts'

const defaultTimeoutMs = 10_000
// How long to wait for the next ledger, which may hold a transfer that is not known yet.
const maxLedgerMs = 10_000

/** What a plugin consists of, from its first `connect` on. */
interface Parts {
  settings: Settings
  follower: AccountFollower
  submitter: Submitter
  transfers: Transfers
  messages: Messages
}

/**
 * A ledger plugin for the XRP Ledger: conditional transfers are escrows.
 *
 * @see Interledger RFC 0004 (Ledger Plugin Interface), draft 8
 */
export class PluginXrpEscrow extends EventEmitter<PluginEvents> {
  readonly #options: PluginOptions
  #parts: Parts | undefined
  #connecting: Promise<void> | undefined
  #requestHandler: RequestHandler | undefined
  // How to reject the host's promises that wait for the ledger.
  readonly #waiting = new Set<(reason: Error) => void>()

  /**
   * @param options - see `PluginOptions`; `connect` checks them
   * @throws InvalidFieldsError if there are none
   */
  constructor(options: PluginOptions) {
    super()
    check(toObject(options), 'The plugin has no options: it needs "secret" and "server" at least')
    this.#options = options
  }

  /**
   * Connects to the ledger and follows the account's transfers.
   *
   * @param options - `timeout`: milliseconds to wait for the server, default 10000; Infinity for no limit
   * @throws TypeError if the timeout is not a number
   * @throws InvalidFieldsError if the options are missing or malformed
   * @throws NotAcceptedError if the ledger does not accept the secret for the account
   * @throws AccountNotFoundError if the account is not on the ledger
   * @throws UnreachableError if the server does not answer in time, or is not in step with its network
   */
  connect(options: { timeout?: number } = {}): Promise<void> {
    if (!this.#connecting) {
      const connecting = this.#connect(options?.timeout ?? defaultTimeoutMs).finally(() => {
        if (this.#connecting === connecting) this.#connecting = undefined
      })
      this.#connecting = connecting
    }
    return this.#connecting
  }

  /**
   * Disconnects. All that waits for the ledger is rejected with an UnreachableError whose code is `DISCONNECTED`: what
   * was submitted may still be validated, and has its events after the next `connect`; what was not is never sent.
   */
  async disconnect(): Promise<void> {
    this.#connecting = undefined
    if (!this.#parts) return
    const { follower, submitter, messages } = this.#parts
    const message = 'Disconnected before the transaction was final'
    const reason = new UnreachableError(message, { code: 'DISCONNECTED' })
    for (const reject of this.#waiting) reject(reason)
    submitter.stop(message)
    messages.stop(reason)
    await follower.close()
  }

  isConnected(): boolean {
    return this.#parts?.follower.isConnected ?? false
  }

  /** @throws UnreachableError while disconnected */
  getInfo(): LedgerInfo {
    const { prefix } = this.#connected().settings
    return { prefix, currencyCode: 'XRP', currencyScale: 6, connectors: [] }
  }

  /**
   * @returns ILP address of the plugin's account
   * @throws UnreachableError while disconnected
   */
  getAccount(): string {
    const { prefix, wallet } = this.#connected().settings
    return prefix + wallet.address
  }

  /** @returns the account's validated balance in drops, reserves included */
  async getBalance(): Promise<string> {
    const { settings, follower } = this.#connected()
    const account = settings.wallet.address
    try {
      const request = { command: 'account_info', account, ledger_index: 'validated' }
      const { account_data } = await follower.ask(server => server.requestWithRetry(request))
      return String(toObject(account_data)?.Balance)
    } catch (err) {
      throw requestFailed(`The balance of "${account}" is unknown`, err)
    }
  }

  /**
   * Beyond the interface: what a fulfillment costs now, in drops. The server is asked once for each ledger.
   *
   * @throws NotAcceptedError with the code `NETWORK_BUSY` if that is more than `maxFeeDrops`
   */
  async getFulfillmentFee(): Promise<string> {
    return String(await this.#connected().submitter.fulfillmentFee())
  }

  /**
   * Beyond the interface: the ledger's time now, by which transfers expire.
   *
   * @throws UnreachableError while disconnected
   */
  getLedgerTime(): Date {
    return this.#connected().follower.time
  }

  /**
   * The fulfillment of a transfer from or to this account. That of a transfer which is not in memory any more is read
   * from the account's history, which takes as long as the history is.
   *
   * @returns 32 bytes, base64url
   * @throws TransferNotFoundError, TransferNotConditionalError, AlreadyRolledBackError, MissingFulfillmentError
   */
  async getFulfillment(id: string): Promise<string> {
    const parts = this.#connected()
    const known = parts.transfers.outgoing.get(id) ?? parts.transfers.incoming.get(id)
    const isKnown = known && known.state !== 'unknown'
    const found = isKnown ? known : await findInHistory(parts, id)
    const record = conditional(id, found ?? known)
    if (record.fulfillment) return record.fulfillment
    if (isRolledBack(record) || record.isRejected) throw rolledBack(record)
    throw new MissingFulfillmentError(`Transfer "${id}" has not been fulfilled yet`)
  }

  /**
   * Prepares a transfer: locks its amount in an escrow until it is fulfilled or expires. A transfer without a
   * condition is a plain payment. The same transfer again gets the outcome of the first.
   *
   * @returns when the transfer is validated
   * @throws InvalidFieldsError, DuplicateIdError, InsufficientBalanceError, AccountNotFoundError,
   *   MaximumIlpDataSizeExceededError
   * @throws NotAcceptedError with the code `NETWORK_BUSY` if the network has no room for it
   * @throws UnreachableError while disconnected; with a code if the outcome is unknown
   */
  async sendTransfer(transfer: Transfer): Promise<void> {
    const { settings, transfers } = this.#connected()
    const tx = toTransaction(transfer, settings.wallet.address, settings.prefix)
    return this.#orDisconnected(transfers.send(transfer, tx))
  }

  /**
   * Collects an incoming transfer. The same fulfillment again costs nothing. A transfer that is not known is waited for
   * until the next ledger.
   *
   * @param fulfillment - 32 bytes, base64url, whose hash is the transfer's condition
   * @returns when the fulfillment is validated
   * @throws InvalidFieldsError, TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError,
   *   AlreadyRolledBackError, NotAcceptedError
   * @throws UnreachableError while disconnected; with a code if the outcome is unknown
   */
  async fulfillCondition(id: string, fulfillment: string): Promise<void> {
    const { transfers } = this.#connected()
    const preimage = parseBytes32(fulfillment)
    check(
      preimage,
      `The fulfillment "${fulfillment}" of transfer "${id}" is not 32 bytes of unpadded base64url`
    )
    const record = await this.#findIncoming(id)
    if (isRolledBack(record)) throw rolledBack(record)
    if (record.fulfillment === preimage.toString('base64url')) return
    if (record.fulfillment) throw alreadyFulfilled(id)
    const { executionCondition } = record.transfer
    if (!meetsCondition(fulfillment, executionCondition))
      throw new NotAcceptedError(
        `The fulfillment "${fulfillment}" does not match the condition "${executionCondition}" of transfer "${id}"`
      )
    return this.#orDisconnected(transfers.fulfill(record, preimage))
  }

  /**
   * Rejects an incoming transfer. Its money stays locked until it expires.
   *
   * @param reason - passed to the event `incoming_reject`, and with the option `sendRejections` to the payer
   * @throws InvalidFieldsError, TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError
   * @throws NotAcceptedError if it is an outgoing transfer
   */
  async rejectIncomingTransfer(id: string, reason: RejectionMessage): Promise<void> {
    const { transfers } = this.#connected()
    check(toObject(reason), `There is no reason to reject transfer "${id}"`)
    const record = await this.#findIncoming(id)
    if (record.fulfilling || record.fulfillment) throw alreadyFulfilled(id)
    if (!isRolledBack(record) && record.state !== 'unknown') transfers.reject(record, copyOf(reason))
  }

  /**
   * Sends a request to another account and waits for its response.
   *
   * @param message - its `timeout` in milliseconds is 20000 unless set; Infinity for no limit
   * @throws InvalidFieldsError, AccountNotFoundError, InsufficientBalanceError, NotAcceptedError,
   *   MaximumIlpDataSizeExceededError, MaximumCustomDataSizeExceededError
   * @throws NoSubscriptionsError if no response comes in time
   */
  async sendRequest(message: Message): Promise<Message> {
    return this.#connected().messages.request(copyOf(message))
  }

  /** @throws RequestHandlerAlreadyRegisteredError, InvalidFieldsError */
  registerRequestHandler(handler: RequestHandler): void {
    if (this.#requestHandler)
      throw new RequestHandlerAlreadyRegisteredError('A request handler is registered already')
    check(typeof handler === 'function', 'The request handler is not a function')
    this.#requestHandler = handler
  }

  deregisterRequestHandler(): void {
    this.#requestHandler = undefined
  }

  async #connect(timeout: unknown): Promise<void> {
    if (typeof timeout !== 'number')
      throw new TypeError(`The timeout "${timeout}" is not a number (of milliseconds)`)
    this.#parts ??= this.#assemble()
    if (!this.isConnected()) await this.#parts.follower.open(timeout > 0 ? timeout : defaultTimeoutMs)
  }

  /** Makes the parts, and lets them know what the follower reads. */
  #assemble(): Parts {
    const settings = toSettings(this.#options)
    const emit = this.#emit.bind(this)
    const follower = new AccountFollower(settings)
    const submitter = new Submitter(follower, settings)
    const transfers = new Transfers(follower, submitter, settings, emit)
    const messages = new Messages(submitter, settings, emit, () => this.#requestHandler)
    follower.on('connect', () => {
      submitter.onConnect()
      emit('connect')
    })
    follower.on('disconnect', () => emit('disconnect'))
    follower.on('refused', err => emit('error', err))
    follower.on('gap', gap => {
      submitter.onGap(gap)
      transfers.onGap(gap)
    })
    follower.on('transaction', transaction => {
      submitter.onTransaction(transaction)
      transfers.onTransaction(transaction)
      messages.onTransaction(transaction)
    })
    follower.on('read', async ledger => {
      transfers.onRead(ledger)
      if (await submitter.review(ledger)) await transfers.resync(ledger)
    })
    return { settings, follower, submitter, transfers, messages }
  }

  /** Emits an event, to each listener with a copy of its own. What one of them throws does not affect the others. */
  #emit<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void {
    const onHostError = (err: unknown) => {
      if (event !== 'error' && this.listenerCount('error') > 0) this.#emit('error', err as Error)
      else process.emitWarning(err instanceof Error ? err : String(err))
    }
    for (const listener of this.rawListeners(event)) {
      try {
        const result: unknown = Reflect.apply(listener, this, args.map(copyOf))
        if (result instanceof Promise) result.catch(onHostError)
      } catch (err) {
        onHostError(err)
      }
    }
  }

  #connected(): Parts {
    if (this.#parts?.follower.isConnected) return this.#parts
    const { serverName } = this.#parts?.settings ?? {}
    const where = serverName === undefined ? '' : ` to "${serverName}"`
    throw new UnreachableError(`The plugin is not connected${where}: call connect() first`)
  }

  /** The outcome of something that `disconnect` ends. */
  #orDisconnected<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      outcome.then(resolve, reject).finally(() => this.#waiting.delete(reject))
    })
  }

  /** An incoming transfer, also one that only the next ledger brings: its payer may know of it a moment earlier. */
  async #findIncoming(id: string): Promise<TransferRecord> {
    const { follower, transfers } = this.#connected()
    const isOwn = transfers.outgoing.get(id) !== undefined
    if (!isOwn && !transfers.incoming.get(id)) await this.#orDisconnected(nextLedger(follower))
    const record = transfers.incoming.get(id)
    if (record || !isOwn) return conditional(id, record)
    const who = 'only its receiver can fulfill or reject it'
    throw new NotAcceptedError(`Transfer "${id}" is this account's own: ${who}`)
  }
}

/** Waits until the next ledger was read, if that comes in time. */
async function nextLedger(follower: AccountFollower): Promise<void> {
  const { index } = follower.validated
  const signal = AbortSignal.timeout(maxLedgerMs)
  try {
    while (follower.lastRead.index <= index) await once(follower, 'read', { signal })
  } catch {
    // Ledgers can stand still.
  }
}

/** A transfer as the account's history has it. */
async function findInHistory(parts: Parts, id: string): Promise<TransferRecord | undefined> {
  const { follower, submitter, settings } = parts
  const past = new Transfers(follower, submitter, settings, () => {})
  let outgoing: TransferRecord | undefined
  let incoming: TransferRecord | undefined
  try {
    for await (const transaction of follower.history()) {
      past.onTransaction(transaction)
      outgoing ??= past.outgoing.get(id)
      incoming ??= past.incoming.get(id)
    }
  } catch (err) {
    throw requestFailed(`Transfer "${id}" cannot be looked for on the ledger`, err)
  }
  return outgoing ?? incoming
}

function conditional(id: string, record: TransferRecord | undefined): TransferRecord {
  if (!record) throw new TransferNotFoundError(`There is no transfer with the id "${id}", or it is long over`)
  if (record.transfer.executionCondition === undefined)
    throw new TransferNotConditionalError(`Transfer "${id}" has no condition`)
  return record
}
