import { isValidClassicAddress } from 'ripple-address-codec'
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
  /** Ends the server after the answer. */
  stop(): void
}

/** Answers a command with its `result`, or throws an RpcError. */
export type Command = (request: Request) => Json

/** Source: rippled 2.3.0, protocol/ErrorCodes. */
const errors = {
  actMalformed: [35, 'Account malformed.'],
  actNotFound: [19, 'Account not found.'],
  badCredentials: [95, 'Credentials do not exist, are not accepted, or have expired.'],
  badIssuer: [41, 'Issuer account malformed.'],
  badMarket: [42, 'No such market.'],
  dstActNotFound: [50, 'Destination account not found.'],
  dstAmtMalformed: [51, 'Destination amount/currency/issuer is malformed.'],
  dstIsrMalformed: [53, 'Destination issuer is malformed.'],
  excessiveLgrRange: [78, 'Ledger range exceeds 1000.'],
  internal: [73, 'Internal error.'],
  invalidHotWallet: [30, 'Invalid hotwallet.'],
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
  srcActNotFound: [67, 'Source account not found.'],
  srcCurMalformed: [69, 'Source currency is malformed.'],
  srcIsrMalformed: [70, 'Source issuer is malformed.'],
  txnNotFound: [29, 'Transaction not found.'],
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

// How rippled reads a JSON value of one kind where it wants another; what cannot be read is an internal error.
// Source: rippled 2.3.0, json/json_value.cpp.

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

const isGiven = (value: unknown) => (typeof value === 'object' ? asFlag(value) : (value ?? '') !== '')

/** A hash of so many hex digits; undefined if it is none. */
export function parseHash(text: string, digits = 64): string | undefined {
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
  if (!isValidClassicAddress(text)) throw rpcError('actMalformed', undefined, fields)
  return text
}

/** A flag for which API version 2 wants a boolean. */
export function readStrictFlag({ params, apiVersion }: Request, name: string): boolean {
  const value = params[name]
  if (apiVersion > 1 && value !== undefined && typeof value !== 'boolean') throw invalidField(name)
  return asFlag(value)
}

/** How many to list. The connection is an administrator's: there is no maximum. */
export function readLimit({ limit }: Json, standard: number): number {
  if (!isGiven(limit)) return standard
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 0)
    throw expectedField('limit', 'unsigned integer')
  return limit
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

export function readLedgerHash(hash: unknown): string {
  if (typeof hash !== 'string') throw rpcError('invalidParams', 'ledgerHashNotString')
  const parsed = parseHash(hash)
  if (!parsed) throw rpcError('invalidParams', 'ledgerHashMalformed')
  return parsed
}

export const ledgerByHash = (ledger: Ledger, hash: string) => found(ledger, ledger.history.ledgerByHash(hash))

/** The ledger with a name or a number. */
export function ledgerByIndex(ledger: Ledger, index: string | number): FoundLedger {
  if (index === 'validated' || index === 'closed') return found(ledger, ledger.history.last)
  if (index === 'current' || index === '' || index === ledger.openIndex)
    return {
      state: ledger.open,
      closed: undefined,
      fields: { ledger_current_index: ledger.openIndex, validated: false }
    }
  return found(ledger, ledger.history.ledger(Number(index)))
}

/** The ledger that a request names; without a name, the open one. */
export function findLedger({ params, ledger }: Request): FoundLedger {
  let { ledger_hash: hash, ledger_index: index } = params
  if (isGiven(params.ledger)) {
    if (asText(params.ledger).length > 12) hash = params.ledger
    else index = params.ledger
  }
  if (isGiven(hash)) return ledgerByHash(ledger, readLedgerHash(hash))
  const name = asText(index)
  if (['validated', 'closed', 'current', ''].includes(name)) return ledgerByIndex(ledger, name)
  if (!/^\+?\d+$/.test(name) || Number(name) >= 2 ** 32)
    throw rpcError('invalidParams', 'ledgerIndexMalformed')
  return ledgerByIndex(ledger, Number(name))
}
