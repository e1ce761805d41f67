import { isAddress } from '../ledger/hashes.ts'
import type { ClosedLedger } from '../ledger/history.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { State } from '../ledger/state.ts'

export type Json = Record<string, unknown>
export type ApiVersion = 1 | 2

/** What a connection listens to. */
export interface Subscriber {
  /** Of the last `subscribe`: messages come in its shape. */
  apiVersion: ApiVersion
  streams: Set<string>
  accounts: Set<string>
  accountsProposed: Set<string>
  send(message: string): void
}

export interface Request {
  params: Json
  apiVersion: ApiVersion
  ledger: Ledger
  /** The connection that asks. */
  subscriber: Subscriber
  /** When the server started, in milliseconds of Unix time. */
  startedAt: number
  /** Whether it is a program that asks; a web page may not do everything. */
  isProgram: boolean
  /** Where it listens. */
  port: number
  /** Stops the server after the answer. */
  stop(): void
}

/** Answers a command with its `result`, or throws an RpcError. */
export type Command = (request: Request) => Json

/** Source: rippled 3.2.0, protocol/ErrorCodes. */
const errors = {
  actMalformed: [35, 'Account malformed.'],
  actNotFound: [19, 'Account not found.'],
  badFeature: [40, 'Feature unknown or invalid.'],
  entryNotFound: [98, 'Entry not found.'],
  excessiveLgrRange: [78, 'Ledger range exceeds 1000.'],
  internal: [73, 'Internal error.'],
  invalidLgrRange: [79, 'Ledger range is invalid.'],
  invalidParams: [31, 'Invalid parameters.'],
  lgrIdxMalformed: [58, 'Ledger index malformed.'],
  lgrIdxsInvalid: [57, 'Ledger indexes invalid.'],
  lgrNotFound: [21, 'ledgerNotFound'],
  lgrNotValidated: [22, 'Ledger not validated.'],
  malformedStream: [71, 'Stream malformed.'],
  noPermission: [6, "You don't have permission for this command."],
  notImpl: [74, 'Not implemented.'],
  notSupported: [75, 'Operation not supported.'],
  slowDown: [10, 'You are placing too much load on the server.'],
  txnNotFound: [29, 'Transaction not found.'],
  unexpectedLedgerType: [99, 'Unexpected ledger type.'],
  unknown: [-1, 'An unknown error code.'],
  unknownCmd: [32, 'Unknown method.']
} satisfies Record<string, [number, string]>

export type ErrorName = keyof typeof errors

/** An answer with `status: "error"`; `fields` are all its own fields. */
export class RpcError extends Error {
  readonly fields: Json

  constructor(fields: Json) {
    super(String(fields.error))
    this.fields = fields
  }
}

export function rpcError(error: ErrorName, message?: string, more: Json = {}): RpcError {
  const [error_code, defaultMessage] = errors[error]
  return new RpcError({ error, error_code, error_message: message ?? defaultMessage, ...more })
}

export const missingField = (name: string) => rpcError('invalidParams', `Missing field '${name}'.`)
export const invalidField = (name: string) => rpcError('invalidParams', `Invalid field '${name}'.`)
export const expectedField = (name: string, type: string) =>
  rpcError('invalidParams', `Invalid field '${name}', not ${type}.`)

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

// How rippled reads a JSON value of one kind where it wants another; what cannot be read is an internal error.
// Source: rippled 3.2.0, json/json_value.cpp.

export function asText(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'object') throw rpcError('internal')
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(6) : String(value)
}

export function asFlag(value: unknown): boolean {
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value)
}

function asInteger(value: unknown, min: number, max: number): number {
  const isNumeric = typeof value === 'string' ? /^[+-]?\d+$/.test(value) : typeof value !== 'object' || !value
  const number = Number(value ?? 0)
  if (!isNumeric || !(number >= min && number <= max)) throw rpcError('internal')
  return Math.trunc(number)
}

