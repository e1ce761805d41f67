import { createRequire } from 'node:module'
import type data from 'ripple-binary-codec/dist/enums/definitions.json'

/** What `server_definitions` answers, as ripple-binary-codec has it: newer than this server. */
export const definitions: typeof data = createRequire(import.meta.url)(
  'ripple-binary-codec/dist/enums/definitions.json'
)

/** The flags of an account. */
export const accountFlags = definitions.LEDGER_ENTRY_FLAGS.AccountRoot
