// How much CPU the sandbox takes for an escrow round trip, with a short and with a long history behind it, and with
// customers of both kinds of keys. The client is this process, which signs ahead of time; the sandbox is a process of
// its own, measured alone.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Wallet } from 'xrpl'
import { startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'
import { serialize } from '../../src/xrpl-sandbox/ledger/codec.ts'
import type { LedgerContents } from '../../src/xrpl-sandbox/ledger/history.ts'
import { parseTransaction } from '../../src/xrpl-sandbox/ledger/transaction.ts'
import { RawClient } from '../xrpl-sandbox/client.ts'
import { customer, lock, secp256k1Customer, shop } from '../xrpl-sandbox/support.ts'

const roundTripsPerLedger = 100
const roundTripsMeasured = 2000
const roundTripsToWarmUp = 500
/** Transactions behind each measurement. */
const histories = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1000, 20_000]

// The first sequences of the accounts: the ledgers that funded them.
const first = { shop: 3, customer: 4 }

function escrow(payer: Wallet, number: number) {
  const { Condition, Fulfillment } = lock(`letter ${number}`)
  const create = {
    TransactionType: 'EscrowCreate',
    Account: payer.address,
    Destination: shop.address,
    Amount: '10',
    Fee: '10',
    Sequence: first.customer + number,
    Condition,
    CancelAfter: 4_000_000_000
  } as const
  const finish = {
    TransactionType: 'EscrowFinish',
    Account: shop.address,
    Owner: payer.address,
    OfferSequence: create.Sequence,
    Fee: '350',
    Sequence: first.shop + number,
    Condition,
    Fulfillment
  } as const
  return { create, finish }
}

/** Ledgers with escrows made and finished. What is read as trusted needs no real signatures. */
function historyOf(payer: Wallet, transactions: number): LedgerContents[] {
  let closeTime = 850_000_000
  const parse = (fields: object, SigningPubKey: string) =>
    parseTransaction(serialize({ ...fields, SigningPubKey, TxnSignature: '00'.repeat(64) }), {
      trusted: true
    })
  const past: LedgerContents[] = []
  for (let number = 0; number < transactions / 2; ) {
    const pairs = Array.from({ length: roundTripsPerLedger }, () => escrow(payer, number++))
    const creates = pairs.map(({ create }) => parse(create, payer.publicKey))
    const finishes = pairs.map(({ finish }) => parse(finish, shop.publicKey))
    for (const list of [creates, finishes]) past.push({ closeTime: ++closeTime, transactions: list })
  }
  return past
}

/** CPU time of a process so far, in milliseconds, and its memory in MiB (Linux). */
function usage(pid: number) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, memoryMiB: Number(resident) / 1024 }
}

/** The sandbox to measure, in a process of its own: funded, with a history. */
async function serve(payer: Wallet, history: number) {
  const funding = [shop, payer].map(({ address }) => ({ address, xrp: 1_000_000 }))
  const { ledger, url } = await startSandboxLedger({ port: 0, closeIntervalMs: 0, funding })
  for (const contents of historyOf(payer, history)) ledger.close(contents)
  process.send?.(url)
}

async function measure(payer: Wallet, history: number) {
  const sandbox: ChildProcess = fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, SERVE: payer.seed, HISTORY: String(history) }
  })
  const [url] = await once(sandbox, 'message')
  const client = await RawClient.connect(url as string)
  await client.ask({ command: 'subscribe', streams: ['ledger'], accounts: [shop.address, payer.address] })

  const pid = sandbox.pid as number
  let done = history / 2
  async function run(count: number): Promise<number> {
    let cpuMs = 0
    for (const end = done + count; done < end; ) {
      const pairs = Array.from({ length: roundTripsPerLedger }, () => escrow(payer, done++))
      const creates = pairs.map(({ create }) => payer.sign(create).tx_blob)
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

  await run(roundTripsToWarmUp)
  const ms = await run(roundTripsMeasured)
  const keys = payer === customer ? 'Ed25519' : 'secp256k1'
  console.log(
    `${keys}, after ${history} transactions: ${ms.toFixed(2)} ms of CPU per escrow round trip, ` +
      `${Math.round(1000 / ms)} round trips per second of CPU, ${Math.round(usage(pid).memoryMiB)} MiB of memory`
  )
  client.close()
  sandbox.kill('SIGTERM')
  await once(sandbox, 'exit')
}

const { SERVE, HISTORY } = process.env
if (SERVE) {
  await serve(SERVE === customer.seed ? customer : secp256k1Customer, Number(HISTORY))
} else {
  for (const payer of [customer, secp256k1Customer])
    for (const history of histories) await measure(payer, history)
}
