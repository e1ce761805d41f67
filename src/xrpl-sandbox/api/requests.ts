import { findCommand } from './commands/index.ts'
import { type Json, type Request, RpcError, rpcError } from './rpc.ts'

export const MAX_REQUEST_LENGTH = 1_000_000
const MAX_NESTING = 25

/** Commands of an administrator, which every program of this machine is here. */
const ofPrograms = new Set(['ledger_accept', 'stop'])

/** How many fields a value has, however deep; NaN if it is too deep. */
function countFields(value: unknown, levels: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (levels === 0) return Number.NaN
  const inner = Object.values(value)
  const own = Array.isArray(value) ? 0 : inner.length
  return inner.reduce<number>((sum, one) => sum + countFields(one, levels - 1), own)
}

/** How many fields a text names, whatever its strings say; NaN if a number in it is too large. */
function countNames(text: string): number {
  let names = 0
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|:|[\d.eE+-]{10,}/g)) {
    if (token === ':') names++
    const isLong = /^-?\d+$/.test(token)
    if (isLong && !(Number(token) >= -(2 ** 31) && Number(token) < 2 ** 32)) return Number.NaN
  }
  return names
}

/** The text of the object that a text begins with: rippled does not look at what comes after it. */
function firstObject(text: string): string {
  let depth = 0
  for (const { 0: token, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]/g)) {
    if ('{['.includes(token)) depth++
    else if ('}]'.includes(token) && --depth === 0) return text.slice(0, index + 1)
  }
  return text
}

function parseObject(text: string) {
  try {
    return { object: text, request: JSON.parse(text) }
  } catch {
    const object = firstObject(text)
    return { object, request: JSON.parse(object) }
  }
}

/**
 * A request, or undefined if it is not one. rippled's parser takes objects only, no field twice, and no integer of
 * more than 32 bits. Source: rippled 2.3.0, json/json_reader.cpp.
 */
function parseRequest(text: string): Json | undefined {
  if (text.length > MAX_REQUEST_LENGTH) return undefined
  try {
    const { object, request } = parseObject(text)
    if (typeof request !== 'object' || request === null || Array.isArray(request)) return undefined
    return countFields(request, MAX_NESTING) === countNames(object) ? request : undefined
  } catch {
    return undefined
  }
}

/** The request as an error repeats it: without its secrets. */
function masked(request: Json): Json {
  const copy = { ...request }
  for (const name of ['secret', 'seed', 'seed_hex', 'passphrase']) if (name in copy) copy[name] = '<masked>'
  return copy
}

/** What an answer repeats of its request. */
const repeated = ['id', 'jsonrpc', 'ripplerpc', 'api_version']

function answer(request: Json, surroundings: Surroundings): Json {
  const { command, method, api_version = 1 } = request
  const head: Json = {}
  for (const name of repeated) if (name in request) head[name] = request[name]
  const failure = (fields: Json): Json => ({
    ...fields,
    ...head,
    request: masked(request),
    status: 'error',
    type: 'response'
  })
  if (api_version !== 1 && api_version !== 2) return failure({ error: 'invalid_API_version' })
  const name = command === undefined ? method : command
  if (typeof name !== 'string' || (method !== undefined && method !== name))
    return failure({ error: 'missingCommand' })
  try {
    const run = findCommand(name, api_version)
    if (!run) throw rpcError('unknownCmd')
    if (ofPrograms.has(name) && !surroundings.isProgram) throw rpcError('noPermission')
    const result = run({ ...surroundings, params: request, apiVersion: api_version })
    return { ...head, result, status: 'success', type: 'response' }
  } catch (error) {
    if (error instanceof RpcError) return failure(error.fields)
    console.error(`Sandbox ledger: "${name}" failed inside`, error)
    return failure(rpcError('internal').fields)
  }
}

/** What a request comes with, besides its own fields. */
type Surroundings = Omit<Request, 'params' | 'apiVersion'>

/** The answer to whatever a client has sent, in rippled's form. Source: rippled 2.3.0, rpc/detail/ServerHandler.cpp. */
export function answerText(text: string, surroundings: Surroundings): Json {
  const request = parseRequest(text)
  // As in C, a text ends at its first zero.
  return request
    ? answer(request, surroundings)
    : { error: 'jsonInvalid', type: 'error', value: text.split('\0')[0] }
}
