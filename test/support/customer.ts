import { once } from 'node:events'
import base64url from 'base64url'
import * as IlpPacket from 'ilp-packet'
import PluginXrpEscrow, { type LedgerTransfer, type Transfer } from 'ilp-plugin-xrp-escrow'
import { v4 as uuid } from 'uuid'
import { pskFulfillment, sha256 } from '../../src/crypto.ts'
import { accounts } from '../../src/xrpl-sandbox/index.ts'

/** The parts of a `Pay` header. */
export interface Offer {
  amount: string
  address: string
  sharedSecret: string
}

/** Reads a `Pay` header as the tutorial's clients do. */
export function parsePay(header: string | null): Offer {
  const [scheme, amount = '', address = '', sharedSecret = ''] = (header ?? '').split(' ')
  if (scheme !== 'interledger-psk') throw new Error(`Not a Pay header: ${header}`)
  return { amount, address, sharedSecret }
}

/** Asks a shop for an offer. */
export async function offerOf(url: string): Promise<Offer> {
  const res = await fetch(url)
  await res.body?.cancel()
  return parsePay(res.headers.get('Pay'))
}

/** Asks a shop with a Pay-Token: a letter, or the status in its place. */
export async function askWithToken(url: string, { sharedSecret }: Offer): Promise<string | number> {
  const res = await fetch(url, { headers: { 'Pay-Token': sharedSecret } })
  const body = await res.text()
  return res.status === 200 ? body : res.status
}

/** What a payment by hand may do differently from an honest client. */
export interface Deviations {
  id?: string
  paymentId?: number | string
  /** what the packet says, drops */
  packetAmount?: string
  ilp?: string
  /** 32 bytes, base64url */
  condition?: string
  expiresInMs?: number
}

/** A customer who pays by hand, with every freedom to do it wrong. */
export class Customer {
  readonly plugin: PluginXrpEscrow

  private constructor(plugin: PluginXrpEscrow) {
    this.plugin = plugin
  }

  static async connect(
    ledger: { url: string; customer?: { secret: string } },
    { secret } = ledger.customer ?? accounts.customer
  ): Promise<Customer> {
    const plugin = new PluginXrpEscrow({ server: ledger.url, secret })
    // Each payment that waits for its fulfillment listens.
    plugin.setMaxListeners(0)
    await plugin.connect({ timeout: 120_000 })
    return new Customer(plugin)
  }

  /** Puts a payment on the ledger. Returns once it is validated. */
  async prepare(offer: Offer, amount = offer.amount, deviations: Deviations = {}): Promise<Transfer> {
    const { paymentId = 0, packetAmount = amount, expiresInMs = 1_000_000 } = deviations
    const account = `${offer.address}.${paymentId}`
    const packet = IlpPacket.serializeIlpPayment({ account, amount: packetAmount, data: Buffer.alloc(0) })
    const transfer: Transfer = {
      id: deviations.id ?? uuid(),
      // The plugin pays the account on the ledger; the packet says who there is meant.
      to: offer.address.split('.').slice(0, 4).join('.'),
      amount,
      ilp: deviations.ilp ?? base64url(packet),
      executionCondition:
        deviations.condition ??
        base64url(sha256(pskFulfillment(base64url.toBuffer(offer.sharedSecret), packet))),
      expiresAt: new Date(Date.now() + expiresInMs).toISOString()
    }
    await this.plugin.sendTransfer(transfer)
    return transfer
  }

  /** Pays, and waits for the fulfillment. Returns it as base64url. */
  async pay(offer: Offer, amount = offer.amount, deviations: Deviations = {}): Promise<string> {
    const { id } = await this.prepare(offer, amount, deviations)
    for (;;) {
      const known = await this.plugin.getFulfillment(id).catch(() => undefined)
      if (known) return known
      await (once(this.plugin, 'outgoing_fulfill') as Promise<[LedgerTransfer, string]>)
    }
  }

  disconnect(): Promise<void> {
    return this.plugin.disconnect()
  }
}
