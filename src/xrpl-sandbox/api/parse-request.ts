import type { Json } from './rpc.ts'

export const maxRequestLength = 1_000_000
const maxNesting = 25

const code = (character: string) => character.charCodeAt(0)
const quote = code('"')
const backslash = code('\\')
const colon = code(':')
const isOpening = (at: number) => at === code('{') || at === code('[')
const isClosing = (at: number) => at === code('}') || at === code(']')
const isDigit = (at: number) => at >= code('0') && at <= code('9')

interface ObjectText {
  /** Where the object ends that the text begins with. */
  end: number
  /** How many fields it names, in it and in what it holds, however often the same one. */
  names: number
  /** Whether it holds an integer of more than 32 bits. */
  hasLongInteger: boolean
}

/** Whether the number from `start` to `end` is an integer that rippled has no room for. */
function isLongInteger(text: string, start: number, end: number): boolean {
  const isInteger = !'.eE'.includes(text[end] ?? ' ')
  const number = end - start > 11 ? Number.POSITIVE_INFINITY : Number(text.slice(start, end))
  return isInteger && !(number >= -(2 ** 31) && number < 2 ** 32)
}

/** Reads a text once, from its beginning to the end of the object that it begins with. */
function scanObject(text: string): ObjectText {
  let depth = 0
  let names = 0
  let hasLongInteger = false
  let at = 0
  while (at < text.length) {
    const character = text.charCodeAt(at)
    if (character === quote) {
      for (at++; at < text.length && text.charCodeAt(at) !== quote; at++)
        if (text.charCodeAt(at) === backslash) at++
      at++
    } else if (isDigit(character)) {
      const start = text[at - 1] === '-' ? at - 1 : at
      const isFraction = '.eE+'.includes(text[start - 1] ?? ' ') || /[eE]/.test(text[start - 1] ?? ' ')
      while (isDigit(text.charCodeAt(at))) at++
      if (!isFraction && isLongInteger(text, start, at)) hasLongInteger = true
    } else {
      at++
      if (character === colon) names++
      else if (isOpening(character)) depth++
      else if (isClosing(character) && --depth <= 0) break
    }
  }
  return { end: at, names, hasLongInteger }
}

/** How many fields a value has, however deep; NaN if it is too deep. */
function countFields(value: unknown, levels: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (levels === 0) return Number.NaN
  const inner = Object.values(value)
  const own = Array.isArray(value) ? 0 : inner.length
  return inner.reduce<number>((sum, one) => sum + countFields(one, levels - 1), own)
}

/**
 * Reads a request as rippled does: an object, whatever comes after it, without a field that comes twice, and
 * without an integer of more than 32 bits. The time it takes grows with the length of the text, not faster.
 *
 * @returns undefined if the text is not a request
 * Source: rippled 3.2.0, json/json_reader.cpp
 */
export function parseRequest(text: string): Json | undefined {
  if (text.length > maxRequestLength) return undefined
  const { end, names, hasLongInteger } = scanObject(text)
  if (hasLongInteger) return undefined
  try {
    const request = JSON.parse(text.slice(0, end))
    const isObject = typeof request === 'object' && request !== null && !Array.isArray(request)
    return isObject && countFields(request, maxNesting) === names ? request : undefined
  } catch {
    return undefined
  }
}
