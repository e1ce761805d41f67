import { randomBytes } from 'node:crypto'
import { isValidClassicAddress } from 'ripple-address-codec'
import { type Command, type Json, type Request, rpcError } from '../rpc.ts'
import { loadLevels } from '../shapes.ts'
import { HOST, ledgerStatus, NODE_KEY, streamNames } from '../streams.ts'
import { checkBooks } from './markets.ts'

/** How many accounts a connection can listen to, proposed and validated. */
const MAX_ACCOUNTS = 10_000

function readAccounts(params: Json, name: string): string[] {
  const list = params[name]
  if (list === undefined) return []
  if (!Array.isArray(list)) throw rpcError('invalidParams')
  const valid = list.every(account => typeof account === 'string' && isValidClassicAddress(account))
  if (list.length === 0 || !valid) throw rpcError('actMalformed')
  return list
}

/** The state of the server stream, as `subscribe` answers it. */
function serverStatus({ ledger }: Request): Json {
  const { load_base, load_factor } = loadLevels(ledger)
  return {
    hostid: HOST,
    load_base,
    load_factor,
    pubkey_node: NODE_KEY,
    random: randomBytes(32).toString('hex').toUpperCase(),
    server_status: 'full',
    stand_alone: true
  }
}

type Change = <T>(set: Set<T>, item: T) => void

/** An experiment of rippled's that the sandbox does not follow. */
function checkHistoryStream(stream: unknown) {
  if (stream === undefined) return
  const { account } = (stream ?? {}) as Json
  const isAccount = typeof account === 'string' && isValidClassicAddress(account)
  throw rpcError(isAccount ? 'notSupported' : 'invalidParams')
}

/** Takes what a request names one after the other: what comes before a mistake has taken effect, as in rippled. */
function change(request: Request, apply: Change, onStream?: (name: string) => void) {
  const { params, subscriber } = request
  if (params.url !== undefined) throw rpcError('noPermission')
  const { streams = [] } = params
  if (!Array.isArray(streams)) throw rpcError('invalidParams')
  for (const given of streams) {
    const name = given === 'rt_transactions' ? 'transactions_proposed' : given
    if (!streamNames.has(name) || (!onStream && name === 'book_changes')) throw rpcError('malformedStream')
    apply(subscriber.streams, name)
    onStream?.(name)
  }
  const name = params.accounts_proposed === undefined ? 'rt_accounts' : 'accounts_proposed'
  for (const account of readAccounts(params, name)) apply(subscriber.accountsProposed, account)
  for (const account of readAccounts(params, 'accounts')) apply(subscriber.accounts, account)
  checkHistoryStream(params.account_history_tx_stream)
  if (params.books !== undefined) checkBooks(params.books)
}

const subscribe: Command = request => {
  const { subscriber, apiVersion, ledger } = request
  const answer: Json = {}
  subscriber.apiVersion = apiVersion
  change(
    request,
    (set, item) => {
      if (set.size >= MAX_ACCOUNTS && !set.has(item)) throw rpcError('slowDown')
      set.add(item)
    },
    name => {
      if (name === 'ledger') Object.assign(answer, ledgerStatus(ledger))
      if (name === 'server') Object.assign(answer, serverStatus(request))
    }
  )
  return answer
}

const unsubscribe: Command = request => {
  change(request, (set, item) => set.delete(item))
  return {}
}

export const subscriptionCommands: Record<string, Command> = { subscribe, unsubscribe }
