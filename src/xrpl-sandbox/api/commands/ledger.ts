import { expectedField, RpcError, rpcError } from '../errors.ts'
import { findLedger, findState } from '../find-ledger.ts'
import { entryBlob, entryJson, ledgerJson, transactionEntry } from '../formatters.ts'
import { asInt, asText, parseHash, readBoolean } from '../params.ts'
import type { Command } from '../rpc.ts'
import { readEntryType } from './entry-types.ts'

/** How many entries `ledger_data` lists unless it is asked for so many. */
const pageLength = { json: 256, binary: 2048 }

const ledger: Command = request => {
  const { params, apiVersion, ledger } = request
  const flag = (name: string) => readBoolean(params, name, () => rpcError('invalidParams'))
  const [binary, expand, queue, transactions] = ['binary', 'expand', 'queue', 'transactions'].map(flag)
  for (const name of ['accounts', 'full'])
    if (flag(name)) throw rpcError('notSupported', 'Ask for the state with ledger_data.')
  flag('owner_funds') // tells of offers
  if (['ledger', 'ledger_hash', 'ledger_index'].every(name => params[name] === undefined))
    return {
      closed: { ledger: ledgerJson(ledger, ledger.history.last, { apiVersion }) },
      open: { ledger: ledgerJson(ledger, undefined, { apiVersion }) }
    }
  const { closed, fields } = findLedger(request)
  if (queue && closed) throw rpcError('invalidParams')
  return { ledger: ledgerJson(ledger, closed, { apiVersion, binary, expand, transactions }), ...fields }
}

const ledgerData: Command = request => {
  const { params, ledger, apiVersion } = request
  const { state, closed, fields } = findState(request)
  const { marker, limit } = params
  const after = parseHash(marker)
  if (marker !== undefined && !after) throw expectedField('marker', 'valid')
  const binary = readBoolean(params, 'binary', () => expectedField('binary', 'boolean'))
  const isIntegral = limit === undefined || typeof limit === 'boolean' || Number.isInteger(limit)
  if (!isIntegral) throw expectedField('limit', 'integer')
  const wanted = limit === undefined ? -1 : asInt(limit)
  const length = wanted < 0 ? (binary ? pageLength.binary : pageLength.json) : wanted
  const type = readEntryType(params)
  const indexes = state.indexes().filter(index => !after || index > after)
  const next = indexes[length]
  return {
    ledger_hash: ledger.closedHeader.hash,
    ledger_index: ledger.openIndex,
    ...fields,
    ...(!after && { ledger: ledgerJson(ledger, closed, { apiVersion, binary }) }),
    state: indexes
      .slice(0, length)
      .filter(index => type === undefined || state.read(index)?.LedgerEntryType === type)
      .map(index => (binary ? { data: entryBlob(state, index), index } : entryJson(state, index))),
    ...(next && { marker: (BigInt(`0x${next}`) - 1n).toString(16).toUpperCase().padStart(64, '0') })
  }
}

const entry: Command = request => {
  const { params, apiVersion } = request
  const { closed, fields } = findLedger(request)
  const fail = (error: string) => new RpcError({ error, ...fields })
  if (params.tx_hash === undefined) throw fail('fieldNotFoundTransaction')
  if (!closed) throw fail('notYetImplemented')
  const hash = parseHash(asText(params.tx_hash))
  if (!hash) throw fail('malformedRequest')
  const transaction = closed.transactions.find(one => one.hash === hash)
  if (!transaction) throw fail('transactionNotFound')
  return { ...fields, ...transactionEntry(transaction, apiVersion) }
}

export const ledgerCommands: Record<string, Command> = {
  ledger,
  ledger_accept: ({ ledger }) => {
    ledger.close()
    return { ledger_current_index: ledger.openIndex }
  },
  ledger_closed: ({ ledger: { closedHeader } }) => ({
    ledger_hash: closedHeader.hash,
    ledger_index: closedHeader.ledgerIndex
  }),
  ledger_current: ({ ledger }) => ({ ledger_current_index: ledger.openIndex }),
  ledger_data: ledgerData,
  transaction_entry: entry
}
