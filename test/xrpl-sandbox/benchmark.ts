// How much CPU the sandbox takes for an escrow round trip, with a short and with a long history behind it.
// The client is this process, which signs ahead of time; the sandbox is a process of its own, measured alone.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { accounts, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { serialize } from '../../src/xrpl-sandbox/ledger/serialize.ts'
import { RawClient } from './client.ts'
import { customer, lock, shop } from './support.ts'

const ROUND_TRIPS_PER_LEDGER = 100
const ROUND_TRIPS_MEASURED = 2000
const ROUND_TRIPS_TO_WARM_UP = 500
/** Transactions behind each measurement. */
const HISTORIES = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1000, 100_000]

// The first sequences of the accounts: the ledgers that funded them.
const FIRST = { shop: 3, customer: 4 }

function escrow(number: number) {
  const { Condition, Fulfillment } = lock(`letter ${number}`)
  const create = {
    TransactionType: 'EscrowCreate',
    Account: customer.address,
    Destination: shop.address,
    Amount: '10',
    Fee: '10',
    Sequence: FIRST.customer + number,
    Condition,
    CancelAfter: 4_000_000_000
  } as const
  const finish = {
    TransactionType: 'EscrowFinish',
    Account: shop.address,
    Owner: customer.address,
    OfferSequence: create.Sequence,
    Fee: '350',
    Sequence: FIRST.shop + number,
    Condition,
    Fulfillment
  } as const
  return { create, finish }
}

/** A state file with a history in it. What is read from one is trusted, so that it needs no real signatures. */
async function writeHistory(file: string, transactions: number) {
  const sandbox = await startSandboxLedger({ port: 0, closeIntervalMs: 0, stateFile: file })
  let { closeTime } = sandbox.ledger.closedHeader
  await sandbox.close()
  const blob = (fields: object, SigningPubKey: string) =>
    serialize({ ...fields, SigningPubKey, TxnSignature: '00'.repeat(64) })
      .toString('hex')
      .toUpperCase()
  for (let number = 0; number < transactions / 2; ) {
    const pairs = Array.from({ length: ROUND_TRIPS_PER_LEDGER }, () => escrow(number++))
    const creates = pairs.map(({ create }) => blob(create, customer.publicKey))
    const finishes = pairs.map(({ finish }) => blob(finish, shop.publicKey))
    for (const list of [creates, finishes])
      appendFileSync(file, `${JSON.stringify({ closeTime: ++closeTime, transactions: list })}\n`)
  }
}

/** CPU time of a process so far, in milliseconds, and its memory in MiB (Linux). */
function usage(pid: number) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, memoryMiB: Number(resident) / 1024 }
}

async function measure(history: number) {
  const folder = mkdtempSync(join(tmpdir(), 'xrpl-sandbox-'))
  const file = join(folder, 'state')
  await writeHistory(file, history)
  const main = fileURLToPath(new URL('../../src/xrpl-sandbox/main.ts', import.meta.url))
  const options = ['--port', '0', '--close-interval', '0', '--state', file]
  const sandbox = spawn(process.execPath, ['--import', 'tsx', main, ...options], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const lines = createInterface({ input: sandbox.stdout })
  const [greeting] = await once(lines, 'line')
  const client = await RawClient.connect(/ws:\/\/\S+/.exec(greeting)?.[0] as string)
  const addresses = [accounts.shop.address, accounts.customer.address]
  await client.ask({ command: 'subscribe', streams: ['ledger'], accounts: addresses })

  const pid = sandbox.pid as number
  let done = history / 2
  async function run(count: number): Promise<number> {
    let cpuMs = 0
    for (const end = done + count; done < end; ) {
      const pairs = Array.from({ length: ROUND_TRIPS_PER_LEDGER }, () => escrow(done++))
      const creates = pairs.map(({ create }) => customer.sign(create).tx_blob)
      const finishes = pairs.map(({ finish }) => shop.sign(finish).tx_blob)
      const before = usage(pid).cpuMs
      for (const blobs of [creates, finishes]) {
        const answers = await Promise.all(blobs.map(tx_blob => client.ask({ command: 'submit', tx_blob })))
        const refused = answers.find(({ result }) => result?.engine_result !== 'tesSUCCESS')
        if (refused) throw new Error(`Refused: ${JSON.stringify(refused)}`)
        await client.ask({ command: 'ledger_accept' })
      }
      cpuMs += usage(pid).cpuMs - before
      client.stream.length = 0
    }
    return cpuMs / count
  }

  await run(ROUND_TRIPS_TO_WARM_UP)
  const ms = await run(ROUND_TRIPS_MEASURED)
  console.log(
    `After ${history} transactions: ${ms.toFixed(2)} ms of CPU per escrow round trip, ` +
      `${Math.round(1000 / ms)} round trips per second of CPU, ${Math.round(usage(pid).memoryMiB)} MiB of memory`
  )
  client.close()
  sandbox.kill('SIGTERM')
  await once(sandbox, 'exit')
  rmSync(folder, { recursive: true })
}

for (const history of HISTORIES) await measure(history)
