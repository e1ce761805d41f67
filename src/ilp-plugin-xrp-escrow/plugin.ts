import { EventEmitter } from 'node:events'
import { hashes, Wallet } from 'xrpl'
import {
  conditionOf,
  fromXrplFulfillment,
  parseBytes32,
  toXrplCondition,
  toXrplFulfillment
} from './condition.ts'
import {
  AccountNotFoundError,
  AlreadyFulfilledError,
  AlreadyRolledBackError,
  DuplicateIdError,
  InsufficientBalanceError,
  InvalidFieldsError,
  MissingFulfillmentError,
  NotAcceptedError,
  TransferNotConditionalError,
  TransferNotFoundError,
  UnreachableError
} from './errors.ts'
import {
  type Ask,
  type ClosedLedger,
  errorCode,
  LedgerConnection,
  refused,
  type ValidatedTransaction
} from './ledger-connection.ts'
import { fromJsonMemo, fromMemos, memoTypes, toMemos } from './memos.ts'
import { Messages } from './messages.ts'
import type { Json } from './server-socket.ts'
import { notSent, type Order, Submitter, TransactionFailedError } from './submitter.ts'
import {
  fromTransaction,
  termsOf,
  toClassicAddress,
  toRippleTime,
  toTransaction,
  toUnixMs
} from './transfer.ts'
import { type Escrow, TransferLog, type TransferRecord } from './transfer-log.ts'
import type {
  LedgerInfo,
  LedgerTransfer,
  Message,
  PluginEvents,
  PluginOptions,
  RejectionMessage,
  RequestHandler,
  Transfer
} from './types.ts'

const defaultPrefix = 'test.crypto.xrp.'
const defaultMaxFeeDrops = 10_000
const defaultTimeoutMs = 10_000
const defaultRememberedTransfers = 1_000
// How many escrows to look up at a time.
const lookupsAtOnce = 20
// What a transaction costs, in multiples of the simplest one; an EscrowFinish pays for its fulfillment of
// 36 bytes: 33, and one for every 16 bytes of it (xrpl.org: Transaction Cost).
const plainFeeUnits = 1
const finishFeeUnits = 33 + Math.floor(36 / 16)
const lsfDisableMaster = 0x00100000

const insufficientBalance = new Set([
  'tecUNFUNDED',
  'tecUNFUNDED_PAYMENT',
  'tecINSUFFICIENT_RESERVE',
  'tecINSUFF_FEE',
  'terINSUF_FEE_B'
])
const accountNotFound = new Set(['tecNO_DST', 'tecNO_DST_INSUF_XRP', 'terNO_ACCOUNT', 'actNotFound'])

interface AccountInfo {
  account_data: { Balance: string; Flags: number }
}

interface AccountEscrows {
  account_objects: { PreviousTxnID: string }[]
  marker?: unknown
}

/**
 * A ledger plugin for the XRP Ledger: conditional transfers are escrows.
 *
 * @see Interledger RFC 0004 (Ledger Plugin Interface), draft 8
 */
export class PluginXrpEscrow extends EventEmitter<PluginEvents> {
  readonly #options: PluginOptions
  readonly #prefix: string
  readonly #messages: Messages
  readonly #outgoing: TransferLog
  readonly #incoming: TransferLog
  #session: Session | undefined
  #connecting: Promise<void> | undefined
  // How to tell those who wait for the ledger that the plugin was disconnected.
  readonly #waiting = new Set<(reason: Error) => void>()

