import base64url from 'base64url'
import { deserializeIlpPayment } from 'ilp-packet'
import type { LedgerTransfer, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { pskFulfillment, sha256 } from '../crypto.ts'

// The fulfillment has to be in one of the next ledgers, also when these are slow or full.
const minTimeLeftMs = 60_000

/** What a transfer is checked against. */
export interface ShopTerms<Client> {
  /** the shop's ILP address */
  account: string
  /** price of a letter, drops */
  cost: number
  /** the clients that the shop shares a secret with, by clientId */
  clients: { get(clientId: string): Client | undefined }
}

/** A payment that a shop can fulfill. */
export interface Payment<Client> {
  transfer: LedgerTransfer
  client: Client
  drops: bigint
  /** 32 bytes, base64url */
  fulfillment: string
}

/** Why a shop must reject a transfer. */
export type Rejection = Pick<RejectionMessage, 'code' | 'name' | 'message'>

/**
 * Checks whether a shop can fulfill a transfer, before it gives anything away for it.
 *
 * @param ledgerTime - the ledger's time now: it decides what has expired
 * @returns the payment, or the reason why the shop must reject the transfer
 * @see Interledger RFC 0016 (Pre-Shared Key), draft 4: what the receiver checks
 */
export function checkIncomingTransfer<Client extends { sharedSecret: Buffer }>(
  transfer: LedgerTransfer,
  { account, cost, clients }: ShopTerms<Client>,
  ledgerTime: Date
): Payment<Client> | Rejection {
  const ilpPacket = Buffer.from(transfer.ilp, 'base64')
  const packet = parsePacket(ilpPacket)
  if (!packet) return { code: 'F01', name: 'Invalid Packet', message: 'The transfer carries no ILP payment' }

  // <account>.<clientId>.<paymentId>
  const isHere = packet.account.startsWith(`${account}.`)
  const local = isHere ? packet.account.slice(account.length + 1) : packet.account
  const [clientId = '', paymentId, ...rest] = isHere ? local.split('.') : []
  const client = paymentId && rest.length === 0 ? clients.get(clientId) : undefined
  if (!client) {
    const message = `Nobody here is waiting for a payment to ${local}`
    return { code: 'F06', name: 'Unexpected Payment', message }
  }

  const drops = BigInt(transfer.amount)
  const price = BigInt(packet.amount) > BigInt(cost) ? packet.amount : cost
  if (drops < BigInt(price)) {
    const message = `Please send at least ${price} drops, you sent ${drops}`
    return { code: 'F04', name: 'Insufficient Destination Amount', message }
  }

  const fulfillment = pskFulfillment(client.sharedSecret, ilpPacket)
  const { executionCondition = '' } = transfer
  if (base64url(sha256(fulfillment)) !== executionCondition) {
    const message = `Unable to fulfill the condition: ${executionCondition}`
    return { code: 'F05', name: 'Wrong Condition', message }
  }

  const timeLeftMs = Date.parse(transfer.expiresAt ?? '') - ledgerTime.getTime()
  if (!(timeLeftMs >= minTimeLeftMs)) {
    const message = `Please give the shop at least ${minTimeLeftMs / 1000} seconds`
    return { code: 'R02', name: 'Insufficient Timeout', message }
  }
  return { transfer, client, drops, fulfillment: base64url(fulfillment) }
}

function parsePacket(ilpPacket: Buffer): { account: string; amount: string } | undefined {
  try {
    return deserializeIlpPayment(ilpPacket)
  } catch {
    return undefined
  }
}
