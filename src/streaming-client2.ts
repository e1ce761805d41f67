import base64url from 'base64url'
import * as IlpPacket from 'ilp-packet'
import { v4 as uuid } from 'uuid'
import { everyInterval } from './client/every-interval.ts'
import { lettersOnly } from './client/letter-stream.ts'
import { requestOffer, toShopUrl } from './client/offer.ts'
import { parsePayHeader } from './client/pay-header.ts'
import { Payments, toIntervalMs } from './client/payments.ts'
import { hmac, sha256 } from './crypto.ts'
import { logConnectionState, shutdown } from './terminal/shutdown.ts'

const shopUrl = toShopUrl(process.env.SHOP_URL ?? 'http://localhost:8000/')
const intervalMs = toIntervalMs(process.env.INTERVAL_MS ?? '1000')
const expiresInMs = 1_000_000 // then an unfulfilled payment comes back
const maxPrice = 100 // drops for one letter

const { xrp } = await import('../plugins.ts')
const plugin = xrp.Customer()
await plugin.connect()
logConnectionState(plugin)
const payments = new Payments(plugin, intervalMs)

const res = await requestOffer(shopUrl)
const parts = parsePayHeader(res, 200, maxPrice, plugin.getInfo().prefix)

if (parts[0] === 'interledger-psk') {
  let paymentId = 0
  // setInterval in the text, which does not keep the pace at short intervals
  everyInterval(function () {
    if (!payments.canPay()) return // the text pays in any case
    const destinationAmount = parts[1]
    const destinationAddress = parts[2] + '.' + paymentId
    const sharedSecret = Buffer.from(parts[3], 'base64')
    const ilpPacket = IlpPacket.serializeIlpPayment({
      account: destinationAddress,
      amount: destinationAmount,
      data: Buffer.from('') // '' in the text
    })
    const fulfillmentGenerator = hmac(sharedSecret, 'ilp_psk_condition')
    const fulfillment = hmac(fulfillmentGenerator, ilpPacket)
    const condition = sha256(fulfillment)
    const transfer = {
      id: uuid(),
      from: plugin.getAccount(),
      to: destinationAddress,
      ledger: plugin.getInfo().prefix,
      expiresAt: new Date(new Date().getTime() + expiresInMs).toISOString(),
      amount: destinationAmount,
      executionCondition: base64url(condition),
      ilp: base64url(ilpPacket)
    }
    // Follows what becomes of it: the text only sends it.
    payments.add(transfer, plugin.sendTransfer(transfer))
    process.stdout.write('.')
    paymentId++
  }, intervalMs)
}

plugin.on('outgoing_fulfill', function (transfer) {
  payments.onFulfilled(transfer)
})

// The text pipes it as it is: anybody's bytes could steer this terminal.
res.body?.pipe(lettersOnly(payments)).pipe(process.stdout)
res.body?.on('end', () => shutdown(1, 'The shop ended the stream'))
res.body?.on('error', () => shutdown(1, 'The shop went away in the middle of the stream'))
