// How much CPU the sandbox takes for an escrow round trip, with a short and with a long history behind it.
// The clients are this process, signing ahead of time; the sandbox is a process of its own, measured alone.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Wallet } from 'xrpl'
import { accounts } from '../../src/sandbox-ledger/index.ts'
import { RawClient } from './client.ts'

const ROUND_TRIPS_PER_LEDGER = 100
const ROUND_TRIPS_MEASURED = 1000
/** Transactions behind each measurement. */
const HISTORIES = process.argv.slice(2).map(Number)

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

const sha256 = (text: string) => createHash('sha256').update(text).digest()
const shop = Wallet.fromSeed(accounts.shop.secret)
const customer = Wallet.fromSeed(accounts.customer.secret)

function escrowPair(number: number, firstSequences: { shop: number; customer: number }) {
  const preimage = sha256(`letter ${number}`)
  const condition = createHash('sha256').update(preimage).digest('hex').toUpperCase()
  const Condition = `A0258020${condition}810120`
  const Sequence = firstSequences.customer + number
  const create = customer.sign({
    TransactionType: 'EscrowCreate',
    Account: customer.address,
    Destination: shop.address,
    Amount: '10',
    Fee: '10',
    Sequence,
    Condition,
    CancelAfter: 4_000_000_000
  })
  const finish = shop.sign({
    TransactionType: 'EscrowFinish',
    Account: shop.address,
    Owner: customer.address,
    OfferSequence: Sequence,
    Fee: '350',
    Sequence: firstSequences.shop + number,
    Condition,
    Fulfillment: `A0228020${preimage.toString('hex').toUpperCase()}`
  })
  return { create: create.tx_blob, finish: finish.tx_blob }
}

/** CPU time of a process so far, in milliseconds (Linux). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const port = await freePort()
const main = fileURLToPath(new URL('../../src/sandbox-ledger/main.ts', import.meta.url))
const sandbox = spawn(
  process.execPath,
  ['--import', 'tsx', main, '--port', String(port), '--close-interval', '0'],
  { stdio: ['ignore', 'pipe', 'inherit'] }
)
await once(sandbox.stdout, 'data')
sandbox.stdout.resume()
const client = await RawClient.connect(`ws://localhost:${port}`)
await client.ask({
  command: 'subscribe',
  streams: ['ledger'],
  accounts: [shop.address, customer.address]
})
const sequence = async (account: string) =>
  (await client.ask({ command: 'account_info', account })).result.account_data.Sequence
const firstSequences = { shop: await sequence(shop.address), customer: await sequence(customer.address) }

let done = 0
/** Runs round trips, a ledger for each hundred creations and their finishes; returns the sandbox's CPU time. */
async function run(count: number): Promise<number> {
  let cpu = 0
  for (const end = done + count; done < end; ) {
    const pairs = Array.from({ length: ROUND_TRIPS_PER_LEDGER }, (_, at) =>
      escrowPair(done + at, firstSequences)
    )
    const before = cpuMs(sandbox.pid as number)
    for (const kind of ['create', 'finish'] as const) {
      const answers = await Promise.all(
        pairs.map(pair => client.ask({ command: 'submit', tx_blob: pair[kind] }))
      )
      const refused = answers.find(({ result }) => result?.engine_result !== 'tesSUCCESS')
      if (refused) throw new Error(`Refused: ${JSON.stringify(refused)}`)
      await client.ask({ command: 'ledger_accept' })
    }
    cpu += cpuMs(sandbox.pid as number) - before
    client.stream.length = 0
    done += ROUND_TRIPS_PER_LEDGER
  }
  return cpu
}

for (const history of HISTORIES.length > 0 ? HISTORIES : [1000, 100_000]) {
  if (history / 2 > done) await run(history / 2 - done)
  const ms = (await run(ROUND_TRIPS_MEASURED)) / ROUND_TRIPS_MEASURED
  const memory =
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${sandbox.pid}/status`, 'utf8'))?.[1]) / 1024
  console.log(
    `After ${history} transactions: ${ms.toFixed(2)} ms of CPU per round trip, ` +
      `${Math.round(1000 / ms)} round trips per second of CPU, ${Math.round(memory)} MiB of memory`
  )
}
client.close()
sandbox.kill('SIGTERM')
