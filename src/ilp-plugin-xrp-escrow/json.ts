/** A JSON object from anyone: check what is in it before using it. */
export type Json = Record<string, unknown>

/**
 * Parses the text of a JSON object.
 *
 * @returns undefined for anything else; a key `__proto__` is left out
 */
export function parseObject(text: string): Json | undefined {
  try {
    // A reviver takes longer than all the rest of parsing.
    return toObject(JSON.parse(text, /__proto__|\\u/.test(text) ? withoutPrototype : undefined))
  } catch {
    return undefined
  }
}

/** The value if it is an object, and neither an array nor null. */
export function toObject(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
}

/** Whether a value is an unsigned integer of 32 bits, as most numbers of the ledger are. */
export function isUInt32(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32
}

export function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/** A deep copy of plain objects and arrays, so that a host can change what it is given. */
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
