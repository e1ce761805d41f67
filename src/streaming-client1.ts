import base64url from 'base64url'
import * as IlpPacket from 'ilp-packet'
import { v4 as uuid } from 'uuid'
import { everyInterval } from './client/every-interval.ts'
import { fetchLetter, requestOffer, toShopUrl } from './client/offer.ts'
import { parsePayHeader } from './client/pay-header.ts'
import { Payments, toIntervalMs } from './client/payments.ts'
import { hmac, sha256 } from './crypto.ts'
import { logConnectionState } from './terminal/shutdown.ts'

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
const parts = parsePayHeader(res, 402, maxPrice, plugin.getInfo().prefix)
// The text makes it for each payment, out of the second handler's sight.
const sharedSecret = Buffer.from(parts[3], 'base64')
payments.setShop(shopUrl, parts[3])

if (parts[0] === 'interledger-psk') {
  let paymentId = 0
  // setInterval in the text, which does not keep the pace at short intervals
  everyInterval(function () {
    if (!payments.canPay()) return // the text pays in any case
    const destinationAmount = parts[1]
    const destinationAddress = parts[2] + '.' + paymentId
    const ilpPacket = IlpPacket.serializeIlpPayment({
      account: destinationAddress,
      amount: destinationAmount,
      data: Buffer.from('') // '' in the text
    })
    console.log('Calculating hmac using shared secret:', base64url(sharedSecret))
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
    paymentId++
  }, intervalMs)
}

// The text calls the transfer a transferId, and has a plain fetch, which a shop that is busy would refuse a letter.
plugin.on('outgoing_fulfill', async function (transfer, fulfillmentBase64) {
  if (!payments.onFulfilled(transfer)) return
  const headers = {
    'Pay-Token': base64url(sharedSecret)
  }
  const body = await fetchLetter(shopUrl, { headers }, fulfillmentBase64)
  if (payments.onLetters(body.slice(-1))) console.log(body)
})
