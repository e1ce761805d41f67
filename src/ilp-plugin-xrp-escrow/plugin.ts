import { EventEmitter } from 'node:events'
import { conditionOf, parseBytes32 } from './condition.ts'
import {
  DuplicateIdError,
  MissingFulfillmentError,
  NotAcceptedError,
  RequestHandlerAlreadyRegisteredError,
  TransferNotConditionalError,
  TransferNotFoundError,
  UnreachableError
} from './errors.ts'
import { check, copyOf, toObject } from './json.ts'
import { alreadyFulfilled, isRolledBack, refused, rolledBack } from './refusals.ts'
import { Session } from './session.ts'
import { termsOf, toRippleTime, toTransaction } from './transfer.ts'
import type { TransferRecord } from './transfer-log.ts'
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

/**
 * A ledger plugin for the XRP Ledger: conditional transfers are escrows.
 *
 * @see Interledger RFC 0004 (Ledger Plugin Interface), draft 8
 */
export class PluginXrpEscrow extends EventEmitter<PluginEvents> {
  readonly #options: PluginOptions
  #session: Session | undefined
  #connecting: Promise<void> | undefined
  #requestHandler: RequestHandler | undefined
  // How to tell those who wait for the ledger that the plugin was disconnected.
  readonly #waiting = new Set<(reason: Error) => void>()

  /**
   * @param options - see `PluginOptions`; they are checked at `connect`, and nothing is reached before
   * @throws InvalidFieldsError if there are none
   */
  constructor(options: PluginOptions) {
    super()
    check(toObject(options), 'The plugin has no options: it needs "secret" and "server" at least')
    this.#options = options
  }

