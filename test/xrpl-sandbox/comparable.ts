import type { Message } from './client.ts'

/** Depends on the machine, or on entries of the state that are not there: says nothing about behavior. */
const incomparable = new Set([
  ...['account_hash', 'ledger_hash', 'parent_hash', 'transaction_hash', 'ledger_data', 'error_exception'],
  ...['age', 'hostid', 'pubkey_node', 'port', 'random', 'time', 'uptime', 'load', 'initial_sync_duration_us'],
  ...['io_latency_ms', 'server_state_duration_us', 'state_accounting', 'git', 'build_version']
])
/** Which of them the sandbox leaves out. */
const leftOut = ['git']

/** A message without what cannot be compared from one run to another; its name and its type stay. */
export function comparable(message: Message): Message {
  return JSON.parse(JSON.stringify(message), function (this: Message, name, value) {
    if (leftOut.includes(name)) return undefined
    const isLedgerHash = name === 'hash' && ('seq' in this || 'close_flags' in this)
    return incomparable.has(name) || isLedgerHash ? typeof value : value
  })
}

/** The single values in a message, by their paths. */
export function values(message: Message, path = '', found = new Map<string, unknown>()) {
  if (typeof message !== 'object' || message === null) return found.set(path, message)
  for (const [name, value] of Object.entries(message)) values(value, `${path}.${name}`, found)
  return found
}
