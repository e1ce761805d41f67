import { describeResult, type EngineResult } from '../ledger/engine-results.ts'
import type { Applied, LedgerHeader } from '../ledger/history.ts'
import type { Ledger, LedgerClosed } from '../ledger/ledger.ts'
import type { Transaction } from '../ledger/transaction.ts'
import type { Json, Subscriber } from './rpc.ts'
import { isoTime, versionedFields } from './shapes.ts'

/** What can be subscribed to by name. Of most of them a ledger without peers and validators has no news. */
export const streamNames = new Set([
  'book_changes',
  'consensus',
  'ledger',
  'manifests',
  'peer_status',
  'rt_transactions',
  'server',
  'transactions',
  'transactions_proposed',
  'validations'
])

/** The state of the ledger stream, as `subscribe` answers it and each message repeats it. */
export function ledgerStatus(ledger: Ledger, apiVersion: 1 | 2): Json {
  const { hash, ledgerIndex, closeTime } = ledger.closedHeader
  return {
    fee_base: ledger.fees.base,
    ...(apiVersion === 1 && { fee_ref: ledger.fees.base }),
    ledger_hash: hash,
    ledger_index: ledgerIndex,
    ledger_time: closeTime,
    ...(ledger.networkId > 0 && { network_id: ledger.networkId }),
    reserve_base: ledger.fees.reserveBase,
    reserve_inc: ledger.fees.reserveIncrement,
    validated_ledgers: ledger.history.range
  }
}

function validatedMessage({ transaction, meta }: Applied, header: LedgerHeader, apiVersion: 1 | 2): Json {
  const { hash } = transaction
  const { closeTime } = header
  const fields = { ...versionedFields(transaction.fields, apiVersion), date: closeTime }
  return {
    ...describeResult(meta.TransactionResult as EngineResult),
    ...(apiVersion > 1 && { close_time_iso: isoTime(closeTime) }),
    ledger_hash: header.hash,
    ledger_index: header.ledgerIndex,
    meta,
    status: 'closed',
    ...(apiVersion === 1 ? { transaction: { ...fields, hash } } : { tx_json: fields, hash }),
    type: 'transaction',
    validated: true
  }
}

function proposedMessage(
  { hash, fields }: Transaction,
  result: EngineResult,
  ledgerIndex: number,
  apiVersion: 1 | 2
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
function publish(subscribers: Iterable<Subscriber>, message: (apiVersion: 1 | 2) => Json) {
  const texts = new Map<1 | 2, string>()
  for (const subscriber of subscribers) {
    const { apiVersion } = subscriber
    const text = texts.get(apiVersion) ?? JSON.stringify(message(apiVersion))
    texts.set(apiVersion, text)
    subscriber.send(text)
  }
}

/** Tells the subscribers what a closed ledger brought: first the ledger, then its transactions in order. */
export function publishClosed(
  subscribers: Set<Subscriber>,
  ledger: Ledger,
  { ledger: { header, transactions }, applied }: LedgerClosed
) {
  const all = [...subscribers]
  publish(
    all.filter(({ streams }) => streams.has('ledger')),
    apiVersion => ({
      ...ledgerStatus(ledger, apiVersion),
      txn_count: applied.length,
      type: 'ledgerClosed'
    })
  )
  for (const [position, one] of applied.entries()) {
    const affected = transactions[position]?.accounts ?? []
    // As from rippled, whoever listens to a stream and to an account hears of it twice.
    const listeners = [
      ...all.filter(({ streams }) => streams.has('transactions')),
      ...all.filter(({ streams }) => streams.has('transactions_proposed')),
      ...all.filter(({ accounts, accountsProposed }) =>
        affected.some(account => accounts.has(account) || accountsProposed.has(account))
      )
    ]
    publish(listeners, apiVersion => validatedMessage(one, header, apiVersion))
  }
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
  const all = [...subscribers]
  const listeners = [
    ...all.filter(({ streams }) => streams.has('transactions_proposed')),
    ...all.filter(({ accountsProposed }) => mentioned.some(account => accountsProposed.has(account)))
  ]
  publish(listeners, apiVersion => proposedMessage(transaction, result, ledger.openIndex, apiVersion))
}
