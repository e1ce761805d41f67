import { isValidClassicAddress } from 'ripple-address-codec'
import { InvalidFieldsError } from './errors.ts'
import { toObject } from './json.ts'
import { type Wallet, walletOf } from './keys.ts'
import type { PluginOptions } from './types.ts'

const defaultPrefix = 'test.crypto.xrp.'
const defaultMaxFeeDrops = 10_000
const defaultRememberedTransfers = 1_000

/** What a plugin goes by, with all that was left out. */
export interface Settings {
  wallet: Wallet
  server: string
  /** what to call the server: a URL's path, parameters and credentials may be secret */
  serverName: string
  maxFeeDrops: number
}

/**
 * Takes what is null as left out: connectors give a `_store` of null to a plugin that shall have none.
 *
 * @throws InvalidFieldsError if there are no options
 */
export function checkedOptions(
  options: unknown
): PluginOptions & { prefix: string; rememberedTransfers: number } {
  if (!toObject(options))
    throw new InvalidFieldsError('The plugin has no options: it needs "secret" and "server" at least')
  const given = Object.entries(options as PluginOptions).filter(([, value]) => value !== null)
  const {
    prefix = defaultPrefix,
    rememberedTransfers = defaultRememberedTransfers,
    ...rest
  } = Object.fromEntries(given) as PluginOptions
  return { ...rest, prefix, rememberedTransfers }
}

/**
 * Checks the options. No value that could be a secret in the wrong place is quoted: errors end up in logs.
 *
 * @throws InvalidFieldsError
 */
export function toSettings(options: PluginOptions): Settings {
  const { secret, server, prefix, address, account, maxFeeDrops = defaultMaxFeeDrops, _store } = options
  const { rememberedTransfers = defaultRememberedTransfers } = options
  if (!secret)
    throw new InvalidFieldsError('The option "secret" is missing: the account\'s family seed ("s…")')
  if (!server)
    throw new InvalidFieldsError('The option "server" is missing: the WebSocket URL of an XRP Ledger server')
  if (typeof server !== 'string' || !/^wss?:\/\/./.test(server) || !URL.canParse(server))
    throw new InvalidFieldsError('The option "server" is not a WebSocket URL ("wss://…" or "ws://…")')
  const { protocol, host } = new URL(server)
  if (typeof prefix !== 'string' || !/^([A-Za-z0-9_~-]+\.)+$/.test(prefix)) {
    const example = `it must end with a dot, such as "${defaultPrefix}"`
    throw new InvalidFieldsError(`The option "prefix" is not the ILP prefix of a ledger: ${example}`)
  }
  if (!Number.isSafeInteger(maxFeeDrops) || maxFeeDrops < 1)
    throw new InvalidFieldsError('The option "maxFeeDrops" is not a whole number of drops, 1 or more')
  if (!Number.isSafeInteger(rememberedTransfers) || rememberedTransfers < 1)
    throw new InvalidFieldsError('The option "rememberedTransfers" is not a whole number, 1 or more')
  const methods = ['get', 'put', 'del'] as const
  if (_store !== undefined && !methods.every(name => typeof _store?.[name] === 'function'))
    throw new InvalidFieldsError('The option "_store" has not the methods "get", "put" and "del"')
  const wallet = toWallet(secret)
  for (const expected of [address, account]) {
    if (expected === undefined || expected === wallet.address) continue
    const other = isValidClassicAddress(expected) ? `"${expected}"` : 'what the options name'
    throw new InvalidFieldsError(`The secret belongs to the account "${wallet.address}", not to ${other}`)
  }
  return { wallet, server, serverName: `${protocol}//${host}`, maxFeeDrops }
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
