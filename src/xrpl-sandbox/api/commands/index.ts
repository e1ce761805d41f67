import type { ApiVersion, Command } from '../rpc.ts'
import { accountCommands } from './accounts.ts'
import { ledgerCommands } from './ledgers.ts'
import { marketCommands } from './markets.ts'
import { serverCommands } from './server.ts'
import { subscriptionCommands } from './subscriptions.ts'
import { transactionCommands } from './transactions.ts'

export const commands = new Map<string, Command>(
  Object.entries({
    ...accountCommands,
    ...ledgerCommands,
    ...marketCommands,
    ...serverCommands,
    ...subscriptionCommands,
    ...transactionCommands
  })
)

/** Commands that version 2 no longer has. */
const dropped = new Set(['ledger_header', 'tx_history'])

export const findCommand = (name: string, apiVersion: ApiVersion): Command | undefined =>
  apiVersion > 1 && dropped.has(name) ? undefined : commands.get(name)
