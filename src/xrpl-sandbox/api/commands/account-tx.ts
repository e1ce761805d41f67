import { invalidField, rpcError } from '../errors.ts'
import { findLedger } from '../find-ledger.ts'
import { accountTxItem } from '../formatters.ts'
import {
  asFlag,
  asInt,
  asUint,
  isObject,
  parseAddress,
  readAccountText,
  readBoolean,
  readLimit
} from '../params.ts'
import type { Command, Request } from '../rpc.ts'

interface Range {
  min: number
  max: number
}

/** The ledgers from one bound to the other, as far as they are there. */
function readBounds({ params, apiVersion, ledger }: Request): Range {
  const first = ledger.history.first.header.ledgerIndex
  const last = ledger.closedHeader.ledgerIndex
  const bound = (value: unknown, open: number) =>
    value === undefined || asInt(value) < 0 ? open : asUint(value)
  const min = bound(params.ledger_index_min, 0)
  const max = bound(params.ledger_index_max, 2 ** 32 - 1)
  const isBeyond = (max > last && max < 2 ** 32 - 1) || (min < first && min !== 0)
  if (apiVersion > 1 && isBeyond) throw rpcError('lgrIdxMalformed')
  const range = { min: Math.max(min, first), max: Math.min(max, last) }
  if (range.max < range.min) throw rpcError(apiVersion === 1 ? 'lgrIdxsInvalid' : 'invalidLgrRange')
  return range
}

/** The ledgers to search, from the bounds or the one ledger in a request; all, if it names none. */
function readRange(request: Request): Range {
  const { params, apiVersion, ledger } = request
  const hasBounds = params.ledger_index_min !== undefined || params.ledger_index_max !== undefined
  const hasLedger = params.ledger_index !== undefined || params.ledger_hash !== undefined
  if (apiVersion > 1 && hasBounds && hasLedger) throw rpcError('invalidParams', 'invalidParams')
  if (hasBounds) return readBounds(request)
  if (!hasLedger)
    return { min: ledger.history.first.header.ledgerIndex, max: ledger.closedHeader.ledgerIndex }
  const { closed } = findLedger(request)
  if (!closed) throw rpcError('lgrNotValidated')
  return { min: closed.header.ledgerIndex, max: closed.header.ledgerIndex }
}

const isUint = (value: unknown) =>
  value === null || typeof value === 'boolean' || (typeof value === 'number' && value >= 0)

/** Where a page begins. */
function readMarker(marker: unknown) {
  if (marker === undefined) return undefined
  if (!isObject(marker) || !isUint(marker.ledger) || !isUint(marker.seq))
    throw rpcError(
      'invalidParams',
      'invalid marker. Provide ledger index via ledger field, and transaction sequence number via seq field'
    )
  return { ledgerIndex: asUint(marker.ledger), position: asUint(marker.seq) }
}

// Source: rippled 3.2.0, rpc/handlers/account/AccountTx.cpp.
export const accountTx: Command = request => {
  const { params, ledger, apiVersion } = request
  const flag = (name: string) =>
    apiVersion === 1 ? asFlag(params[name]) : readBoolean(params, name, () => invalidField(name))
  const [binary, forward] = [flag('binary'), flag('forward')]
  const limit = readLimit(params, 200)
  const account = parseAddress(readAccountText(params, 'account'))
  const from = readMarker(params.marker)
  const range = readRange(request)
  const { transactions, next } = ledger.history.accountTransactions(account, {
    ...range,
    limit,
    forward,
    from
  })
  return {
    account,
    ledger_index_min: range.min,
    ledger_index_max: range.max,
    limit,
    ...(next && { marker: { ledger: next.header.ledgerIndex, seq: next.position } }),
    transactions: transactions.map(transaction => accountTxItem(transaction, { apiVersion, binary })),
    validated: true
  }
}
