import { encodeNodePublic } from 'ripple-address-codec'
import { describeResult, type EngineResult } from '../ledger/engine-results.ts'
import type { ClosedLedger, ValidatedTransaction } from '../ledger/history.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Transaction } from '../ledger/transaction.ts'
import { ctid, isoTime, loadLevels, versionedFields } from './formatters.ts'
import type { ApiVersion, Json, Subscriber } from './rpc.ts'

/** Who this server says it is. */
export const hostId = 'sandbox'
export const nodeKey = encodeNodePublic(Buffer.concat([Buffer.from([2]), Buffer.alloc(32, 'sandbox')]))

/** What can be subscribed to by name. Of most of them a ledger without peers and validators has no news. */
export const streamNames = new Set<unknown>([
  'consensus',
  'ledger',
  'manifests',
  'peer_status',
  'server',
  'transactions',
  'transactions_proposed',
  'validations'
])

/** The state of the ledger stream, as `subscribe` answers it and each message repeats it. */
export function ledgerStatus(ledger: Ledger): Json {
  const { hash, ledgerIndex, closeTime } = ledger.closedHeader
  return {
    fee_base: ledger.fees.base,
    ledger_hash: hash,
    ledger_index: ledgerIndex,
    ledger_time: closeTime,
    network_id: ledger.networkId,
    reserve_base: ledger.fees.reserveBase,
    reserve_inc: ledger.fees.reserveIncrement,
    validated_ledgers: ledger.history.range
  }
}

function validatedMessage(transaction: ValidatedTransaction, apiVersion: ApiVersion): Json {
  const { hash, fields, meta, header } = transaction
  const { closeTime } = header
  const shown = { ...versionedFields(fields, apiVersion), date: closeTime }
  return {
    ...describeResult(meta.TransactionResult as EngineResult),
    close_time_iso: isoTime(closeTime),
    ...ctid(transaction),
    ledger_hash: header.hash,
    ledger_index: header.ledgerIndex,
    meta,
    status: 'closed',
    ...(apiVersion === 1 ? { transaction: { ...shown, hash } } : { tx_json: shown, hash }),
    type: 'transaction',
    validated: true
  }
}

function proposedMessage(
  { hash, fields }: Transaction,
  result: EngineResult,
  ledgerIndex: number,
  apiVersion: ApiVersion
): Json {
  const content = versionedFields(fields, apiVersion)
  return {
    ...describeResult(result),
    ledger_current_index: ledgerIndex,
    status: 'proposed',
    ...(apiVersion === 1 ? { transaction: { ...content, hash } } : { tx_json: content, hash }),
    type: 'transaction',
    validated: false
  }
}

/** Sends a message in each subscriber's shape, and builds each shape once. */
function publish(subscribers: Iterable<Subscriber>, message: (apiVersion: ApiVersion) => Json) {
  const texts = new Map<ApiVersion, string>()
  for (const subscriber of subscribers) {
    const { apiVersion } = subscriber
    const text = texts.get(apiVersion) ?? JSON.stringify(message(apiVersion))
    texts.set(apiVersion, text)
    subscriber.send(text)
  }
}

const listeners = (subscribers: Iterable<Subscriber>, stream: string) =>
  [...subscribers].filter(({ streams }) => streams.has(stream))

/** Tells the subscribers what a closed ledger brought: first the ledger, then its transactions in order. */
export function publishClosed(subscribers: Set<Subscriber>, ledger: Ledger, { transactions }: ClosedLedger) {
  const message = { ...ledgerStatus(ledger), txn_count: transactions.length, type: 'ledgerClosed' }
  publish(listeners(subscribers, 'ledger'), () => message)
  const toAll = ['transactions', 'transactions_proposed'].flatMap(name => listeners(subscribers, name))
  const toAccounts = [...subscribers].filter(
    ({ accounts, accountsProposed }) => accounts.size + accountsProposed.size > 0
  )
  for (const one of transactions) {
    // As from rippled, whoever listens to a stream and to an account hears of it twice.
    const concerned = toAccounts.filter(({ accounts, accountsProposed }) =>
      one.accounts.some(account => accounts.has(account) || accountsProposed.has(account))
    )
    publish([...toAll, ...concerned], apiVersion => validatedMessage(one, apiVersion))
  }
  publishServerStatus(subscribers, ledger)
}

/** The load that the server stream has heard of last. */
const lastLoad = new WeakMap<Ledger, number>()

/** Tells of the load, when it has changed. Source: rippled 3.2.0, NetworkOPs.cpp, reportFeeChange. */
function publishServerStatus(subscribers: Set<Subscriber>, ledger: Ledger) {
  const levels = loadLevels(ledger)
  const concerned = listeners(subscribers, 'server')
  if (concerned.length === 0 || lastLoad.get(ledger) === levels.load_factor) return
  lastLoad.set(ledger, levels.load_factor)
  publish(concerned, () => ({
    ...levels,
    base_fee: ledger.fees.base,
    server_status: 'full',
    type: 'serverStatus'
  }))
}

/** Tells those who asked for it of a transaction that the open ledger took. */
export function publishProposed(
  subscribers: Set<Subscriber>,
  ledger: Ledger,
  transaction: Transaction,
  result: EngineResult
) {
  const { Account, Destination, Owner } = transaction.fields
  const mentioned = [Account, Destination, Owner].filter(account => account !== undefined)
  const concerned = [...subscribers].filter(({ accountsProposed }) =>
    mentioned.some(account => accountsProposed.has(account))
  )
  const all = [...listeners(subscribers, 'transactions_proposed'), ...concerned]
  publish(all, apiVersion => proposedMessage(transaction, result, ledger.openIndex, apiVersion))
  publishServerStatus(subscribers, ledger)
}
