import { isValidClassicAddress } from 'ripple-address-codec'
import type { ClosedLedger } from '../ledger/history.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { State } from '../ledger/state.ts'

export type Json = Record<string, unknown>

/** What a connection listens to. */
export interface Subscriber {
  /** Of the last `subscribe`: messages come in its shape. */
  apiVersion: 1 | 2
  streams: Set<string>
  accounts: Set<string>
  accountsProposed: Set<string>
  send(message: string): void
}

export interface Request {
  params: Json
  apiVersion: 1 | 2
  ledger: Ledger
  /** The connection that asks. */
  subscriber: Subscriber
  /** When the server started, in milliseconds of Unix time. */
  startedAt: number
  /** Whether it is a program that asks; a web page may not do everything. */
  isProgram: boolean
  /** Ends the server after the answer. */
  stop(): void
}

/** Answers a command with its `result`, or throws an RpcError. */
export type Command = (request: Request) => Json

/** Source: rippled, protocol/impl/ErrorCodes.cpp. */
const errors = {
  actMalformed: [35, 'Account malformed.'],
  actNotFound: [19, 'Account not found.'],
  excessiveLgrRange: [78, 'Ledger range exceeds 1000.'],
  internal: [73, 'Internal error.'],
  invalidLgrRange: [79, 'Ledger range is invalid.'],
  invalidParams: [31, 'Invalid parameters.'],
  lgrIdxsInvalid: [57, 'Ledger indexes invalid.'],
  lgrNotFound: [21, 'ledgerNotFound'],
  malformedStream: [71, 'Stream malformed.'],
  noPermission: [6, "You don't have permission for this command."],
  notImpl: [74, 'Not implemented.'],
  notSupported: [75, 'Operation not supported.'],
  slowDown: [10, 'You are placing too much load on the server.'],
  txnNotFound: [29, 'Transaction not found.'],
  unknownCmd: [32, 'Unknown method.']
} satisfies Record<string, [number, string]>

/** An answer with `status: "error"`; `fields` are all its own fields. */
export class RpcError extends Error {
  readonly fields: Json

  constructor(fields: Json) {
    super(String(fields.error))
    this.fields = fields
  }
}

export function rpcError(error: keyof typeof errors, message?: string, more: Json = {}): RpcError {
  const [error_code, defaultMessage] = errors[error]
  return new RpcError({ error, error_code, error_message: message ?? defaultMessage, ...more })
}

/** The address in a field. Throws invalidParams if there is none, actMalformed if it is not one. */
export function readAddress(params: Json, name: string): string {
  const value = params[name]
  if (value === undefined) throw rpcError('invalidParams', `Missing field '${name}'.`)
  if (typeof value !== 'string') throw rpcError('invalidParams', `Invalid field '${name}'.`)
  if (!isValidClassicAddress(value)) throw rpcError('actMalformed')
  return value
}

/** A flag; API version 2 insists on a boolean. */
export function readFlag({ params, apiVersion }: Request, name: string): boolean {
  const value = params[name]
  if (apiVersion > 1 && value !== undefined && typeof value !== 'boolean')
    throw rpcError('invalidParams', `Invalid field '${name}'.`)
  return Boolean(value)
}

/** A limit within the bounds that keep an answer to a size that can be sent. */
export function readLimit(params: Json, { standard, max }: { standard: number; max: number }): number {
  const { limit } = params
  if (limit === undefined) return standard
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 0)
    throw rpcError('invalidParams', "Invalid field 'limit', not unsigned integer.")
  return limit === 0 ? standard : Math.min(limit, max)
}

export interface FoundLedger {
  state: State
  /** Undefined for the open ledger. */
  closed: ClosedLedger | undefined
  /** What says in an answer which ledger it speaks of. */
  fields: Json
}

function found(ledger: Ledger, closed: ClosedLedger | undefined): FoundLedger {
  if (!closed) throw rpcError('lgrNotFound')
  const latest = closed === ledger.history.last
  return {
    state: latest ? ledger.validated : ledger.history.stateAfter(closed, ledger.validated),
    closed,
    fields: { ledger_hash: closed.header.hash, ledger_index: closed.header.ledgerIndex, validated: true }
  }
}

/** The ledger that `ledger_hash` or `ledger_index` names; without either, the open one. */
export function findLedger({ params, ledger }: Request): FoundLedger {
  const { ledger_hash: hash, ledger_index: index = 'current' } = params
  if (hash !== undefined) {
    if (typeof hash !== 'string') throw rpcError('invalidParams', 'ledgerHashNotString')
    if (!/^[0-9A-Fa-f]{64}$/.test(hash)) throw rpcError('invalidParams', 'ledgerHashMalformed')
    return found(ledger, ledger.history.ledgerByHash(hash.toUpperCase()))
  }
  if (index === 'validated' || index === 'closed') return found(ledger, ledger.history.last)
  const isNumber = typeof index === 'number' || (typeof index === 'string' && /^\d+$/.test(index))
  if (index === 'current' || (isNumber && Number(index) === ledger.openIndex))
    return {
      state: ledger.open,
      closed: undefined,
      fields: { ledger_current_index: ledger.openIndex, validated: false }
    }
  if (!isNumber) throw rpcError('invalidParams', 'ledgerIndexMalformed')
  return found(ledger, ledger.history.ledger(Number(index)))
}