export const asInt = (value: unknown) => asInteger(value, -(2 ** 31), 2 ** 31 - 1)
export const asUint = (value: unknown) => asInteger(value, 0, 2 ** 32 - 1)

/** A hash of so many hex digits; undefined if the text is not one. */
export function parseHash(text: unknown, digits = 64): string | undefined {
  if (typeof text !== 'string') return undefined
  if (text === '0') return '0'.repeat(digits)
  return text.length === digits && /^[0-9A-Fa-f]+$/.test(text) ? text.toUpperCase() : undefined
}

/** The text in a field that wants an address. */
export function readAccountText(params: Json, ...names: string[]): string {
  const name = names.find(candidate => params[candidate] !== undefined)
  if (!name) throw missingField(names[0] as string)
  const value = params[name]
  if (typeof value !== 'string') throw invalidField(name)
  return value
}

/** The address in a text, or actMalformed with `fields`. */
export function parseAddress(text: string, fields: Json = {}): string {
  if (!isAddress(text)) throw rpcError('actMalformed', undefined, fields)
  return text
}

/** A flag that has to be a boolean, if it is there; otherwise throws what `refusal` returns. */
export function readBoolean(params: Json, name: string, refusal: () => RpcError): boolean {
  const value = params[name]
  if (value !== undefined && typeof value !== 'boolean') throw refusal()
  return value ?? false
}

/** How many to list. The connection is an administrator's: there is no maximum. */
export function readLimit({ limit }: Json, standard: number): number {
  if (limit === undefined || limit === null) return standard
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 0)
    throw expectedField('limit', 'unsigned integer')
  if (limit === 0) throw invalidField('limit')
  return limit
}

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

/** Finds a ledger by its number or by a name for it. */
export function ledgerByIndex({ history, openIndex }: Ledger, index: string | number): FoundLedger {
  if (index === 'validated' || index === 'closed') return found(history.last)
  if (index === 'current' || index === '' || index === openIndex)
    return { closed: undefined, fields: { ledger_current_index: openIndex, validated: false } }
  return found(history.ledger(Number(index)))
}

export const ledgerByHash = ({ history }: Ledger, hash: string) => found(history.ledgerByHash(hash))

/**
 * Finds the ledger that a request names; without a name, the open one.
 *
 * Source: rippled 3.2.0, rpc/detail/RPCLedgerHelpers.cpp
 */
export function findLedger({ params, ledger }: Request): FoundLedger {
  const names = ['ledger', 'ledger_hash', 'ledger_index'].filter(name => params[name] !== undefined)
  const [name = 'ledger_index'] = names
  if (names.length > 1) {
    const choices = name === 'ledger' ? "'ledger', 'ledger_hash', or " : "'ledger_hash' or "
    throw rpcError('invalidParams', `Exactly one of ${choices}'ledger_index' can be specified.`)
  }
  const value = params[name] ?? (names.length > 0 ? null : 'current')
  if (name === 'ledger_hash' || (name === 'ledger' && asHashText(value))) {
    const hash = parseHash(value)
    if (!hash) throw expectedField(name, 'hex string')
    return ledgerByHash(ledger, hash)
  }
  const index = typeof value === 'number' ? String(value) : value
  if (typeof index !== 'string') throw expectedField(name, 'string or number')
  if (['validated', 'closed', 'current', ''].includes(index)) return ledgerByIndex(ledger, index)
  if (!/^\+?\d+$/.test(index) || Number(index) >= 2 ** 32) throw expectedField(name, 'string or number')
  return ledgerByIndex(ledger, Number(index))
}

const asHashText = (value: unknown) => typeof value === 'string' && value.length === 64

/** Finds the ledger that a request names, with its state, unless that is too long ago. */
export function findState(request: Request): FoundLedger & { state: State } {
  const { history, open, validated } = request.ledger
  const { closed, fields } = findLedger(request)
  if (!closed) return { state: open, closed, fields }
  const state = closed === history.last ? validated : history.stateAfter(closed, validated)
  if (!state) throw rpcError('lgrNotFound')
  return { state, closed, fields }
}
