import type { Command } from '../rpc.ts'
import { absentCommands } from './absent.ts'
import { accountCommands } from './account.ts'
import { accountTx } from './account-tx.ts'
import { ledgerCommands } from './ledger.ts'
import { ledgerEntry } from './ledger-entry.ts'
import { serverCommands } from './server.ts'
import { subscriptionCommands } from './subscriptions.ts'
import { transactionCommands } from './transactions.ts'

export const commands = new Map<string, Command>(
  Object.entries({
    ...absentCommands,
    ...accountCommands,
    account_tx: accountTx,
    ledger_entry: ledgerEntry,
    ...ledgerCommands,
    ...serverCommands,
    ...subscriptionCommands,
    ...transactionCommands
  })
)
