import { InvalidFieldsError } from './errors.ts'

/** An object of JSON, from anyone: what is in it has to be looked at before it is believed. */
export type Json = Record<string, unknown>

/**
 * Reads text that should be an object of JSON.
 *
 * @returns undefined for anything else; what would pass for the object's prototype is left out
 */
export function parseObject(text: string): Json | undefined {
  try {
    // Looking at each value takes longer than all the rest of reading.
    return toObject(JSON.parse(text, /__proto__|\\u/.test(text) ? withoutPrototype : undefined))
  } catch {
    return undefined
  }
}

/** @throws InvalidFieldsError with the problem, unless all is right */
export function check(isRight: unknown, problem: string): asserts isRight {
  if (!isRight) throw new InvalidFieldsError(problem)
}

/** What is an object, and neither a list nor nothing. */
export function toObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
}

/** A whole number of 32 bits without a sign, as most numbers of the ledger are. */
export function isUInt32(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32
}

/** A copy for a host, which may do with it what it likes: of objects and lists; all else is shared. */
export function copyOf<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copyOf) as T
  const object = toObject(value)
  const prototype: unknown = object && Object.getPrototypeOf(object)
  if (!object || (prototype !== Object.prototype && prototype !== null)) return value
  const copy = { ...object }
  for (const key in copy) if (typeof copy[key] === 'object') copy[key] = copyOf(copy[key])
  return copy as T
}

function withoutPrototype(key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value
}
