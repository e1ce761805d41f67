import { accounts } from '../../src/xrpl-sandbox/index.ts'
import { copyProject } from '../support/scripts.ts'
import { RawClient } from '../xrpl-sandbox/client.ts'
import { type Run, startClient, startLedger, startShop } from './processes.ts'
import { median } from './statistics.ts'
import type { Row, Section } from './table.ts'

const closeIntervalMs = 1000
const intervalMs = 100
const dropsPerXrp = 1_000_000

// What the public test network asks for at rest (xrpl.org: Transaction Cost, Reserves), and its rhythm.
const testNetwork = { reserve: 200_000, secondsPerLedger: 4 }

interface EscrowTransaction {
  TransactionType: string
  Fee: string
  Amount: string
  Sequence: number
  OfferSequence: number
  ledger_index: number
}

/** What a letter costs, by what the ledger has on record. */
export async function cost({ isQuick }: Run): Promise<Section> {
  const sandbox = await measure(isQuick ? 10 : 50)
  const rows: Row[] = [
    { network: 'sandbox (measured)', ...sandbox, seconds: (sandbox.ledgers * closeIntervalMs) / 1000 },
    {
      network: 'test network (at rest)',
      ...sandbox,
      reserve: testNetwork.reserve,
      seconds: sandbox.ledgers * testNetwork.secondsPerLedger
    }
  ]
  return {
    title: '6. What a letter costs',
    tables: [
      {
        name: 'Drops',
        columns: [
          { key: 'network', head: 'network', names: true },
          { key: 'price', head: 'price' },
          { key: 'createFee', head: 'fee of EscrowCreate' },
          { key: 'finishFee', head: 'fee of EscrowFinish' },
          { key: 'client', head: 'the client pays' },
          { key: 'shop', head: 'the shop gets' },
          { key: 'burnt', head: 'nobody gets' }
        ],
        rows: rows.map(row => ({
          ...row,
          client: sandbox.price + sandbox.createFee,
          shop: sandbox.price - sandbox.finishFee,
          burnt: sandbox.createFee + sandbox.finishFee
        }))
      },
      {
        name: "Locked in the client's account until the letter is paid for",
        columns: [
          { key: 'network', head: 'network', names: true },
          { key: 'reserve', head: 'reserve (drops)' },
          { key: 'ledgers', head: 'for ledgers' },
          { key: 'seconds', head: 'that is (s)' }
        ],
        rows
      }
    ],
    notes: [
      `The sandbox's figures are medians of real payments, read from its ledger (${sandbox.letters} letters). The test network asks the same at ` +
        'rest, and more when it is busy; there a ledger closes every 3 to 5 seconds (4 are reckoned with).'
    ]
  }
}

async function measure(letters: number) {
  const project = await copyProject()
  try {
    const ledger = await startLedger(project, closeIntervalMs)
    const shop = await startShop(project, ledger)
    const client = await startClient(project, ledger, shop, intervalMs)
    // By then the first ones are paid for as well as delivered.
    await client.log.letters(letters + (3 * closeIntervalMs) / intervalMs)
    const raw = await RawClient.connect(ledger.url)
    const ask = async (command: string, params: object = {}) => (await raw.ask({ command, ...params })).result
    const { info } = await ask('server_info')
    const { transactions } = await ask('account_tx', {
      account: accounts.customer.address,
      ledger_index_min: -1,
      ledger_index_max: -1,
      forward: true,
      limit: 400
    })
    raw.close()
    const all = (transactions as { tx: EscrowTransaction }[]).map(({ tx }) => tx)
    const creates = all.filter(({ TransactionType }) => TransactionType === 'EscrowCreate')
    const pairs = creates.flatMap(create => {
      const finish = all.find(
        ({ TransactionType, OfferSequence }) =>
          TransactionType === 'EscrowFinish' && OfferSequence === create.Sequence
      )
      return finish ? [{ create, finish }] : []
    })
    return {
      letters: pairs.length,
      price: median(pairs.map(({ create }) => Number(create.Amount))),
      createFee: median(pairs.map(({ create }) => Number(create.Fee))),
      finishFee: median(pairs.map(({ finish }) => Number(finish.Fee))),
      reserve: info.validated_ledger.reserve_inc_xrp * dropsPerXrp,
      ledgers: median(pairs.map(({ create, finish }) => finish.ledger_index - create.ledger_index))
    }
  } finally {
    await project.remove()
  }
}
