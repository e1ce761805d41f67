import { isValidClassicAddress } from 'ripple-address-codec'
import { type Command, type Json, type Request, rpcError } from '../rpc.ts'
import { ledgerStatus, streamNames } from '../streams.ts'

/** How many accounts a connection can listen to. */
const MAX_ACCOUNTS = 10_000

function readStreams({ streams }: Json): string[] {
  if (streams === undefined) return []
  if (!Array.isArray(streams)) throw rpcError('invalidParams')
  if (!streams.every(name => typeof name === 'string' && streamNames.has(name)))
    throw rpcError('malformedStream')
  return streams.map(name => (name === 'rt_transactions' ? 'transactions_proposed' : name))
}

function readAccounts(params: Json, ...names: string[]): string[] {
  const list = names.map(name => params[name]).find(value => value !== undefined)
  if (list === undefined) return []
  if (!Array.isArray(list)) throw rpcError('invalidParams')
  const valid = list.every(account => typeof account === 'string' && isValidClassicAddress(account))
  if (list.length === 0 || !valid) throw rpcError('actMalformed')
  return list
}

/** All that a request names, checked before any of it takes effect. */
function readTargets({ params }: Request) {
  return {
    streams: readStreams(params),
    accounts: readAccounts(params, 'accounts'),
    accountsProposed: readAccounts(params, 'accounts_proposed', 'rt_accounts')
  }
}

export const subscribe: Command = request => {
  const { subscriber, apiVersion, ledger } = request
  const { streams, accounts, accountsProposed } = readTargets(request)
  const all = new Set([
    ...subscriber.accounts,
    ...subscriber.accountsProposed,
    ...accounts,
    ...accountsProposed
  ])
  if (all.size > MAX_ACCOUNTS) throw rpcError('slowDown')
  subscriber.apiVersion = apiVersion
  for (const name of streams) subscriber.streams.add(name)
  for (const account of accounts) subscriber.accounts.add(account)
  for (const account of accountsProposed) subscriber.accountsProposed.add(account)
  return streams.includes('ledger') ? ledgerStatus(ledger, apiVersion) : {}
}

export const unsubscribe: Command = request => {
  const { subscriber } = request
  const { streams, accounts, accountsProposed } = readTargets(request)
  for (const name of streams) subscriber.streams.delete(name)
  for (const account of accounts) subscriber.accounts.delete(account)
  for (const account of accountsProposed) subscriber.accountsProposed.delete(account)
  return {}
}
