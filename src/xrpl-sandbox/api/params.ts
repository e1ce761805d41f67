import { isAddress } from '../ledger/hashes.ts'
import { expectedField, invalidField, missingField, type RpcError, rpcError } from './errors.ts'
import type { Json } from './rpc.ts'

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
