import { sha512Half, toHex } from './hashes.ts'
import type { Amendments, FeeSettings } from './state.ts'
import type { Fees } from './transactors/transactor.ts'

/** The amendments that this ledger follows: of those that rippled knows, all that concern what can be here. */
const names = [
  ...['DepositAuth', 'DisallowIncoming', 'Escrow', 'RequireFullyCanonicalSig', 'TicketBatch', 'TickSize'],
  ...['XRPFees', 'fix1523', 'fix1543', 'fix1571', 'fix1623', 'fixDirectoryLimit', 'fixDisallowIncomingV1'],
  ...['fixIncludeKeyletFields', 'fixInvalidTxFlags', 'fixPreviousTxnID']
]

/** By id (64 upper-case hex digits), which is the hash of the name. */
export const amendments = new Map(names.map(name => [toHex(sha512Half(Buffer.from(name))), name]))

/** The entry that lists the amendments. Source: xrpl.org "Amendments". */
export const amendmentsEntry: Amendments = {
  LedgerEntryType: 'Amendments',
  Amendments: [...amendments.keys()].sort(),
  Flags: 0
}

/** The entry that holds the fees. Source: xrpl.org "FeeSettings". */
export function feeSettingsEntry({ base, reserveBase, reserveIncrement }: Fees): FeeSettings {
  return {
    LedgerEntryType: 'FeeSettings',
    BaseFeeDrops: String(base),
    ReserveBaseDrops: String(reserveBase),
    ReserveIncrementDrops: String(reserveIncrement),
    Flags: 0
  }
}
