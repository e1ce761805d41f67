import base64url from 'base64url'
import { deserializeIlpPayment } from 'ilp-packet'
import type { LedgerTransfer, RejectionMessage } from 'ilp-plugin-xrp-escrow'
import { pskFulfillment, sha256 } from '../crypto.ts'
import type { Funds } from './funds.ts'

// The fulfillment has to be in one of the next ledgers, which close every 3 to 5 seconds, and the ledger's
// clock may be up to ten seconds ahead of ours.
const minTimeLeftMs = 20_000

// A ledger plugin that lost its connection may announce a transfer once more; so many are recognised.
const rememberedTransfers = 1_000
const seen = new Set<string>()

/** Whether a transfer was announced before. Its id alone is the sender's word: anybody can use somebody else's. */
export function isRepeated({ id, from, executionCondition }: LedgerTransfer): boolean {
  const name = `${from} ${id} ${executionCondition}`
  if (seen.has(name)) return true
  seen.add(name)
  for (const oldest of seen) {
    if (seen.size <= rememberedTransfers) break
    seen.delete(oldest)
  }
  return false
}

/** What a shop knows when it decides about a transfer. */
interface Shop<Client> {
  /** the shop's ILP address */
  account: string
  /** price of a letter, drops */
  cost: number
  /** whom the shop shares a secret with, by clientId */
  clients: { get(clientId: string): Client | undefined }
  /** what the shop can afford */
  funds: Pick<Funds, 'canPayFee' | 'collectMs'>
}

/** A transfer that the shop can take: whose it is, and the fulfillment that takes it. */
interface AcceptableTransfer<Client> {
  client: Client
  /** 32 bytes, base64url */
  fulfillment: string
}

/**
 * Decides whether a shop can take a transfer, before it gives anything away for it.
 *
 * @returns whose transfer it is and how to take it, or the reason why the shop must not take it
 * @see Interledger RFC 0016 (Pre-Shared Key), draft 4: what the receiver checks
 */
export function checkIncomingTransfer<Client extends { sharedSecret: Buffer }>(
  transfer: LedgerTransfer,
  shop: Shop<Client>
): AcceptableTransfer<Client> | RejectionMessage {
  const reject = (code: string, name: string, message: string): RejectionMessage => ({
    code,
    name,
    message,
    triggered_by: shop.account,
    triggered_at: new Date().toISOString(),
    forwarded_by: [],
    additional_info: {}
  })

  const ilpPacket = Buffer.from(transfer.ilp, 'base64')
  const payment = parsePacket(ilpPacket)
  if (!payment) return reject('F01', 'Invalid Packet', 'The transfer carries no ILP payment')

  // <account>.<clientId>.<paymentId>
  const isHere = payment.account.startsWith(`${shop.account}.`)
  const local = isHere ? payment.account.slice(shop.account.length + 1) : payment.account
  const [clientId = '', paymentId, ...rest] = isHere ? local.split('.') : []
  const client = paymentId && rest.length === 0 ? shop.clients.get(clientId) : undefined
  if (!client)
    return reject(
      'F06',
      'Unexpected Payment',
      `Nobody here is waiting for a payment to ${shortened(local, 40)}`
    )

  const price = Math.max(shop.cost, Number(payment.amount))
  if (Number(transfer.amount) < price) {
    return reject(
      'F04',
      'Insufficient Destination Amount',
      `Please send at least ${price} drops, you sent ${transfer.amount}`
    )
  }

  const fulfillment = pskFulfillment(client.sharedSecret, ilpPacket)
  const { executionCondition = '' } = transfer
  if (base64url(sha256(fulfillment)) !== executionCondition) {
    const message = `Unable to fulfill the condition: ${shortened(executionCondition, 8)}`
    return reject('F05', 'Wrong Condition', message)
  }

  // Those that were accepted before come first, one at a time.
  const neededMs = minTimeLeftMs + shop.funds.collectMs()
  const timeLeftMs = Date.parse(transfer.expiresAt ?? '') - Date.now()
  if (!(timeLeftMs >= neededMs)) {
    const message = `Please give the shop at least ${Math.ceil(neededMs / 1000)} seconds`
    return reject('R02', 'Insufficient Timeout', message)
  }
  if (!shop.funds.canPayFee())
    return reject('T04', 'Insufficient Liquidity', 'The shop cannot pay the fee for it')
  return { client, fulfillment: base64url(fulfillment) }
}

function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}...` : text
}

function parsePacket(ilpPacket: Buffer): { account: string; amount: string } | undefined {
  try {
    return deserializeIlpPayment(ilpPacket)
  } catch {
    return undefined
  }
}