  /**
   * Connects to the ledger and follows the account's transfers. Open ones of earlier are announced once it is
   * connected: before this resolves, or if there are many, also while the plugin works.
   *
   * @param options - `timeout`: milliseconds to wait for the server, default 10000; Infinity for no limit
   * @throws TypeError if the timeout is not a number
   * @throws InvalidFieldsError if the options are missing or malformed
   * @throws NotAcceptedError if the ledger does not take the secret for the account
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
   * Disconnects. Whoever waits for the ledger gets an UnreachableError: what was sent may still be carried out, as
   * events tell after the next `connect`; what was not sent is not.
   */
  async disconnect(): Promise<void> {
    this.#connecting = undefined
    if (!this.#session) return
    const reason = 'The plugin was disconnected before the ledger had decided'
    for (const reject of this.#waiting)
      reject(Object.assign(new UnreachableError(reason), { code: 'DISCONNECTED' }))
    await this.#session.close(reason)
  }

  isConnected(): boolean {
    return this.#session?.connection.isUp ?? false
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
    const { settings, address } = this.#connected()
    return settings.prefix + address
  }

  /**
   * The ledger's time now: when the last validated ledger closed, and the time since it arrived.
   *
   * @throws UnreachableError while disconnected
   */
  getLedgerTime(): Date {
    return this.#connected().connection.now()
  }

  /** @returns the account's validated balance in drops, reserves included */
  async getBalance(): Promise<string> {
    const { address: account, connection } = this.#connected()
    try {
      const request = { command: 'account_info', account, ledger_index: 'validated' }
      return String(toObject((await connection.patiently(request)).account_data)?.Balance)
    } catch (err) {
      throw refused(`The balance of "${account}" cannot be told`, err)
    }
  }

  /**
   * Beyond the interface: what a fulfillment would cost just now, in drops. The ledger is asked once per ledger.
   *
   * @throws NotAcceptedError if that is more than `maxFeeDrops`, so that no transfer should be given anything for
   */
  async getFulfillmentFee(): Promise<string> {
    try {
      return String(await this.#connected().submitter.fees.ofFulfillment())
    } catch (err) {
      throw refused('The cost of a fulfillment cannot be told', err)
    }
  }

  /**
   * The fulfillment of a transfer from or to this account. It is looked for on the ledger if the transfer is long
   * over, which takes as long as reading the account's whole history.
   *
   * @returns 32 bytes, base64url
   * @throws TransferNotFoundError, TransferNotConditionalError, AlreadyRolledBackError, MissingFulfillmentError
   */
  async getFulfillment(id: string): Promise<string> {
    const session = this.#connected()
    const { outgoing, incoming } = session.transfers
    const remembered = outgoing.get(id) ?? incoming.get(id)
    const isTold = remembered !== undefined && remembered.state !== 'lost'
    const record = conditional(id, isTold ? remembered : ((await session.findOnLedger(id)) ?? remembered))
    if (record.fulfillment) return record.fulfillment
    if (isRolledBack(record) || record.isRefused) throw rolledBack(record)
    throw new MissingFulfillmentError(`Transfer "${id}" has not been fulfilled yet`)
  }

  /**
   * Prepares a transfer: locks its amount in an escrow until it is fulfilled or expires. A transfer without a
   * condition is a plain payment.
   *
   * @returns when the transfer is on the validated ledger; the same transfer again gets the first one's outcome
   * @throws InvalidFieldsError, DuplicateIdError, InsufficientBalanceError, AccountNotFoundError, NotAcceptedError,
   *   MaximumIlpDataSizeExceededError
   * @throws UnreachableError if the plugin is not connected, or is disconnected before the ledger has decided
   */
  async sendTransfer(transfer: Transfer): Promise<void> {
    const session = this.#connected()
    const { address, transfers, outbox } = session
    const { prefix } = session.settings
    const tx = toTransaction(transfer, address, prefix)
    const { id, expiresAt } = transfer
    const cancelAfter = expiresAt === undefined ? Number.POSITIVE_INFINITY : toRippleTime(expiresAt)
    const terms = termsOf(tx)
    const known = transfers.outgoing.get(id)
    if ((known && known.terms !== terms) || (!known && transfers.incoming.get(id)))
      throw new DuplicateIdError(`Another transfer was made under the id "${id}"`)
    if (known) return known.sent && this.#orDisconnected(known.sent)
    const { ilp = '' } = transfer
    const record: TransferRecord = {
      transfer: { ...copyOf(transfer), from: prefix + address, ledger: prefix, ilp },
      terms,
      state: 'sending',
      cancelAfter
    }
    transfers.outgoing.add(record)
    record.sent = outbox.send(record, tx)
    return this.#orDisconnected(record.sent)
  }

  /**
   * Takes the money of an incoming transfer. Once more, with the same fulfillment, is no error and costs nothing. One
   * that is not known is waited for until the next ledger.
   *
   * @param fulfillment - 32 bytes, base64url, whose hash is the transfer's condition
   * @returns when the fulfillment is on the validated ledger
   * @throws InvalidFieldsError, TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError,
   *   AlreadyRolledBackError, NotAcceptedError
   * @throws UnreachableError if the plugin is not connected, or is disconnected before the ledger has decided
   */
  async fulfillCondition(id: string, fulfillment: string): Promise<void> {
    const session = this.#connected()
    const preimage = parseBytes32(fulfillment)
    check(
      preimage,
      `The fulfillment "${fulfillment}" of transfer "${id}" is not 32 bytes of unpadded base64url`
    )
    const record = await this.#findIncoming(id)
    const canonical = preimage.toString('base64url')
    if (isRolledBack(record) || record.state === 'lost') throw rolledBack(record)
    if (record.fulfillment === canonical) return
    if (record.fulfillment) throw alreadyFulfilled(id)
    if (conditionOf(preimage) !== record.transfer.executionCondition) {
      throw new NotAcceptedError(
        `The fulfillment "${fulfillment}" does not hash to the condition "${record.transfer.executionCondition}" ` +
          `of transfer "${id}"`
      )
    }
    record.fulfilling ??= session.transfers.finish(record, canonical).finally(() => {
      record.fulfilling = undefined
    })
    return this.#orDisconnected(record.fulfilling)
  }

  /**
   * Refuses an incoming transfer. An escrow's receiver cannot send it back before it expires: until then the money
   * stays locked. Once more is no error.
   *
   * @param reason - told in the event `incoming_reject`, and to the payer with the option `sendRejections`
   * @throws InvalidFieldsError, TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError
   * @throws NotAcceptedError if it is this account's own transfer to another
   */
  async rejectIncomingTransfer(id: string, reason: RejectionMessage): Promise<void> {
    const { transfers } = this.#connected()
    check(toObject(reason), `There is no reason to reject transfer "${id}"`)
    const record = await this.#findIncoming(id)
    if (record.fulfilling || record.fulfillment) throw alreadyFulfilled(id)
    if (!isRolledBack(record) && record.state !== 'lost') transfers.reject(record, copyOf(reason))
  }

  /**
   * Sends a request to another account and waits for its answer.
   *
   * @param message - its `timeout` in milliseconds is 20000 unless set; Infinity for no limit
   * @throws InvalidFieldsError, AccountNotFoundError, InsufficientBalanceError, NotAcceptedError,
   *   MaximumIlpDataSizeExceededError, MaximumCustomDataSizeExceededError
   * @throws NoSubscriptionsError if no answer comes in time
   */
  async sendRequest(message: Message): Promise<Message> {
    const { messages } = this.#connected()
    return this.#orDisconnected(messages.request(copyOf(message)))
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
    this.#session ??= new Session(this.#options, {
      requestHandler: () => this.#requestHandler,
      tell: (event, ...args) => this.#tell(event, ...args)
    })
    if (!this.isConnected()) await this.#session.open(timeout > 0 ? timeout : defaultTimeoutMs)
  }

  /**
   * Tells the host, each of its listeners with a copy of its own. What one of them throws must not keep it from
   * another, nor stop the plugin.
   */
  #tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void {
    const onHostError = (err: unknown) => {
      if (event !== 'error' && this.listenerCount('error') > 0) this.#tell('error', err as Error)
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

  #connected(): Session {
    if (this.#session?.connection.isUp) return this.#session
    const { serverName } = this.#session?.settings ?? {}
    const where = serverName === undefined ? '' : ` to "${serverName}"`
    throw new UnreachableError(`The plugin is not connected${where}: call connect() first`)
  }

  /** What the ledger decides, or an error at once when the plugin is disconnected before. */
  #orDisconnected<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settled = () => this.#waiting.delete(reject)
      this.#waiting.add(reject)
      outcome.then(resolve, reject).finally(settled)
    })
  }

  async #findIncoming(id: string): Promise<TransferRecord> {
    const session = this.#connected()
    const isOwn = session.transfers.outgoing.get(id) && !session.transfers.incoming.get(id)
    const record = isOwn ? undefined : await this.#orDisconnected(session.awaitIncoming(id))
    if (record || !session.transfers.outgoing.get(id)) return conditional(id, record)
    throw new NotAcceptedError(
      `Transfer "${id}" is this account's own: only its receiver can decide about it`
    )
  }
}

function conditional(id: string, record: TransferRecord | undefined): TransferRecord {
  if (!record) throw new TransferNotFoundError(`There is no transfer with the id "${id}", or it is long over`)
  if (record.transfer.executionCondition === undefined)
    throw new TransferNotConditionalError(`Transfer "${id}" has no condition`)
  return record
}