  /** @param options - see `PluginOptions`; nothing is checked or reached before `connect` */
  constructor(options: PluginOptions) {
    super()
    this.#options = options
    this.#prefix = options.prefix ?? defaultPrefix
    const remembered = options.rememberedTransfers ?? defaultRememberedTransfers
    this.#outgoing = new TransferLog(remembered)
    this.#incoming = new TransferLog(remembered)
    this.#messages = new Messages({
      prefix: this.#prefix,
      send: (tx, what) =>
        this.#submit({ tx, feeUnits: plainFeeUnits, pointlessAfter: Number.POSITIVE_INFINITY }, what),
      tell: (event, ...args) => this.#tell(event, ...args)
    })
  }

  /**
   * Connects to the ledger and follows the account's transfers.
   *
   * @param options - `timeout`: milliseconds to wait for the server, default 10000
   * @throws TypeError if the timeout is not a number
   * @throws InvalidFieldsError if the credentials are missing or malformed
   * @throws NotAcceptedError if the ledger does not take the secret for the account
   * @throws AccountNotFoundError if the account is not on the ledger
   * @throws UnreachableError if the server does not answer in time
   */
  connect(options: { timeout?: number } = {}): Promise<void> {
    if (!this.#connecting) {
      const connecting = this.#connect(options.timeout ?? defaultTimeoutMs).finally(() => {
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
    this.#session.submitter.giveUpUnsent(reason)
    for (const reject of this.#waiting) reject(new UnreachableError(reason))
    await this.#session.connection.close()
  }

  isConnected(): boolean {
    return this.#session?.connection.isUp ?? false
  }

  /** @throws UnreachableError while disconnected */
  getInfo(): LedgerInfo {
    this.#connected()
    return { prefix: this.#prefix, currencyCode: 'XRP', currencyScale: 6, connectors: [] }
  }

  /**
   * @returns ILP address of the plugin's account
   * @throws UnreachableError while disconnected
   */
  getAccount(): string {
    return this.#prefix + this.#connected().address
  }

  /** @returns the account's validated balance in drops, reserves included */
  async getBalance(): Promise<string> {
    const { address, connection } = this.#connected()
    try {
      return (await accountInfo(request => connection.request(request), address)).account_data.Balance
    } catch (err) {
      throw refused(`The balance of "${address}" cannot be told`, err)
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
    this.#connected()
    const remembered = this.#outgoing.get(id) ?? this.#incoming.get(id)
    const record = conditional(id, remembered ?? (await this.#findOnLedger(id)))
    if (record.fulfillment) return record.fulfillment
    if (isRolledBack(record)) throw rolledBack(record)
    throw new MissingFulfillmentError(`Transfer "${id}" has not been fulfilled yet`)
  }

  /**
   * Prepares a transfer: locks its amount in an escrow until it is fulfilled or expires. A transfer without a
   * condition is a plain payment.
   *
   * @returns when the transfer is on the validated ledger; the same transfer again gets the first one's outcome
   * @throws InvalidFieldsError, DuplicateIdError, InsufficientBalanceError, AccountNotFoundError, NotAcceptedError
   * @throws UnreachableError if the plugin is not connected, or is disconnected before the ledger has decided
   */
  async sendTransfer(transfer: Transfer): Promise<void> {
    const { address, connection } = this.#connected()
    const tx = toTransaction(transfer, address, this.#prefix)
    const { id, amount, to, expiresAt } = transfer
    const cancelAfter = expiresAt === undefined ? Number.POSITIVE_INFINITY : toRippleTime(expiresAt)
    const terms = termsOf(tx)
    const known = this.#outgoing.get(id)
    if (known && known.terms !== terms)
      throw new DuplicateIdError(`Another transfer was sent under the id "${id}"`)
    if (known?.sent) return this.#orDisconnected(known.sent)
    if (known) return
    const { closeTime } = connection.validated
    if (cancelAfter <= closeTime) {
      const now = new Date(toUnixMs(closeTime)).toISOString()
      throw new InvalidFieldsError(
        `The expiry "${expiresAt}" of transfer "${id}" is in the past: the ledger's time is "${now}"`
      )
    }
    const record: TransferRecord = {
      transfer: { ...transfer, from: this.#prefix + address, ledger: this.#prefix, ilp: transfer.ilp ?? '' },
      terms,
      state: 'sending',
      cancelAfter
    }
    this.#outgoing.add(record)
    record.sent = this.#send(record, tx, `Transfer "${id}" of ${amount} drops to "${to}"`)
    return this.#orDisconnected(record.sent)
  }

  /**
   * Takes the money of an incoming transfer. Once more, with the same fulfillment, is no error and costs nothing.
   *
   * @param fulfillment - 32 bytes, base64url, whose hash is the transfer's condition
   * @returns when the fulfillment is on the validated ledger
   * @throws InvalidFieldsError, TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError,
   *   AlreadyRolledBackError, NotAcceptedError
   * @throws UnreachableError if the plugin is not connected, or is disconnected before the ledger has decided
   */
  async fulfillCondition(id: string, fulfillment: string): Promise<void> {
    this.#connected()
    const preimage = parseBytes32(fulfillment)
    if (!preimage) {
      throw new InvalidFieldsError(
        `The fulfillment "${fulfillment}" of transfer "${id}" is not 32 bytes of unpadded base64url`
      )
    }
    const record = this.#findIncoming(id)
    if (isRolledBack(record)) throw rolledBack(record)
    if (record.fulfillment === fulfillment) return
    if (record.fulfillment) throw alreadyFulfilled(id)
    if (conditionOf(preimage) !== record.transfer.executionCondition) {
      throw new NotAcceptedError(
        `The fulfillment "${fulfillment}" does not hash to the condition "${record.transfer.executionCondition}" ` +
          `of transfer "${id}"`
      )
    }
    record.fulfilling ??= this.#finish(record, preimage).finally(() => {
      record.fulfilling = undefined
    })
    return this.#orDisconnected(record.fulfilling)
  }

  /**
   * Refuses an incoming transfer. An escrow's receiver cannot send it back before it expires: until then the money
   * stays locked. Once more is no error.
   *
   * @param reason - told in the event `incoming_reject`, and to the payer with the option `sendRejections`
   * @throws TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError
   * @throws NotAcceptedError if it is this account's own transfer to another
   */
  async rejectIncomingTransfer(id: string, reason: RejectionMessage): Promise<void> {
    this.#connected()
    const record = this.#findIncoming(id)
    if (record.fulfilling || record.fulfillment) throw alreadyFulfilled(id)
    if (isRolledBack(record)) return
    record.state = 'rejected'
    this.#tell('incoming_reject', record.transfer, reason)
    if (this.#options.sendRejections) this.#sendRejection(record, reason)
  }

  /**
   * Sends a request to another account and waits for its answer.
   *
   * @param message - its `timeout` in milliseconds is 20000 unless set
   * @throws InvalidFieldsError, AccountNotFoundError, InsufficientBalanceError, NotAcceptedError
   * @throws NoSubscriptionsError if no answer comes in time
   */
  async sendRequest(message: Message): Promise<Message> {
    this.#connected()
    return this.#orDisconnected(this.#messages.request(message))
  }

  /** @throws RequestHandlerAlreadyRegisteredError */
  registerRequestHandler(handler: RequestHandler): void {
    this.#messages.register(handler)
  }

  deregisterRequestHandler(): void {
    this.#messages.deregister()
  }

  async #connect(timeout: unknown): Promise<void> {
    if (typeof timeout !== 'number')
      throw new TypeError(`The timeout "${timeout}" is not a number (of milliseconds)`)
    this.#session ??= this.#open()
    if (!this.isConnected()) await this.#session.connection.open(timeout)
  }

  /** Checks the options and puts together what a connection needs. */
  #open(): Session {
    const { secret, server, maxFeeDrops = defaultMaxFeeDrops } = this.#options
    if (!secret)
      throw new InvalidFieldsError('The option "secret" is missing: the account\'s family seed ("s…")')
    if (!server)
      throw new InvalidFieldsError(
        'The option "server" is missing: the WebSocket URL of an XRP Ledger server'
      )
    if (!/^wss?:\/\/./.test(server)) {
      throw new InvalidFieldsError(`The server "${server}" is not a WebSocket URL ("wss://…" or "ws://…")`)
    }
    if (!/^([A-Za-z0-9_~-]+\.)+$/.test(this.#prefix)) {
      throw new InvalidFieldsError(
        `The prefix "${this.#prefix}" is not that of a ledger: it must end with a dot, such as "${defaultPrefix}"`
      )
    }
    const wallet = toWallet(secret)
    const address = wallet.classicAddress
    const expected = this.#options.address ?? this.#options.account
    if (expected !== undefined && expected !== address) {
      // Never the secret itself: errors end up in logs.
      throw new InvalidFieldsError(`The secret belongs to the account "${address}", not to "${expected}"`)
    }
    const connection = new LedgerConnection(server, address, (ask, ledgerIndex) =>
      this.#takeStock(ask, ledgerIndex, address)
    )
    const submitter = new Submitter(connection, wallet, maxFeeDrops)
    connection.on('up', () => {
      submitter.onUp()
      this.#tell('connect')
    })
    connection.on('down', () => this.#tell('disconnect'))
    connection.on('reset', () => this.#onReset())
    connection.on('missed', (first, last) => this.#onMissed(first, last))
    connection.on('refused', reason => this.#tell('error', reason))
    connection.on('ledger', ledger => submitter.onLedger(ledger))
    connection.on('transaction', transaction => {
      this.#onTransaction(transaction)
      submitter.onTransaction(transaction)
    })
    connection.on('complete', ledger => {
      this.#onComplete(ledger)
      submitter.onComplete(ledger)
    })
    return { address, connection, submitter }
  }

  /** Tells the host. What one of its listeners throws must not keep it from another, nor stop the plugin. */
  #tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void {
    const onHostError = (err: unknown) => {
      if (event !== 'error' && this.listenerCount('error') > 0) this.#tell('error', err as Error)
      else process.emitWarning(err instanceof Error ? err : String(err))
    }
    for (const listener of this.rawListeners(event)) {
      try {
        const result: unknown = Reflect.apply(listener, this, args)
        if (result instanceof Promise) result.catch(onHostError)
      } catch (err) {
        onHostError(err)
      }
    }
  }

  #connected(): Session {
    if (!this.#session?.connection.isUp) {
      throw new UnreachableError(
        `The plugin is not connected to "${this.#options.server}": call connect() first`
      )
    }
    return this.#session
  }

  /** What the ledger decides, or an error at once when the plugin is disconnected before. */
  #orDisconnected<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settled = () => this.#waiting.delete(reject)
      this.#waiting.add(reject)
      outcome.then(resolve, reject).finally(settled)
    })
  }

  #findIncoming(id: string): TransferRecord {
    const record = this.#incoming.get(id)
    if (!record && this.#outgoing.get(id)) {
      throw new NotAcceptedError(
        `Transfer "${id}" is this account's own: only its receiver can decide about it`
      )
    }
    return conditional(id, record)
  }

  /** Sends a transfer to the ledger, and sees to it that it is known what became of it. */
  async #send(record: TransferRecord, tx: Json, what: string): Promise<void> {
    try {
      await this.#submit({ tx, feeUnits: plainFeeUnits, pointlessAfter: record.cancelAfter }, what)
    } catch (err) {
      const wasSent = !isFailure(err, notSent)
      if (record.state === 'sending' && !wasSent) this.#outgoing.forget(record)
      // Of one that nobody can tell the outcome of, the id stays taken.
      else if (record.state === 'sending' && !(err instanceof UnreachableError))
        this.#outgoing.close(record, 'failed')
      throw err
    }
  }

  /** Sends a transaction; what can go wrong with it gets its name from the Ledger Plugin Interface. */
  async #submit(order: Order, what: string): Promise<ValidatedTransaction> {
    try {
      return await this.#connected().submitter.submit(order)
    } catch (err) {
      if (!(err instanceof TransactionFailedError)) throw err
      const { engineResult, message } = err
      if (engineResult === notSent)
        throw new UnreachableError(`${what} was not sent: ${message}`, { cause: err })
      const reason = `${engineResult}: ${message}`
      const options = { cause: err }
      if (insufficientBalance.has(engineResult)) {
        throw new InsufficientBalanceError(`${what} is more than the account can spend (${reason})`, options)
      }
      if (accountNotFound.has(engineResult)) {
        throw new AccountNotFoundError(
          `${what} needs an account that is not on the ledger (${reason})`,
          options
        )
      }
      throw new NotAcceptedError(`${what} was not accepted (${reason})`, options)
    }
  }

  async #finish(record: TransferRecord, preimage: Buffer): Promise<void> {
    const { owner, sequence } = record.escrow as Escrow
    const tx = {
      TransactionType: 'EscrowFinish',
      Owner: owner,
      OfferSequence: sequence,
      Condition: toXrplCondition(Buffer.from(record.transfer.executionCondition as string, 'base64url')),
      Fulfillment: toXrplFulfillment(preimage)
    }
    const order = { tx, feeUnits: finishFeeUnits, pointlessAfter: record.cancelAfter }
    try {
      await this.#submit(order, `The fulfillment of transfer "${record.transfer.id}"`)
    } catch (err) {
      // The right fulfillment may have been published by someone else, or the transfer have expired meanwhile.
      if (record.fulfillment) return
      const closeTime = this.#session?.connection.validated.closeTime ?? 0
      if (isRolledBack(record) || record.cancelAfter < closeTime) throw rolledBack(record, err)
      throw err
    }
  }

  /**
   * Looks how the account stands as of a ledger: whether the secret can sign for it, and which transfers an
   * earlier run has left open, so that they are seen through.
   *
   * @throws AccountNotFoundError, NotAcceptedError
   */
  async #takeStock(ask: Ask, ledgerIndex: number, address: string): Promise<void> {
    try {
      const { account_data } = await accountInfo(ask, address, ledgerIndex)
      if (account_data.Flags & lsfDisableMaster) {
        throw new NotAcceptedError(
          `The account "${address}" has disabled its master key, so the secret cannot sign for it`
        )
      }
      const found = await openEscrows(ask, address, ledgerIndex)
      for (const tx of found) {
        if (tx.Account === address) this.#add(this.#outgoing, tx)
        if (tx.Destination === address) this.#add(this.#incoming, tx)
      }
    } catch (err) {
      if (errorCode(err) !== 'actNotFound') throw refused(`The account "${address}" was refused`, err)
      throw new AccountNotFoundError(
        `The account "${address}" does not exist on "${this.#options.server}": fund it first`,
        { cause: err }
      )
    }
  }

  /** Takes up a transfer that is on the ledger and unknown here. */
  #add(log: TransferLog, tx: Json): TransferRecord | undefined {
    const transfer = fromTransaction(tx, this.#prefix)
    if (!transfer) return undefined
    // An id is the sender's word: whoever uses another's must not come between the two.
    if (log.get(transfer.id)) transfer.id = ownId(tx)
    const record = toRecord(transfer, tx)
    log.add(record)
    return record
  }

  /** Reads the account's history for a transfer, the first one of that id. */
  async #findOnLedger(id: string): Promise<TransferRecord | undefined> {
    const { address, connection } = this.#connected()
    let record: TransferRecord | undefined
    for await (const { tx, meta } of connection.history()) {
      if (meta.TransactionResult !== 'tesSUCCESS') continue
      if (!record) {
        const isPart = tx.Account === address || tx.Destination === address
        const transfer = isPart ? fromTransaction(tx, this.#prefix) : undefined
        if (transfer && (transfer.id === id || ownId(tx) === id)) record = toRecord({ ...transfer, id }, tx)
      } else if (tx.Owner === record.escrow?.owner && tx.OfferSequence === record.escrow?.sequence) {
        record.fulfillment = fromXrplFulfillment(tx.Fulfillment)
        record.state = record.fulfillment ? 'fulfilled' : 'cancelled'
        break
      }
    }
    return record
  }

  #onTransaction({ tx, meta }: ValidatedTransaction): void {
    if (meta.TransactionResult !== 'tesSUCCESS') return
    const { address } = this.#session as Session
    switch (tx.TransactionType) {
      case 'EscrowCreate':
      case 'Payment':
        if (tx.Account === address) this.#onSent(tx)
        if (tx.Destination === address) this.#onReceived(tx)
        break
      case 'EscrowFinish':
        this.#onFinish(tx)
        break
      case 'EscrowCancel':
        this.#onCancel(tx)
    }
  }

  #onSent(tx: Json): void {
    const id = fromMemos(tx.Memos, memoTypes.id)
    const known = id === undefined ? undefined : this.#outgoing.get(id)
    const isKnown = known?.state === 'sending' && known.terms === termsOf(tx)
    const record = isKnown ? known : this.#add(this.#outgoing, tx)
    if (!record) return
    if (tx.TransactionType === 'Payment') {
      this.#outgoing.close(record, 'executed')
      this.#tell('outgoing_transfer', record.transfer)
    } else {
      record.state = 'prepared'
      this.#outgoing.setEscrow(record, escrowOf(tx))
      this.#tell('outgoing_prepare', record.transfer)
    }
  }

  #onReceived(tx: Json): void {
    const record = this.#add(this.#incoming, tx)
    if (record?.transfer.executionCondition) {
      this.#tell('incoming_prepare', record.transfer)
    } else if (record) {
      this.#incoming.close(record, 'executed')
      this.#tell('incoming_transfer', record.transfer)
    } else if (tx.TransactionType === 'Payment') {
      this.#onRejection(tx)
      this.#messages.onPayment(tx)
    }
  }

  /** Tells the payer why a transfer is not taken: by the escrow's name, since ids are ambiguous. */
  async #sendRejection({ transfer, escrow }: TransferRecord, reason: RejectionMessage): Promise<void> {
    const { owner, sequence } = escrow as Escrow
    const Memos = toMemos([[memoTypes.rejection, JSON.stringify({ sequence, reason })]])
    const tx = { TransactionType: 'Payment', Destination: owner, Amount: '1', Memos }
    const order = { tx, feeUnits: plainFeeUnits, pointlessAfter: Number.POSITIVE_INFINITY }
    try {
      await this.#submit(order, `The rejection of transfer "${transfer.id}"`)
    } catch (err) {
      this.#tell('error', err as Error)
    }
  }

  /** Takes a receiver's word, from no other than the receiver, and once: it binds nobody, the money stays locked. */
  #onRejection(tx: Json): void {
    const { sequence, reason } = fromJsonMemo(tx.Memos, memoTypes.rejection) ?? {}
    const record = this.#outgoing.ofEscrow(tx.Destination, sequence)
    if (!record || record.isRefused || !isRejectionMessage(reason)) return
    if (toClassicAddress(record.transfer.to, this.#prefix) !== tx.Account) return
    record.isRefused = true
    this.#tell('outgoing_reject', record.transfer, reason)
  }

  #onFinish(tx: Json): void {
    const fulfillment = fromXrplFulfillment(tx.Fulfillment)
    if (!fulfillment) return
    const outgoing = this.#outgoing.ofEscrow(tx.Owner, tx.OfferSequence)
    if (outgoing) {
      outgoing.fulfillment = fulfillment
      this.#outgoing.close(outgoing, 'fulfilled')
      this.#tell('outgoing_fulfill', outgoing.transfer, fulfillment)
    }
    const incoming = this.#incoming.ofEscrow(tx.Owner, tx.OfferSequence)
    if (incoming) {
      incoming.fulfillment = fulfillment
      this.#incoming.close(incoming, 'fulfilled')
      this.#tell('incoming_fulfill', incoming.transfer, fulfillment)
    }
  }

  #onCancel(tx: Json): void {
    const outgoing = this.#outgoing.ofEscrow(tx.Owner, tx.OfferSequence)
    if (outgoing) {
      this.#outgoing.close(outgoing, 'cancelled')
      this.#tell('outgoing_cancel', outgoing.transfer, this.#timedOut(outgoing))
    }
    const incoming = this.#incoming.ofEscrow(tx.Owner, tx.OfferSequence)
    if (incoming) this.#expireIncoming(incoming)
  }

  /** What has expired by the ledger's own clock is over: ours is fetched back, others' can no longer be fulfilled. */
  #onComplete({ closeTime }: ClosedLedger): void {
    for (const record of this.#outgoing.open()) {
      if (record.cancelAfter < closeTime) this.#cancel(record)
    }
    for (const record of this.#incoming.open()) {
      if (record.cancelAfter < closeTime) this.#expireIncoming(record)
    }
  }

  /** Sends an expired transfer's money back to its payer. What came of it, its event tells. */
  async #cancel(record: TransferRecord): Promise<void> {
    if (record.cancelling) return
    const { owner, sequence } = record.escrow as Escrow
    const tx = { TransactionType: 'EscrowCancel', Owner: owner, OfferSequence: sequence }
    record.cancelling = true
    try {
      const order = { tx, feeUnits: plainFeeUnits, pointlessAfter: Number.POSITIVE_INFINITY }
      await this.#submit(order, `The return of transfer "${record.transfer.id}"`)
    } catch {
      // Someone else was faster, or it is tried again with the next ledger.
    } finally {
      record.cancelling = false
    }
  }

  /** A transfer that was rejected has been told of already. */
  #expireIncoming(record: TransferRecord): void {
    const { state } = record
    this.#incoming.close(record, state === 'rejected' ? state : 'cancelled')
    if (state !== 'rejected') this.#tell('incoming_cancel', record.transfer, this.#timedOut(record))
  }

  #timedOut({ transfer }: TransferRecord): RejectionMessage {
    return this.#rolledBack(`The transfer expired at ${transfer.expiresAt}`)
  }

  #rolledBack(message: string): RejectionMessage {
    return {
      code: 'R00',
      name: 'Transfer Timed Out',
      message,
      triggered_by: this.#prefix + this.#session?.address,
      triggered_at: new Date().toISOString(),
      forwarded_by: [],
      additional_info: {}
    }
  }

  #onReset(): void {
    const err = new UnreachableError(
      `The ledger at "${this.#options.server}" is not the one it was: it was restarted empty, and what was on its way is gone`
    )
    this.#session?.submitter.giveUp(err)
    const [outgoing, incoming] = [[...this.#outgoing.open()], [...this.#incoming.open()]]
    this.#outgoing.clear()
    this.#incoming.clear()
    this.#tell('error', err)
    for (const { transfer } of outgoing)
      this.#tell('outgoing_cancel', transfer, this.#rolledBack(err.message))
    for (const { transfer } of incoming)
      this.#tell('incoming_cancel', transfer, this.#rolledBack(err.message))
  }

  #onMissed(firstLedger: number, lastLedger: number): void {
    const { server } = this.#options
    this.#tell(
      'error',
      new UnreachableError(
        `The server "${server}" does not have the ledgers ${firstLedger} to ${lastLedger}: what happened in them is not told`
      )
    )
  }
}

