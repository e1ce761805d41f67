import type { LedgerTransfer, PluginXrpEscrow } from 'ilp-plugin-xrp-escrow'

/**
 * Logs where a shop is paid.
 *
 * @param plugin - connected
 * @param cost - of a letter, drops
 * @returns the shop's ILP address, and the price of a letter with its unit
 */
export function logAccount(plugin: PluginXrpEscrow, cost: number): { account: string; price: string } {
  const { prefix, currencyCode, currencyScale } = plugin.getInfo()
  const account = plugin.getAccount()
  // Convert our cost (10) into the right format given the ledger scale
  const price = `${cost} drops (${cost / 10 ** currencyScale} ${currencyCode})`
  console.log(`    - Connected to ledger: ${prefix}`)
  console.log(`    -- Account: ${account}`)
  console.log(`    -- Currency: ${currencyCode}`)
  console.log(`    -- CurrencyScale: ${currencyScale}`)
  return { account, price }
}

/** Which payment a line is about: the first characters of its condition. */
export function shortCondition({ executionCondition = '' }: LedgerTransfer): string {
  return `${executionCondition.slice(0, 8)}...`
}
