import { isValidClassicAddress } from 'ripple-address-codec'
import { check, InvalidFieldsError } from './errors.ts'
import type { PluginOptions } from './types.ts'
import { type Wallet, walletOf } from './wallet.ts'

/** The options, checked and complete. */
export interface Settings {
  wallet: Wallet
  server: string
  /** the server's URL without what may be secret in it: path, parameters and credentials */
  serverName: string
  prefix: string
  maxFeeDrops: number
  sendRejections: boolean
  maxCachedTransfers: number
}

/**
 * Checks the options. Null counts as left out: ilp-connector passes options of null. No value that could be a secret
 * in the wrong place is quoted, because errors end up in logs.
 *
 * @throws InvalidFieldsError
 */
export function toSettings(given: PluginOptions): Settings {
  const present = Object.entries(given).filter(([, value]) => value !== null)
  const options = Object.fromEntries(present) as unknown as PluginOptions
  const { secret, server, address, account, prefix = 'test.crypto.xrp.' } = options
  const { maxFeeDrops = 10_000, sendRejections = false, maxCachedTransfers = 1_000 } = options
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
    Number.isSafeInteger(maxCachedTransfers) && maxCachedTransfers > 0,
    'The option "maxCachedTransfers" is not a whole number, 1 or more'
  )
  const wallet = toWallet(secret)
  for (const expected of [address, account]) {
    const other = isValidClassicAddress(expected ?? '') ? `"${expected}"` : 'the one in the options'
    check(
      expected === undefined || expected === wallet.address,
      `The secret belongs to the account "${wallet.address}", not to ${other}`
    )
  }
  const { protocol, host } = new URL(server)
  const serverName = `${protocol}//${host}`
  return { wallet, server, serverName, prefix, maxFeeDrops, sendRejections, maxCachedTransfers }
}

function toWallet(secret: string): Wallet {
  try {
    return walletOf(secret)
  } catch {
    // Without a cause: the library's error quotes what it was given.
    throw new InvalidFieldsError(
      'The option "secret" is not a family seed ("s…"): copy it again from where you got it'
    )
  }
}