interface Session {
  address: string
  connection: LedgerConnection
  submitter: Submitter
}

function toWallet(secret: string): Wallet {
  try {
    return Wallet.fromSeed(secret)
  } catch {
    // No cause: the library's error quotes what it was given.
    throw new InvalidFieldsError(
      'The option "secret" is not a family seed ("s…"): copy it again from where you got it'
    )
  }
}

function accountInfo(
  ask: Ask,
  account: string,
  ledger_index: number | 'validated' = 'validated'
): Promise<AccountInfo> {
  return ask({ command: 'account_info', account, ledger_index })
}

/** The transactions that made the escrows from and to an account that are open as of a ledger, in their order. */
async function openEscrows(ask: Ask, account: string, ledger_index: number): Promise<Json[]> {
  const hashes: string[] = []
  let marker: unknown
  do {
    const request = { command: 'account_objects', account, type: 'escrow', ledger_index, marker }
    const page = await ask<AccountEscrows>(request)
    // An escrow is never changed, so the last transaction that touched it is the one that made it.
    for (const { PreviousTxnID } of page.account_objects) hashes.push(PreviousTxnID)
    marker = page.marker
  } while (marker !== undefined)

  const found: FoundTransaction[] = []
  for (let first = 0; first < hashes.length; first += lookupsAtOnce) {
    const some = hashes.slice(first, first + lookupsAtOnce)
    found.push(
      ...(await Promise.all(
        some.map(transaction => ask<FoundTransaction>({ command: 'tx', transaction }).catch(passOver))
      ))
    )
  }
  const order = ({ ledger_index, meta }: FoundTransaction) => ledger_index * 2 ** 20 + meta.TransactionIndex
  return found
    .filter(({ meta }) => meta)
    .sort((a, b) => order(a) - order(b))
    .map(entry => entry.tx_json ?? entry)
}

