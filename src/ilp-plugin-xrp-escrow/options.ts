import { isValidClassicAddress } from 'ripple-address-codec'
import { InvalidFieldsError } from './errors.ts'
import { check } from './json.ts'
import { type Wallet, walletOf } from './keys.ts'
import type { PluginOptions } from './types.ts'

/** What a plugin goes by, with all that was left out. */
export type Settings = ReturnType<typeof toSettings>

/**
 * Checks the options. What is null counts as left out: connectors give a `_store` of null to a plugin that shall have
 * none. No value that could be a secret in the wrong place is quoted: errors end up in logs.
 *
 * @throws InvalidFieldsError
 */
export function toSettings(asGiven: PluginOptions) {
  const given = Object.entries(asGiven).filter(([, value]) => value !== null)
  const options = Object.fromEntries(given) as PluginOptions
  const { secret, server, address, account, prefix = 'test.crypto.xrp.', maxFeeDrops = 10_000 } = options
  const { sendRejections = false, rememberedTransfers = 1_000, _store: store } = options
  check(secret, 'The option "secret" is missing: the account\'s family seed ("s…")')
  check(server, 'The option "server" is missing: the WebSocket URL of an XRP Ledger server')
  check(
    typeof server === 'string' && /^wss?:\/\/./.test(server) && URL.canParse(server),
    'The option "server" is not a WebSocket URL ("wss://…" or "ws://…")'
  )
  check(
    typeof prefix === 'string' && /^([A-Za-z0-9_~-]+\.)+$/.test(prefix),
    'The option "prefix" is not the ILP prefix of a ledger: it must end with a dot, such as "test.crypto.xrp."'
  )
  check(
    Number.isSafeInteger(maxFeeDrops) && maxFeeDrops > 0,
    'The option "maxFeeDrops" is not a whole number of drops, 1 or more'
  )
  check(
    Number.isSafeInteger(rememberedTransfers) && rememberedTransfers > 0,
    'The option "rememberedTransfers" is not a whole number, 1 or more'
  )
  check(
    store === undefined || [store.get, store.put, store.del].every(method => typeof method === 'function'),
    'The option "_store" has not the methods "get", "put" and "del"'
  )
  const wallet = toWallet(secret)
  for (const expected of [address, account]) {
    const other = isValidClassicAddress(expected ?? '') ? `"${expected}"` : 'what the options name'
    check(
      expected === undefined || expected === wallet.address,
      `The secret belongs to the account "${wallet.address}", not to ${other}`
    )
  }
  const { protocol, host } = new URL(server)
  // What to call the server: a URL's path, parameters and credentials may be secret.
  const serverName = `${protocol}//${host}`
  return { wallet, server, serverName, prefix, maxFeeDrops, sendRejections, rememberedTransfers, store }
}

function toWallet(secret: string): Wallet {
  try {
    return walletOf(secret)
  } catch {
    // No cause: the library's error quotes what it was given.
    throw new InvalidFieldsError(
      'The option "secret" is not a family seed ("s…"): copy it again from where you got it'
    )
  }
}
