import type { Command } from '../rpc.ts'
import { accountInfo, accountLines, accountObjects, accountOffers, accountTx } from './accounts.ts'
import { ledger, ledgerAccept, ledgerClosed, ledgerCurrent, ledgerEntry } from './ledgers.ts'
import { fee, ping, serverInfo, serverState, stop, version } from './server.ts'
import { subscribe, unsubscribe } from './subscriptions.ts'
import { submit, tx } from './transactions.ts'

export const commands = new Map<string, Command>(
  Object.entries({
    account_info: accountInfo,
    account_lines: accountLines,
    account_objects: accountObjects,
    account_offers: accountOffers,
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
    stop,
    submit,
    subscribe,
    tx,
    unsubscribe,
    version
  })
)
