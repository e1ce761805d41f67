import { fieldsOf, type ValidatedTransaction } from '../../ledger/history.ts'
import { wholeQueue } from '../queue.ts'
import { asFlag, asText, asUint, type Command, findLedger, parseHash, RpcError, rpcError } from '../rpc.ts'
import { headerBlob, ledgerJson, transactionEntry, versionedFields } from '../shapes.ts'
import { accountState, ledgerData, ledgerEntry, readEntryType } from './entries.ts'

const ledger: Command = request => {
  const { params, apiVersion, ledger } = request
  if (['ledger', 'ledger_hash', 'ledger_index'].every(name => params[name] === undefined))
    return {
      closed: { ledger: ledgerJson(ledger, ledger.history.last, { apiVersion }) },
      open: { ledger: ledgerJson(ledger, undefined, { apiVersion }) }
    }
  const found = findLedger(request)
  const { closed, fields } = found
  readEntryType(params)
  if (asFlag(params.queue) && closed) throw rpcError('invalidParams')
  const full = asFlag(params.full)
  const [expand, transactions] = [full || asFlag(params.expand), full || asFlag(params.transactions)]
  const shape = { apiVersion, binary: asFlag(params.binary), expand, full, transactions }
  const json = ledgerJson(ledger, closed, shape)
  if (full || asFlag(params.accounts)) json.accountState = accountState(request, found)
  const queue_data = asFlag(params.queue) ? wholeQueue(ledger, shape) : []
  return { ledger: json, ...(queue_data.length > 0 && { queue_data }), ...fields }
}

/** Only in version 1. */
const ledgerHeader: Command = request => {
  const { ledger, apiVersion } = request
  const { closed, fields } = findLedger(request)
  return {
    ...fields,
    ledger: ledgerJson(ledger, closed, { apiVersion }),
    ledger_data: headerBlob(ledger, closed)
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

const HISTORY_PAGE = 20

/** The newest transactions of all. Only in version 1. */
const txHistory: Command = ({ params, ledger: { history } }) => {
  if (params.start === undefined) throw rpcError('invalidParams')
  const index = asUint(params.start)
  const newest: ValidatedTransaction[] = []
  for (let at = history.last.header.ledgerIndex; newest.length < index + HISTORY_PAGE; at--) {
    const older = history.ledger(at)
    if (!older) break
    newest.push(...[...older.transactions].reverse())
  }
  const txs = newest.slice(index, index + HISTORY_PAGE).map(one => ({
    ...versionedFields(fieldsOf(one), 1),
    hash: one.hash,
    inLedger: one.ledgerIndex,
    ledger_index: one.ledgerIndex
  }))
  return { index, txs: txs.length > 0 ? txs : null }
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
  ledger_entry: ledgerEntry,
  ledger_header: ledgerHeader,
  transaction_entry: entry,
  tx_history: txHistory
}
