import type { Json } from './rpc.ts'

export const maxRequestLength = 1_000_000
const maxNesting = 25

/**
 * Reads a text once: where the object ends that it begins with, and how many fields that names, however deep.
 *
 * @returns undefined if the object is nested too deep
 */
function scanObject(text: string): { end: number; names: number } | undefined {
  let depth = 0
  let names = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (inString) {
      if (character === '\\') at++
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === ':') names++
    else if (character === '{' || character === '[') {
      if (++depth > maxNesting) return undefined
    } else if ((character === '}' || character === ']') && --depth <= 0) return { end: at + 1, names }
  }
  return { end: text.length, names }
}

const isLongInteger = (value: unknown) =>
  Number.isInteger(value) && !((value as number) >= -(2 ** 31) && (value as number) < 2 ** 32)

/** How many fields a value has, however deep; NaN if it holds an integer of more than 32 bits. */
function countFields(value: unknown): number {
  if (typeof value !== 'object' || value === null) return isLongInteger(value) ? Number.NaN : 0
  const inner = Object.values(value)
  const own = Array.isArray(value) ? 0 : inner.length
  return inner.reduce<number>((sum, one) => sum + countFields(one), own)
}

/**
 * Reads a request as rippled does: an object, whatever comes after it, without a field that comes twice, and
 * without an integer of more than 32 bits. The time it takes grows with the length of the text, not faster.
 *
 * @returns undefined if the text is not a request
 * Source: rippled 3.2.0, json/json_reader.cpp
 */
export function parseRequest(text: string): Json | undefined {
  const scanned = text.length > maxRequestLength ? undefined : scanObject(text)
  if (!scanned) return undefined
  try {
    const request = JSON.parse(text.slice(0, scanned.end))
    const isObject = typeof request === 'object' && request !== null && !Array.isArray(request)
    return isObject && countFields(request) === scanned.names ? request : undefined
  } catch {
    return undefined
  }
}