/** An escrow whose transaction the server has forgotten cannot be recognised. */
function passOver(err: unknown): FoundTransaction {
  if (errorCode(err) !== 'txnNotFound') throw err
  return {} as FoundTransaction
}

/** An answer of `tx`: API version 2 puts the transaction into `tx_json`, version 1 leaves its fields beside. */
interface FoundTransaction extends Json {
  tx_json?: Json
  ledger_index: number
  meta: ValidatedTransaction['meta']
}

function conditional(id: string, record: TransferRecord | undefined): TransferRecord {
  if (!record) throw new TransferNotFoundError(`There is no transfer with the id "${id}", or it is long over`)
  if (record.transfer.executionCondition === undefined)
    throw new TransferNotConditionalError(`Transfer "${id}" has no condition`)
  return record
}

function isFailure(err: unknown, engineResult: string): boolean {
  const cause = err instanceof Error ? err.cause : undefined
  return cause instanceof TransactionFailedError && cause.engineResult === engineResult
}

function isRejectionMessage(reason: unknown): reason is RejectionMessage {
  const { code, name, message } = (reason ?? {}) as Record<string, unknown>
  return [code, name, message].every(text => typeof text === 'string')
}

function escrowOf(tx: Json): Escrow {
  return { owner: String(tx.Account), sequence: Number(tx.Sequence) }
}

