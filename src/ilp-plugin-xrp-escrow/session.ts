import {
  AccountNotFoundError,
  DuplicateIdError,
  InvalidFieldsError,
  NotAcceptedError,
  UnreachableError
} from './errors.ts'
import type { Order } from './job.ts'
import { isUInt32, type Json, toObject } from './json.ts'
import type { ClosedLedger } from './known-ledgers.ts'
import { LedgerConnection } from './ledger-connection.ts'
import { nameOf, ownId, type ValidatedTransaction } from './ledger-transaction.ts'
import type { Messages } from './messages.ts'
import { toSettings } from './options.ts'
import { hasResult, refused, transactionFailed } from './refusals.ts'
import { type SentNote, SentNotes } from './sent-notes.ts'
import { type Ask, errorCode } from './server-socket.ts'
import { Stock } from './stock.ts'
import { Submitter } from './submitter.ts'
import { toUnixMs } from './transfer.ts'
import type { TransferRecord } from './transfer-log.ts'
import { Transfers } from './transfers.ts'
import type { PluginEvents, PluginOptions, Transfer } from './types.ts'

const lsfDisableMaster = 0x00100000
// How long to wait for a ledger that may tell of a transfer; ledgers can stand still.
const maxWaitMs = 10_000
// How long to wait for what was open before: a few transfers are soon told of, thousands while one works.
const maxStockMs = 1_000

/** What a session needs of its plugin. */
interface SessionHost {
  options: PluginOptions & { prefix: string; rememberedTransfers: number }
  messages: Messages
  tell<E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]): void
}

/** An account on a ledger: what a plugin puts together at its first `connect`, and keeps. */
export class Session {
  readonly address: string
  readonly serverName: string
  readonly connection: LedgerConnection
  readonly transfers: Transfers
  readonly submitter: Submitter
  readonly #host: SessionHost
  readonly #stock: Stock
  readonly #notes: SentNotes
  // The notes of transfers that are about to be told.
  readonly #recalled = new Map<string, SentNote>()
  // How often the host has disconnected.
  #disconnects = 0

