import { randomBytes } from 'node:crypto'
import { isAddress } from '../../ledger/hashes.ts'
import { rpcError } from '../errors.ts'
import { loadLevels } from '../formatters.ts'
import type { Command, Json, Request } from '../rpc.ts'
import { hostId, ledgerStatus, nodeKey, streamNames } from '../streams.ts'

/** How many accounts a connection can listen to, proposed and validated. */
const maxSubscribedAccounts = 10_000

function readAccounts(params: Json, name: string): string[] {
  const list = params[name]
  if (list === undefined) return []
  if (!Array.isArray(list)) throw rpcError('invalidParams')
  if (list.length === 0 || !list.every(isAddress)) throw rpcError('actMalformed')
  return list
}

/** The state of the server stream, as `subscribe` answers it. */
function serverStatus({ ledger }: Request): Json {
  const { load_base, load_factor } = loadLevels(ledger)
  return {
    hostid: hostId,
    load_base,
    load_factor,
    pubkey_node: nodeKey,
    random: randomBytes(32).toString('hex').toUpperCase(),
    server_status: 'full',
    stand_alone: true
  }
}

type Change = <T>(set: Set<T>, item: T) => void

/** Takes what a request names one after the other: what comes before a mistake has taken effect, as in rippled. */
function change(request: Request, apply: Change, onStream?: (name: string) => void) {
  const { params, subscriber } = request
  if (params.url !== undefined) throw rpcError('noPermission')
  const { streams = [] } = params
  if (!Array.isArray(streams)) throw rpcError('invalidParams')
  for (const given of streams) {
    const name = given === 'rt_transactions' ? 'transactions_proposed' : given
    if (!streamNames.has(name)) throw rpcError('malformedStream')
    apply(subscriber.streams, name)
    onStream?.(name)
  }
  const name = params.accounts_proposed === undefined ? 'rt_accounts' : 'accounts_proposed'
  for (const account of readAccounts(params, name)) apply(subscriber.accountsProposed, account)
  for (const account of readAccounts(params, 'accounts')) apply(subscriber.accounts, account)
  if (params.account_history_tx_stream !== undefined) throw rpcError('notSupported')
  // There are no order books.
  const { books = [] } = params
  if (!Array.isArray(books) || books.length > 0) throw rpcError('invalidParams')
}

const subscribe: Command = request => {
  const { subscriber, apiVersion, ledger } = request
  const answer: Json = {}
  subscriber.apiVersion = apiVersion
  change(
    request,
    (set, item) => {
      if (set.size >= maxSubscribedAccounts && !set.has(item)) throw rpcError('slowDown')
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
