import { accountOf } from '../../ledger/state.ts'
import { invalidField, rpcError } from '../errors.ts'
import { findState } from '../find-ledger.ts'
import { parseAddress, readAccountText, readLimit } from '../params.ts'
import type { Command } from '../rpc.ts'

/** Commands that list what an account never has here, and the names of their lists. */
const lists: Record<string, string[]> = {
  account_channels: ['channels'],
  account_currencies: ['receive_currencies', 'send_currencies'],
  account_lines: ['lines'],
  account_nfts: ['account_nfts'],
  account_offers: ['offers']
}

function emptyLists(names: string[]): Command {
  return request => {
    const { params } = request
    const text = readAccountText(params, 'account')
    const { state, fields } = findState(request)
    const account = parseAddress(text, fields)
    if (!accountOf(state, account)) throw rpcError('actNotFound')
    const isPaged = names.length === 1
    if (isPaged) readLimit(params, 200)
    if (isPaged && params.marker !== undefined) throw invalidField('marker')
    return { ...(isPaged && { account }), ...Object.fromEntries(names.map(name => [name, []])), ...fields }
  }
}

export const absentCommands: Record<string, Command> = Object.fromEntries(
  Object.entries(lists).map(([command, names]) => [command, emptyLists(names)])
)
