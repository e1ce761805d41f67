import { setInterval } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Wallet } from 'xrpl'
import { accounts, startSandboxLedger } from '../src/xrpl-sandbox/index.ts'
import { Customer, type Offer, parsePay } from './support/customer.ts'
import { LetterStream } from './support/http.ts'
import { copyProject, type Script } from './support/scripts.ts'

// Only "npm run soak" runs this.
const clientCount = 50
const seconds = 120
const warmUpSeconds = 30

async function heapOf(script: Script): Promise<number> {
  const before = script.output.match(/heap: /g)?.length ?? 0
  script.process.kill('SIGUSR2')
  return script.waitUntil(output => Number([...output.matchAll(/heap: (\d+) bytes\n/g)][before]?.[1]))
}

test(`${clientCount} clients pay a streaming shop every second for ${seconds} seconds, and each gets its own letters`, async () => {
  const wallets = Array.from({ length: clientCount }, () => Wallet.generate())
  const project = await copyProject()
  const ledger = await startSandboxLedger({
    port: 0,
    funding: [accounts.shop.address, ...wallets.map(({ address }) => address)].map(address => ({
      address,
      xrp: 1_000
    }))
  })
  const probe = new URL('./support/heap-probe.mjs', import.meta.url).href
  const env = { TEST_LEDGER: ledger.url, NODE_OPTIONS: `--import ${probe}` }
  const { shop, url: shopUrl } = await project.openShop('streaming-shop', env)
  const clients: { customer: Customer; stream: LetterStream; offer: Offer }[] = []
  for (const { seed = '' } of wallets) {
    const customer = await Customer.connect(ledger, { secret: seed })
    const stream = await LetterStream.open(shopUrl)
    clients.push({ customer, stream, offer: parsePay(stream.pay) })
  }

  const payments: Promise<unknown>[] = []
  let heapAfterWarmUp = 0
  let second = 0
  for await (const _ of setInterval(1_000)) {
    if (second === seconds) break
    for (const { customer, offer } of clients) {
      payments.push(customer.prepare(offer, '10', { paymentId: second }))
    }
    second++
    if (second === warmUpSeconds) heapAfterWarmUp = await heapOf(shop)
  }
  await Promise.all(payments)
  for (const { stream } of clients) await stream.waitForLetters(seconds)
  // Every payment is taken before the memory is looked at.
  await shop.waitUntil(output => output.match(/Payment complete/g)?.length === clientCount * seconds)
  const heapAtTheEnd = await heapOf(shop)

  expect(clients.map(({ stream }) => stream.letters.length)).toEqual(Array(clientCount).fill(seconds))
  expect(heapAtTheEnd / heapAfterWarmUp).toBeLessThan(1.1)
  console.log(
    `Heap of the shop: ${heapAfterWarmUp} bytes after ${warmUpSeconds} s, ${heapAtTheEnd} at the end`
  )
  for (const { customer, stream } of clients) {
    stream.leave()
    await customer.disconnect()
  }
  await project.remove()
  await ledger.close()
}, 3_600_000)
