import { expectedField, invalidField } from '../errors.ts'
import type { Json } from '../rpc.ts'

/** The types of entries that can be here, by the names they are asked for. */
export const entryTypes: Record<string, string> = {
  account: 'AccountRoot',
  amendments: 'Amendments',
  directory: 'DirectoryNode',
  escrow: 'Escrow',
  fee: 'FeeSettings',
  ticket: 'Ticket'
}

/** The names of the types of which there is never an entry here. Source: rippled 3.2.0, ledger_entries.macro. */
export const absentTypes = new Set(
  `amm bridge check credential delegate deposit_preauth did hashes loan loan_broker mpt_issuance mptoken nft_offer
  nft_page nunl offer oracle payment_channel permissioned_domain ripple_state signer_list state vault
  xchain_owned_claim_id xchain_owned_create_account_claim_id`.split(/\s+/)
)

/**
 * Reads which type of entries a request wants.
 *
 * @returns as entries name it; '' for a type that is never here; undefined for all types
 */
export function readEntryType({ type }: Json): string | undefined {
  if (type === undefined) return undefined
  if (typeof type !== 'string') throw expectedField('type', 'string')
  const known = Object.entries(entryTypes).find(
    ([name, canonical]) => name === type || canonical.toLowerCase() === type.toLowerCase()
  )
  if (!known && !absentTypes.has(type)) throw invalidField('type')
  return known?.[1] ?? ''
}
