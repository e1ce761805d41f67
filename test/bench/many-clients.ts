import { setTimeout as delay, setInterval } from 'node:timers/promises'
import { Customer, type Offer, parsePay } from '../support/customer.ts'
import { LetterStream } from '../support/http.ts'
import { copyProject } from '../support/scripts.ts'
import { RawClient } from '../xrpl-sandbox/client.ts'
import { cpuMsOf, heapOf, type Run, startLedger, startShop } from './processes.ts'
import { mean, median } from './statistics.ts'
import type { Section } from './table.ts'

const counts = [1, 10, 50]
// All clients together, so that rounds differ in nothing but the number of clients.
const lettersPerSecond = 50
const passes = 5
const waitingClients = 500

interface Client {
  customer: Customer
  stream: LetterStream
  offer: Offer
  paid: number
}

interface Round {
  clients: number
  letters: number
  seconds: number
  cpuMs: number
}

/** What a client more costs the shop. */
export async function manyClients({ isQuick }: Run): Promise<Section> {
  const project = await copyProject()
  const customers: Customer[] = []
  try {
    const ledger = await startLedger(project, 1000)
    const shop = await startShop(project, ledger)
    for (const seed of await fund(ledger.url, Math.max(...counts))) {
      customers.push(await Customer.connect(ledger, { secret: seed }))
    }

    /** Pays in turn, and waits until everything is taken: the shop is idle before and after. */
    const round = async (count: number, seconds: number): Promise<Round> => {
      const clients: Client[] = []
      for (const customer of customers.slice(0, count)) {
        const stream = await LetterStream.open(shop.url)
        clients.push({ customer, stream, offer: parsePay(stream.pay), paid: 0 })
      }
      let fulfilled = 0
      const onFulfill = () => fulfilled++
      for (const { customer } of clients) customer.plugin.on('outgoing_fulfill', onFulfill)
      const cpuBefore = await cpuMsOf(shop.script)
      const before = performance.now()
      const letters = seconds * lettersPerSecond
      let asked = 0
      for await (const _ of setInterval(1000 / lettersPerSecond)) {
        const client = clients[asked++ % count] as Client
        client.customer.prepare(client.offer, '10', { paymentId: client.paid++ }).catch(console.error)
        if (asked === letters) break
      }
      const elapsed = performance.now() - before
      while (fulfilled < letters) await delay(100)
      await delay(500)
      const cpuMs = (await cpuMsOf(shop.script)) - cpuBefore
      const received = clients.reduce((sum, { stream }) => sum + stream.letters.length, 0)
      for (const { customer, stream } of clients) {
        customer.plugin.off('outgoing_fulfill', onFulfill)
        stream.leave()
      }
      return { clients: count, letters: received, seconds: elapsed / 1000, cpuMs }
    }

    const seconds = 3
    // Until then it is the shop's compiler that works most.
    await round(Math.max(...counts), seconds)
    const rounds: Round[] = []
    // There and back, again and again: what changes with time meets all of them.
    for (let pass = 0; pass < (isQuick ? 1 : passes); pass++) {
      for (const count of pass % 2 ? counts.toReversed() : counts) rounds.push(await round(count, seconds))
    }

    const heapBefore = await heapOf(shop.script)
    const waiting: LetterStream[] = []
    for (let number = 0; number < waitingClients; number++) waiting.push(await LetterStream.open(shop.url))
    const heapAfter = await heapOf(shop.script)
    for (const stream of waiting) stream.leave()

    const cpuWith = (count: number) =>
      median(rounds.filter(({ clients }) => clients === count).map(({ cpuMs, letters }) => cpuMs / letters))
    return {
      title: '3. Many clients',
      tables: [
        {
          name: `Clients of one shop, ${lettersPerSecond} payments a second among them, a ledger every second`,
          columns: [
            { key: 'clients', head: 'clients', names: true },
            { key: 'perSecond', head: 'letters/s', digits: 1 },
            { key: 'cpuMs', head: 'CPU of the shop per letter (ms)', digits: 2 },
            { key: 'times', head: 'times that of 1 client', digits: 2, atMost: 1.1 },
            { key: 'perCore', head: 'letters per second of CPU' }
          ],
          rows: counts.map(clients => {
            const those = rounds.filter(round => round.clients === clients)
            return {
              clients,
              perSecond: mean(those.map(round => round.letters / round.seconds)),
              cpuMs: cpuWith(clients),
              times: cpuWith(clients) / cpuWith(1),
              perCore: 1000 / cpuWith(clients)
            }
          })
        },
        {
          name: 'Memory',
          columns: [
            { key: 'waiting', head: 'waiting clients', names: true },
            { key: 'bytes', head: 'heap of the shop for each (bytes)' }
          ],
          rows: [{ waiting: waitingClients, bytes: (heapAfter - heapBefore) / waitingClients }]
        }
      ],
      notes: [`CPU: medians of ${isQuick ? 1 : passes} rounds of ${seconds} s each, in turn.`]
    }
  } finally {
    for (const customer of customers) await customer.disconnect()
    await project.remove()
  }
}

/** New accounts from the faucet. Returns their secrets. */
async function fund(ledgerUrl: string, count: number): Promise<string[]> {
  const secrets: string[] = []
  for (let number = 0; number < count; number++) {
    const res = await fetch(`${ledgerUrl.replace('ws:', 'http:')}/accounts`, {
      method: 'POST',
      body: JSON.stringify({ xrpAmount: 1000 })
    })
    const { seed } = (await res.json()) as { seed: string }
    secrets.push(seed)
  }
  const client = await RawClient.connect(ledgerUrl)
  await client.ask({ command: 'ledger_accept' })
  client.close()
  return secrets
}
