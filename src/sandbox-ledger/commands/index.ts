import type { Command } from '../rpc.ts'
import { accountInfo, accountObjects, accountTx } from './accounts.ts'
import { ledger, ledgerAccept, ledgerClosed, ledgerCurrent, ledgerEntry } from './ledgers.ts'
import { fee, ping, serverInfo, serverState, version } from './server.ts'
import { subscribe, unsubscribe } from './subscriptions.ts'
import { submit, tx } from './transactions.ts'

export const commands = new Map<string, Command>(
  Object.entries({
    account_info: accountInfo,
    account_objects: accountObjects,
    account_tx: accountTx,
    fee,
    ledger,
    ledger_accept: ledgerAccept,
    ledger_closed: ledgerClosed,
    ledger_current: ledgerCurrent,
    ledger_entry: ledgerEntry,
    ping,
    server_info: serverInfo,
    server_state: serverState,
    submit,
    subscribe,
    tx,
    unsubscribe,
    version
  })
)
