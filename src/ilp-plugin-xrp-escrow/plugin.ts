import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { Wallet } from 'xrpl'
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
  type ClosedLedger,
  errorCode,
  LedgerConnection,
  refused,
  type ValidatedTransaction
} from './ledger-connection.ts'
import { fromMemos, memoTypes } from './memos.ts'
import { Messages } from './messages.ts'
import { type Order, Submitter, TransactionFailedError } from './submitter.ts'
import { fromTransaction, termsOf, toTransaction, toUnixMs } from './transfer.ts'
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

interface AccountRoot {
  Balance: string
  Flags: number
}

interface EscrowEntry {
  Account: string
  PreviousTxnID: string
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
  readonly #outgoing = new TransferLog()
  readonly #incoming = new TransferLog()
  #session: Session | undefined
  #connecting: Promise<void> | undefined

  /** @param options - see `PluginOptions`; nothing is checked or reached before `connect` */
  constructor(options: PluginOptions) {
    super()
    this.#options = options
    this.#prefix = options.prefix ?? defaultPrefix
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
    this.#connecting ??= this.#connect(options.timeout ?? defaultTimeoutMs).finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  /** Disconnects. What is still on its way is rejected with UnreachableError; the ledger may carry it out yet. */
  async disconnect(): Promise<void> {
    if (!this.#session) return
    const { connection, submitter } = this.#session
    await connection.close()
    submitter.stop(new UnreachableError('The plugin was disconnected before the ledger had decided'))
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
    return (await accountRoot(this.#connected())).Balance
  }

  /**
   * The fulfillment of a transfer from or to this account.
   *
   * @returns 32 bytes, base64url
   * @throws TransferNotFoundError, TransferNotConditionalError, AlreadyRolledBackError, MissingFulfillmentError
   */
  async getFulfillment(id: string): Promise<string> {
    this.#connected()
    const record = this.#find(id, this.#outgoing.get(id) ?? this.#incoming.get(id))
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
   */
  async sendTransfer(transfer: Transfer): Promise<void> {
    const { address, connection } = this.#connected()
    const tx = toTransaction(transfer, address, this.#prefix)
    const terms = termsOf(tx)
    const known = this.#outgoing.get(transfer.id)
    if (known && known.terms !== terms) {
      throw new DuplicateIdError(`Another transfer was sent under the id "${transfer.id}"`)
    }
    if (known) return known.sent
    const cancelAfter = Number(tx.CancelAfter ?? Number.POSITIVE_INFINITY)
    const { closeTime } = connection.validated
    if (cancelAfter <= closeTime) {
      const now = new Date(toUnixMs(closeTime)).toISOString()
      throw new InvalidFieldsError(
        `The expiry "${transfer.expiresAt}" of transfer "${transfer.id}" is in the past: the ledger's time is "${now}"`
      )
    }
    const record: TransferRecord = {
      transfer: { ...transfer, from: this.#prefix + address, ledger: this.#prefix, ilp: transfer.ilp ?? '' },
      terms,
      state: 'sending',
      cancelAfter
    }
    this.#outgoing.add(record)
    const what = `Transfer "${transfer.id}" of ${transfer.amount} drops to "${transfer.to}"`
    record.sent = this.#submit({ tx, feeUnits: plainFeeUnits, pointlessAfter: cancelAfter }, what).then(
      () => {},
      err => {
        // Of a transfer that was cut off by a disconnect, the ledger will tell.
        if (!(err instanceof UnreachableError)) this.#outgoing.close(record, 'failed')
        throw err
      }
    )
    return record.sent
  }

  /**
   * Takes the money of an incoming transfer.
   *
   * @param fulfillment - 32 bytes, base64url, whose hash is the transfer's condition
   * @returns when the fulfillment is on the validated ledger
   * @throws InvalidFieldsError, TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError,
   *   AlreadyRolledBackError, NotAcceptedError
   */
  async fulfillCondition(id: string, fulfillment: string): Promise<void> {
    this.#connected()
    const preimage = parseBytes32(fulfillment)
    if (!preimage) {
      throw new InvalidFieldsError(`The fulfillment "${fulfillment}" is not 32 bytes of unpadded base64url`)
    }
    const record = this.#find(id, this.#incoming.get(id))
    if (isRolledBack(record)) throw rolledBack(record)
    if (conditionOf(preimage) !== record.transfer.executionCondition) {
      throw new NotAcceptedError(
        `The fulfillment "${fulfillment}" does not hash to the condition "${record.transfer.executionCondition}" ` +
          `of transfer "${id}"`
      )
    }
    if (record.state === 'fulfilled')
      throw new AlreadyFulfilledError(`Transfer "${id}" has been fulfilled already`)
    record.fulfilling ??= this.#finish(record, preimage).finally(() => {
      record.fulfilling = undefined
    })
    return record.fulfilling
  }

  /**
   * Refuses an incoming transfer. An escrow's receiver cannot send it back: the money returns to the sender when
   * the transfer expires, and costs nobody a fee until then.
   *
   * @throws TransferNotFoundError, TransferNotConditionalError, AlreadyFulfilledError, AlreadyRolledBackError
   */
  async rejectIncomingTransfer(id: string, reason: RejectionMessage): Promise<void> {
    this.#connected()
    const record = this.#find(id, this.#incoming.get(id))
    if (isRolledBack(record)) throw rolledBack(record)
    if (record.fulfilling || record.state === 'fulfilled') {
      throw new AlreadyFulfilledError(`Transfer "${id}" has been fulfilled already`)
    }
    this.#incoming.close(record, 'rejected')
    this.#tell('incoming_reject', record.transfer, reason)
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
    return this.#messages.request(message)
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
    if (this.isConnected()) return
    this.#session ??= this.#open()
    const { address, connection, isKnown } = this.#session
    await connection.open(timeout)
    try {
      const { Flags } = await accountRoot(this.#session)
      if (Flags & lsfDisableMaster) {
        throw new NotAcceptedError(
          `The account "${address}" has disabled its master key, so the secret cannot sign for it`
        )
      }
    } catch (err) {
      await connection.close()
      throw errorCode(err) === 'actNotFound'
        ? new AccountNotFoundError(
            `The account "${address}" does not exist on "${this.#options.server}": fund it first`,
            { cause: err }
          )
        : refused(`The account "${address}" was refused`, err)
    }
    if (isKnown) return
    this.#session.isKnown = true
    this.#tell('connect')
    this.#adopt().catch(err => this.#tell('error', err))
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
    const wallet = toWallet(secret)
    const address = wallet.classicAddress
    const expected = this.#options.address ?? this.#options.account
    if (expected !== undefined && expected !== address) {
      // Never the secret itself: errors end up in logs.
      throw new InvalidFieldsError(`The secret belongs to the account "${address}", not to "${expected}"`)
    }
    const connection = new LedgerConnection(server, address)
    const submitter = new Submitter(connection, wallet, maxFeeDrops)
    const session: Session = { address, connection, submitter, isKnown: false }
    connection.on('up', () => {
      submitter.onUp()
      if (session.isKnown) this.#tell('connect')
    })
    connection.on('down', () => {
      if (session.isKnown) this.#tell('disconnect')
    })
    connection.on('reset', () => this.#onReset())
    connection.on('ledger', () => submitter.onLedger())
    connection.on('transaction', transaction => {
      this.#onTransaction(transaction)
      submitter.onTransaction(transaction)
    })
    connection.on('complete', ledger => {
      this.#onComplete(ledger)
      submitter.onComplete(ledger)
    })
    return session
  }

  /** Tells the host; what its listeners throw is theirs and must not stop what the plugin is doing. */
  #tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void {
    if (event === 'error' && this.listenerCount('error') === 0) return
    try {
      ;(this as EventEmitter).emit(event, ...args)
    } catch (err) {
      queueMicrotask(() => {
        throw err
      })
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

  #find(id: string, record: TransferRecord | undefined): TransferRecord {
    if (!record)
      throw new TransferNotFoundError(`There is no transfer with the id "${id}", or it is long over`)
    if (record.transfer.executionCondition === undefined) {
      throw new TransferNotConditionalError(`Transfer "${id}" has no condition`)
    }
    return record
  }

  /** Sends a transaction; what can go wrong with it gets its name from the Ledger Plugin Interface. */
  async #submit(order: Order, what: string): Promise<ValidatedTransaction> {
    try {
      return await this.#connected().submitter.submit(order)
    } catch (err) {
      if (!(err instanceof TransactionFailedError)) throw err
      const { engineResult, message } = err
      const reason = message.includes(engineResult) ? message : `${engineResult}: ${message}`
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
      if (isFulfilled(record)) return
      if (isRolledBack(record)) throw rolledBack(record, err)
      throw err
    }
  }

  /** Finds the transfers that an earlier run of this account left on the ledger, so that they are seen through. */
  async #adopt(): Promise<void> {
    const { address, connection } = this.#connected()
    let marker: unknown
    do {
      const page = await connection.request<{ account_objects: EscrowEntry[]; marker?: unknown }>({
        command: 'account_objects',
        account: address,
        type: 'escrow',
        ledger_index: 'validated',
        marker
      })
      for (const { Account, PreviousTxnID } of page.account_objects) {
        if (Account !== address) continue
        // An escrow is never changed, so the last transaction that touched it is the one that made it.
        const found = await connection.request<Record<string, unknown>>({
          command: 'tx',
          transaction: PreviousTxnID
        })
        this.#addOutgoing((found.tx_json ?? found) as Record<string, unknown>)
      }
      marker = page.marker
    } while (marker !== undefined)
  }

  /** Takes up an outgoing transfer that is on the ledger and unknown here. */
  #addOutgoing(tx: Record<string, unknown>): TransferRecord | undefined {
    const transfer = fromTransaction(tx, this.#prefix)
    if (!transfer || this.#outgoing.get(transfer.id)) return undefined
    const record = toRecord(transfer, tx)
    this.#outgoing.add(record)
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

  #onSent(tx: Record<string, unknown>): void {
    const id = fromMemos(tx.Memos, memoTypes.id)
    const known = id === undefined ? undefined : this.#outgoing.get(id)
    const record = known?.terms === termsOf(tx) ? known : this.#addOutgoing(tx)
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

  #onReceived(tx: Record<string, unknown>): void {
    const transfer = fromTransaction(tx, this.#prefix)
    if (!transfer) {
      if (tx.TransactionType === 'Payment') this.#messages.onPayment(tx)
      return
    }
    // An id is the sender's word: whoever uses another's must not come between the two.
    if (this.#incoming.get(transfer.id)) transfer.id = ownId(tx)
    const record = toRecord(transfer, tx)
    this.#incoming.add(record)
    if (transfer.executionCondition === undefined) {
      this.#incoming.close(record, 'executed')
      this.#tell('incoming_transfer', transfer)
    } else {
      this.#tell('incoming_prepare', transfer)
    }
  }

  #onFinish(tx: Record<string, unknown>): void {
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

  #onCancel(tx: Record<string, unknown>): void {
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
      if (record.cancelAfter < closeTime && !record.cancelling) this.#cancel(record)
    }
    for (const record of this.#incoming.open()) {
      if (record.cancelAfter < closeTime) this.#expireIncoming(record)
    }
  }

  async #cancel(record: TransferRecord): Promise<void> {
    const { id } = record.transfer
    const { owner, sequence } = record.escrow as Escrow
    const tx = { TransactionType: 'EscrowCancel', Owner: owner, OfferSequence: sequence }
    record.cancelling = true
    try {
      const order = { tx, feeUnits: plainFeeUnits, pointlessAfter: Number.POSITIVE_INFINITY }
      await this.#submit(order, `The return of transfer "${id}"`)
    } catch (err) {
      // tecNO_TARGET: someone else was faster, as its own event has told. Anything else is tried again.
      const failure = err instanceof Error ? err.cause : undefined
      if (failure instanceof TransactionFailedError && failure.engineResult === 'tecNO_TARGET') {
        this.#outgoing.close(record, 'cancelled')
      }
    } finally {
      record.cancelling = false
    }
  }

  #expireIncoming(record: TransferRecord): void {
    this.#incoming.close(record, 'cancelled')
    this.#tell('incoming_cancel', record.transfer, this.#timedOut(record))
  }

  #timedOut({ transfer }: TransferRecord): RejectionMessage {
    return {
      code: 'R00',
      name: 'Transfer Timed Out',
      message: `The transfer expired at ${transfer.expiresAt}`,
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
    this.#session?.submitter.stop(err)
    this.#outgoing.clear()
    this.#incoming.clear()
    this.#tell('error', err)
  }
}

interface Session {
  address: string
  connection: LedgerConnection
  submitter: Submitter
  /** whether the ledger has been asked for the account, which it has to know before anything is done with it */
  isKnown: boolean
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

async function accountRoot({ address, connection }: Session): Promise<AccountRoot> {
  const { account_data } = await connection.request<{ account_data: AccountRoot }>({
    command: 'account_info',
    account: address,
    ledger_index: 'validated'
  })
  return account_data
}

function escrowOf(tx: Record<string, unknown>): Escrow {
  return { owner: String(tx.Account), sequence: Number(tx.Sequence) }
}

function toRecord(transfer: LedgerTransfer, tx: Record<string, unknown>): TransferRecord {
  return {
    transfer,
    terms: termsOf(tx),
    state: 'prepared',
    cancelAfter: Number(tx.CancelAfter),
    escrow: escrowOf(tx)
  }
}

/** An id of this plugin's own making for an escrow: a UUID in its shape, from the escrow's name on the ledger. */
function ownId(tx: Record<string, unknown>): string {
  const digest = createHash('sha256').update(`${tx.Account}:${tx.Sequence}`).digest('hex')
  return digest.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

function isFulfilled(record: TransferRecord): boolean {
  return record.state === 'fulfilled'
}

function isRolledBack(record: TransferRecord): boolean {
  return ['cancelled', 'rejected', 'failed'].includes(record.state)
}

function rolledBack({ transfer, state }: TransferRecord, cause?: unknown): AlreadyRolledBackError {
  return new AlreadyRolledBackError(`Transfer "${transfer.id}" is over: it was ${state}`, { cause })
}
