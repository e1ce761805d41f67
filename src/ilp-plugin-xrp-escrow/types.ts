/** What `getInfo()` returns. */
export interface LedgerInfo {
  /** ILP address prefix of the ledger, with its closing dot */
  prefix: string
  currencyCode: 'XRP'
  /** amounts are integers in units of 10^-6 XRP: drops */
  currencyScale: 6
  /** accounts of recommended connectors */
  connectors: string[]
}

/** A transfer of the Ledger Plugin Interface (Interledger RFC 0004, draft 8). */
export interface Transfer {
  /** UUID, chosen by the sender */
  id: string
  /** ILP address of the sender's account; the plugin's own account when left out */
  from?: string
  /** ILP address that begins with the receiver's account on this ledger */
  to: string
  /** the ledger's prefix */
  ledger?: string
  /** drops, as an integer string */
  amount: string
  /** ILP packet, base64url without padding */
  ilp?: string
  /** kept by the sending plugin and passed to its events; never sent */
  noteToSelf?: unknown
  /** SHA-256 hash of the fulfillment: 32 bytes, base64url without padding (43 characters) */
  executionCondition?: string
  /** ISO 8601; when the money goes back to the sender, or without a condition, when it is not sent any more */
  expiresAt?: string
  custom?: unknown
}

/** A transfer as it stands on the ledger. */
export interface LedgerTransfer extends Transfer {
  from: string
  ledger: string
  ilp: string
  /** drops that this account's own transactions for it have cost so far; beside the Ledger Plugin Interface */
  feeDrops?: string
}

/** Why a receiver does not want a transfer. */
export interface RejectionMessage {
  /** three characters, e.g. `F05` */
  code: string
  /** e.g. `Wrong Condition` */
  name: string
  message: string
  /** ILP address of whoever rejected */
  triggered_by: string
  /** ISO 8601 */
  triggered_at: string
  forwarded_by: string[]
  additional_info: Record<string, unknown>
}

/** A message between two accounts of the ledger. */
export interface Message {
  id?: string
  /** ILP address of the sender's account */
  from?: string
  /** ILP address of the receiver's account */
  to: string
  ledger?: string
  /** ILP packet, base64url */
  ilp?: string
  custom?: unknown
  /** milliseconds that `sendRequest` waits for the answer; 0 for the default, Infinity for no limit */
  timeout?: number
}

export type RequestHandler = (request: Message) => Promise<Message>

/** Events of the plugin, and the arguments of their listeners. */
export interface PluginEvents {
  connect: []
  disconnect: []
  error: [error: Error]
  info_change: [info: LedgerInfo]
  /** beyond the interface: a fulfillment failed on the ledger, and cost so many drops */
  fulfill_failed: [transfer: LedgerTransfer, feeDrops: string]
  incoming_transfer: [transfer: LedgerTransfer]
  incoming_prepare: [transfer: LedgerTransfer]
  /** the fulfillment is base64url */
  incoming_fulfill: [transfer: LedgerTransfer, fulfillment: string]
  incoming_reject: [transfer: LedgerTransfer, reason: RejectionMessage]
  incoming_cancel: [transfer: LedgerTransfer, reason: RejectionMessage]
  incoming_request: [message: Message]
  incoming_response: [message: Message]
  outgoing_transfer: [transfer: LedgerTransfer]
  outgoing_prepare: [transfer: LedgerTransfer]
  /** the fulfillment is base64url */
  outgoing_fulfill: [transfer: LedgerTransfer, fulfillment: string]
  outgoing_reject: [transfer: LedgerTransfer, reason: RejectionMessage]
  outgoing_cancel: [transfer: LedgerTransfer, reason: RejectionMessage]
  outgoing_request: [message: Message]
  outgoing_response: [message: Message]
}

/** Options of the plugin. */
export interface PluginOptions {
  /** family seed of the account (`s…`): anyone who knows it can spend the account's money */
  secret: string
  /** WebSocket URL of an XRP Ledger server */
  server: string
  /** classic address that the secret must belong to; to catch mixed-up credentials */
  address?: string
  /** the same under its other name in the tutorials */
  account?: string
  /** ILP address prefix of the ledger, default `test.crypto.xrp.` */
  prefix?: string
  /** the most drops that one transaction may cost when the network is busy, default 10000 */
  maxFeeDrops?: number
  /**
   * whether the reason of a rejection is sent to the payer, as a payment of 1 drop, default false: a stranger
   * could make this account spend 11 drops for each escrow that it refuses
   */
  sendRejections?: boolean
  /** how many finished transfers are kept in memory, for each direction, default 1000 */
  maxCachedTransfers?: number
  /** accepted and ignored: hosts of the interface pass one */
  _store?: unknown
}

/** Emits an event of the plugin. */
export type Emit = <E extends keyof PluginEvents>(event: E, ...args: PluginEvents[E]) => void
