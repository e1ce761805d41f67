import type { ClosedLedger } from '../ledger/history.ts'
import type { State } from '../ledger/state.ts'
import { expectedField, rpcError } from './errors.ts'
import { parseHash } from './params.ts'
import type { Json, Request } from './rpc.ts'

export interface FoundLedger {
  /** Undefined for the open ledger. */
  closed: ClosedLedger | undefined
  /** What says in an answer which ledger it speaks of. */
  fields: Json
}

function found(closed: ClosedLedger | undefined): FoundLedger {
  if (!closed) throw rpcError('lgrNotFound')
  const { hash, ledgerIndex } = closed.header
  return { closed, fields: { ledger_hash: hash, ledger_index: ledgerIndex, validated: true } }
}

/**
 * Finds the ledger that a request names; without a name, the open one.
 *
 * Source: rippled 3.2.0, rpc/detail/RPCLedgerHelpers.cpp
 */
export function findLedger({ params, ledger: { history, openIndex } }: Request): FoundLedger {
  const names = ['ledger', 'ledger_hash', 'ledger_index'].filter(name => params[name] !== undefined)
  const [name = 'ledger_index'] = names
  if (names.length > 1) {
    const choices = name === 'ledger' ? "'ledger', 'ledger_hash', or " : "'ledger_hash' or "
    throw rpcError('invalidParams', `Exactly one of ${choices}'ledger_index' can be specified.`)
  }
  const value = params[name] ?? (names.length > 0 ? null : 'current')
  const isHash = typeof value === 'string' && value.length === 64
  if (name === 'ledger_hash' || (name === 'ledger' && isHash)) {
    const hash = parseHash(value)
    if (!hash) throw expectedField(name, 'hex string')
    return found(history.ledgerByHash(hash))
  }
  if (typeof value !== 'number' && typeof value !== 'string') throw expectedField(name, 'string or number')
  if (value === 'validated' || value === 'closed') return found(history.last)
  if (['current', '', String(openIndex)].includes(String(value)))
    return { closed: undefined, fields: { ledger_current_index: openIndex, validated: false } }
  if (!/^\+?\d+$/.test(String(value)) || Number(value) >= 2 ** 32)
    throw expectedField(name, 'string or number')
  return found(history.ledger(Number(value)))
}

/** Finds the ledger that a request names, with its state, unless that is too long ago. */
export function findState(request: Request): FoundLedger & { state: State } {
  const { closed, fields } = findLedger(request)
  const { state } = closed ?? { state: request.ledger.open }
  if (!state) throw rpcError('lgrNotFound')
  return { state, closed, fields }
}