  /** @throws InvalidFieldsError for options that are wrong */
  constructor(host: SessionHost) {
    const { options, tell } = host
    const { prefix, rememberedTransfers: remembered, sendRejections = false, _store } = options
    const { wallet, server, serverName, maxFeeDrops } = toSettings(options)
    const address = wallet.address
    const connection = new LedgerConnection(server, serverName, address, prefix, {
      admit: (ask, ledgerIndex) => this.#admit(ask, ledgerIndex),
      expect: transactions => this.#recall(transactions)
    })
    this.#host = host
    this.#notes = new SentNotes(_store, address)
    this.address = address
    this.serverName = serverName
    this.connection = connection
    this.submitter = new Submitter(connection, wallet, maxFeeDrops)
    this.transfers = new Transfers({
      ...{ prefix, address, remembered, sendRejections, tell },
      closeTime: () => connection.validated.closeTime,
      noteOf: id => this.#recalled.get(id)?.noteToSelf,
      submit: order => this.submitter.submit(order)
    })
    this.#stock = new Stock(connection, address, {
      begin: () => this.transfers.beginTakingUp(),
      end: () => this.transfers.endTakingUp(),
      compare: (hashes, ledger) => this.transfers.compare(hashes, ledger),
      onProgress: progress => tell('reading', progress),
      expect: transactions => this.#recall(transactions),
      takeUp: transaction => {
        this.transfers.takeUp(transaction)
        this.submitter.onTransaction(transaction)
      }
    })
    this.#listen()
  }

  /**
   * Connects, and tells of what is open from before, as far as that is soon done.
   *
   * @param timeoutMs - how long to wait for the server
   */
  async open(timeoutMs: number): Promise<void> {
    await this.connection.open(timeoutMs)
    await new Promise<void>(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.connection.off('down', done)
        resolve()
      }
      const timer = setTimeout(done, this.connection.isUp ? maxStockMs : 0)
      this.connection.on('down', done)
      this.#stock.allKnown.then(done)
    })
  }

  /** Gives up what has not been sent: its senders are told the reason. */
  giveUpUnsent(reason: string): void {
    this.#disconnects++
    this.submitter.giveUpUnsent(reason)
  }

  /** Sends a transfer to the ledger, and sees to it that it is known what became of it. */
  async send(record: TransferRecord, tx: Json): Promise<void> {
    const { id } = record.transfer
    const { outgoing } = this.transfers
    const disconnects = this.#disconnects
    try {
      // An earlier run of the program may have sent it.
      await this.#stock.ownKnown
      if (record.state !== 'sending') return
      if (record.hasDouble) throw new DuplicateIdError(`Another transfer was sent under the id "${id}"`)
      await this.#sendNoted(record, tx, disconnects)
      if (record.state === 'sending') outgoing.forget(record)
    } catch (err) {
      const isUnsent =
        err instanceof DuplicateIdError ||
        err instanceof InvalidFieldsError ||
        hasResult(err, 'notSent') ||
        hasResult(err, 'expired')
      if (record.state === 'sending' && isUnsent) outgoing.forget(record)
      // Of one that nobody can tell the outcome of, the id stays taken.
      else if (record.state === 'sending' && !(err instanceof UnreachableError))
        outgoing.close(record, 'failed')
      throw err
    }
  }

  async #sendNoted(record: TransferRecord, tx: Json, disconnects: number): Promise<void> {
    const { terms, transfer, cancelAfter } = record
    const { id, amount, to, noteToSelf, expiresAt } = transfer
    const what = `Transfer "${id}" of ${amount} drops to "${to}"`
    const order: Order = { tx, what, pointlessAfter: cancelAfter }
    const known = await this.#notes.get(id)
    if (known && known.terms !== terms)
      throw new DuplicateIdError(`Another transfer was sent under the id "${id}"`)
    if (known && known.versions.length === 0) return
    if (!known && disconnects !== this.#disconnects)
      throw transactionFailed(what, 'notSent', 'The plugin was disconnected meanwhile')
    const { closeTime } = this.connection.validated
    if (!known && cancelAfter <= closeTime) {
      const now = new Date(toUnixMs(closeTime)).toISOString()
      throw new InvalidFieldsError(
        `The expiry "${expiresAt}" of transfer "${id}" is in the past: the ledger's time is "${now}"`
      )
    }
    if (!this.#notes.isKept) {
      await this.submitter.submit(order)
      return
    }
    order.note = versions => this.#notes.put(id, { terms, versions, noteToSelf })
    try {
      await (known ? this.submitter.resume(order, known.versions) : this.submitter.submit(order))
      await this.#notes.put(id, { terms, versions: [], noteToSelf })
    } catch (err) {
      // Whatever cannot be told stays noted.
      if (!(err instanceof UnreachableError) || hasResult(err, 'notSent')) await this.#notes.del(id)
      throw err
    }
  }

  /** An incoming transfer, also one that only the next ledger tells of: its payer may have been told a moment before. */
  async awaitIncoming(id: string): Promise<TransferRecord | undefined> {
    const { incoming } = this.transfers
    const { connection } = this
    if (incoming.get(id)) return incoming.get(id)
    const { index } = connection.validated
    await new Promise<void>(resolve => {
      const done = () => {
        clearTimeout(timer)
        connection.off('read', onRead).off('down', done)
        resolve()
      }
      const onRead = (ledger: ClosedLedger) => {
        if (ledger.index > index || incoming.get(id)) done()
      }
      const timer = setTimeout(done, maxWaitMs)
      connection.on('read', onRead).on('down', done)
    })
    return incoming.get(id)
  }

  /** Reads the account's history for a transfer, the first one of that id: its own rather than another's. */
  async findOnLedger(id: string): Promise<TransferRecord | undefined> {
    let found: TransferRecord | undefined
    try {
      for await (const { account, hash, content } of this.connection.history()) {
        const isOwn = account === this.address
        if (content?.kind === 'transfer' && (content.transfer.id === id || ownId(hash) === id)) {
          if (found && (!isOwn || found.transfer.from.endsWith(this.address))) continue
          found = { ...content, state: 'prepared', transfer: { ...content.transfer, id } }
        }
        const name = found?.escrow && nameOf(found.escrow)
        if (!found || !name || (content?.kind !== 'finish' && content?.kind !== 'cancel')) continue
        if (content.escrow !== name) continue
        found.state = content.kind === 'finish' ? 'fulfilled' : 'cancelled'
        if (content.kind === 'finish') found.fulfillment = content.fulfillment
      }
    } catch (err) {
      throw refused(`Transfer "${id}" cannot be looked for on the ledger`, err)
    }
    return found
  }

  #listen(): void {
    const { connection, submitter, transfers } = this
    const { messages, tell } = this.#host
    connection.on('up', () => {
      submitter.onUp()
      tell('connect')
      this.#stock.onRead(connection.lastRead)
    })
    connection.on('down', () => tell('disconnect'))
    connection.on('refused', reason => tell('error', reason))
    connection.on('ledger', ledger => submitter.onLedger(ledger))
    connection.on('transaction', transaction => {
      try {
        transfers.onTransaction(transaction)
        submitter.onTransaction(transaction)
        const { account, content } = transaction
        if (content?.kind === 'payment' && content.message)
          messages.onPayment(account, content.payee, content.message)
      } catch (err) {
        // A fault of ours must not keep the next transaction from being told.
        tell('error', err as Error)
      }
    })
    connection.on('read', ledger => {
      transfers.onRead(ledger)
      submitter.onRead(ledger)
      this.#stock.onRead(ledger)
    })
    connection.on('missed', (first, last) => {
      submitter.onMissed(last)
      this.#stock.invalidate()
      const what = `the ledgers ${first} to ${last}: what happened in them is not told`
      tell('error', new UnreachableError(`The server "${this.serverName}" does not have ${what}`))
    })
    connection.on('reset', () => {
      const what = 'it was restarted empty, and what was on its way is gone'
      const err = new UnreachableError(`The ledger at "${this.serverName}" is not the one it was: ${what}`)
      submitter.giveUp(err)
      this.#stock.invalidate()
      tell('error', err)
      transfers.onReset(err.message)
    })
  }

  /** Whether the account is there, and the secret can sign for it. */
  async #admit(ask: Ask, ledger_index: number): Promise<void> {
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
    } catch (err) {
      if (errorCode(err) !== 'actNotFound') throw refused(`The account "${address}" was refused`, err)
      throw new AccountNotFoundError(
        `The account "${address}" does not exist on "${this.serverName}": fund it first`,
        { cause: err }
      )
    }
  }

  /** Finds what the host has noted of its own transfers, before they are told. */
  async #recall(transactions: ValidatedTransaction[]): Promise<void> {
    this.#recalled.clear()
    if (!this.#notes.isKept) return
    for (const { account, content } of transactions) {
      if (content?.kind !== 'transfer' || account !== this.address) continue
      const note = await this.#notes.get(content.transfer.id).catch(() => undefined)
      if (note?.terms === content.terms) this.#recalled.set(content.transfer.id, note)
    }
  }
}

/** A transfer as the host gave it, in the form in which it is remembered. */
export function toRecord(
  transfer: Transfer,
  prefix: string,
  address: string,
  terms: string,
  cancelAfter: number
) {
  const { ilp = '' } = transfer
  return {
    transfer: { ...transfer, from: prefix + address, ledger: prefix, ilp },
    terms,
    state: 'sending',
    cancelAfter
  } satisfies TransferRecord
}
