import { accountCommands } from './commands/account.ts'
import { accountTx } from './commands/account-tx.ts'
import { ledgerCommands } from './commands/ledger.ts'
import { ledgerEntry } from './commands/ledger-entry.ts'
import { serverCommands } from './commands/server.ts'
import { subscriptionCommands } from './commands/subscriptions.ts'
import { transactionCommands } from './commands/transactions.ts'
import { RpcError, rpcError } from './errors.ts'
import { parseRequest } from './parse-request.ts'
import type { Command, Json, Request } from './rpc.ts'

/** All commands that there are, by name. */
export const commands = new Map<string, Command>(
  Object.entries({
    ...accountCommands,
    account_tx: accountTx,
    ledger_entry: ledgerEntry,
    ...ledgerCommands,
    ...serverCommands,
    ...subscriptionCommands,
    ...transactionCommands
  })
)

/** Commands of an administrator: every program of this machine is one here, but no web page. */
const adminCommands = new Set(['ledger_accept', 'stop'])

/** What a request comes with, besides its own fields. */
export type RequestContext = Omit<Request, 'params' | 'apiVersion'>

/** The request as an error repeats it: without its secrets. */
function masked(request: Json): Json {
  const copy = { ...request }
  for (const name of ['secret', 'seed', 'seed_hex', 'passphrase']) if (name in copy) copy[name] = '<masked>'
  return copy
}

/** What an answer repeats of its request. */
const repeated = ['id', 'jsonrpc', 'ripplerpc', 'api_version']

function answer(request: Json, context: RequestContext): Json {
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
    const run = commands.get(name)
    if (!run) throw rpcError('unknownCmd')
    if (adminCommands.has(name) && !context.isProgram) throw rpcError('noPermission')
    const result = run({ ...context, params: request, apiVersion: api_version })
    return { ...head, result, status: 'success', type: 'response' }
  } catch (err) {
    if (err instanceof RpcError) return failure(err.fields)
    console.error(`Sandbox ledger: "${name}" failed`, err)
    return failure(rpcError('internal').fields)
  }
}

/** Answers whatever a client has sent, in rippled's form. Source: rippled 3.2.0, rpc/detail/ServerHandler.cpp. */
export function answerText(text: string, context: RequestContext): Json {
  const request = parseRequest(text)
  // As in C, a text ends at its first zero.
  return request
    ? answer(request, context)
    : { error: 'jsonInvalid', type: 'error', value: text.split('\0', 1)[0] }
}