function toRecord(transfer: LedgerTransfer, tx: Json): TransferRecord {
  return {
    transfer,
    terms: termsOf(tx),
    state: 'prepared',
    cancelAfter: Number(tx.CancelAfter),
    escrow: escrowOf(tx)
  }
}

/** An id of this plugin's own making, a UUID in its shape: from the index that the ledger gives to the escrow. */
function ownId(tx: Json): string {
  const index = hashes.hashEscrow(String(tx.Account), Number(tx.Sequence)).toLowerCase()
  return index.replace(/^(.{8})(.{4})(.{3})(.{3})(.{12}).*/, '$1-$2-4$3-a$4-$5')
}

function alreadyFulfilled(id: string): AlreadyFulfilledError {
  return new AlreadyFulfilledError(`Transfer "${id}" has been fulfilled already`)
}

function isRolledBack({ state }: Pick<TransferRecord, 'state'>): boolean {
  return ['cancelled', 'rejected', 'failed'].includes(state)
}

function rolledBack({ transfer, state }: TransferRecord, cause?: unknown): AlreadyRolledBackError {
  const { id, expiresAt } = transfer
  const how = isRolledBack({ state }) ? `was ${state}` : `expired at "${expiresAt}"`
  return new AlreadyRolledBackError(`Transfer "${id}" is over: it ${how}`, { cause })
}
