import { commands } from './commands/index.ts'
import { type Json, type Request, RpcError, rpcError } from './rpc.ts'

export const MAX_REQUEST_LENGTH = 1_000_000
const MAX_NESTING = 25

/** Commands of an administrator, which every program of this machine is here. */
const ofPrograms = new Set(['ledger_accept', 'stop'])

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some(inner => isDeeperThan(levels - 1, inner))
}

/** A request, or undefined if it is not one. rippled's parser takes objects only, and not too deep ones. */
function parseRequest(text: string): Json | undefined {
  if (text.length > MAX_REQUEST_LENGTH) return undefined
  try {
    const request = JSON.parse(text)
    const isObject = typeof request === 'object' && request !== null && !Array.isArray(request)
    return isObject && !isDeeperThan(MAX_NESTING, request) ? request : undefined
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

function answer(request: Json, surroundings: Surroundings): Json {
  const { id, command, method, api_version = 1 } = request
  const head = {
    ...('id' in request && { id }),
    ...('api_version' in request && { api_version })
  }
  const failure = (fields: Json): Json => ({
    ...fields,
    ...head,
    request: masked(request),
    status: 'error',
    type: 'response'
  })
  if (api_version !== 1 && api_version !== 2) return failure({ error: 'invalid_API_version' })
  const name = command ?? method
  if (typeof name !== 'string' || (typeof method === 'string' && method !== name))
    return failure({ error: 'missingCommand' })
  try {
    const run = commands.get(name)
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

/** The answer to whatever a client has sent, in rippled's form. Source: rippled, rpc/impl/ServerHandlerImp.cpp. */
export function answerText(text: string, surroundings: Surroundings): Json {
  const request = parseRequest(text)
  return request ? answer(request, surroundings) : { error: 'jsonInvalid', type: 'error', value: text }
}
