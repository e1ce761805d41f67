import { describe, expect, test } from 'vitest'
import type { TestLedger } from '../support/ledger.ts'
import { type Script, useScriptedServer } from './scripted-server.ts'
import {
  customer,
  ledgerTime,
  next,
  shop,
  someTransfer,
  storyOf,
  until,
  useLedger,
  usePlugin,
  useStranger
} from './support.ts'

type Json = Record<string, unknown>

/** Answers submissions with these preliminary results, one after the other; the rest gets through. */
function answering(...results: string[]): Script {
  return {
    request({ command }) {
      const engine_result = command === 'submit' ? results.shift() : undefined
      return engine_result && { engine_result, engine_result_message: `Message of ${engine_result}` }
    }
  } as Script
}

/** What the ledger holds of the customer's transactions. */
async function validated(ledger: TestLedger): Promise<Json[]> {
  const transactions = await ledger.transactionsOf(customer.address)
  return transactions.filter(({ Account }) => Account === customer.address)
}

/** A ledger that closes fast, so that twenty of them pass while one waits. */
const fast = { closeIntervalMs: 20 }

describe('a transfer', () => {
  test.each([
    ['tefPAST_SEQ'],
    ['tefMAX_LEDGER'],
    ['terPRE_SEQ'],
    ['terQUEUED'],
    ['telCAN_NOT_QUEUE'],
    ['telCAN_NOT_QUEUE_FULL'],
    ['telCAN_NOT_QUEUE_FEE'],
    ['telINSUF_FEE_P'],
    ['telFAILED_PROCESSING'],
    ['tefALREADY'],
    ['terINSUF_FEE_B']
  ])('and those after it arrive once each, though the first answer is %s', async engineResult => {
    const ledger = await useLedger(fast)
    const server = await useScriptedServer(ledger, answering(engineResult))
    const payer = await usePlugin(server.url)
    const transfers = [1, 2, 3].map(() => someTransfer())
    await Promise.all(transfers.map(transfer => payer.sendTransfer(transfer)))
    for (const { id } of transfers) expect(storyOf(payer.told, id)).toEqual(['outgoing_prepare'])
    expect(await validated(ledger)).toHaveLength(3)
  })

  test.each([
    ['temMALFORMED', 'NotAcceptedError'],
    ['tefBAD_AUTH', 'NotAcceptedError'],
    ['telWRONG_NETWORK', 'NotAcceptedError']
  ])('that can never be applied (%s) fails at once, and holds up nobody', async (engineResult, name) => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, answering(engineResult))
    const payer = await usePlugin(server.url)
    const [refused, taken] = [someTransfer(), someTransfer()]
    const [first] = await Promise.allSettled([payer.sendTransfer(refused), payer.sendTransfer(taken)])
    expect(first).toMatchObject({ status: 'rejected', reason: { name } })
    expect(String((first as PromiseRejectedResult).reason)).toContain(
      `(${engineResult}: Message of ${engineResult})`
    )
    expect(storyOf(payer.told, taken.id)).toEqual(['outgoing_prepare'])
  })

  test.each([
    ['terINSUF_FEE_B', 'InsufficientBalanceError'],
    ['terNO_ACCOUNT', 'AccountNotFoundError'],
    ['telCAN_NOT_QUEUE_FULL', 'NotAcceptedError']
  ])(
    'that is refused for as long as it could be applied (%s) fails when that is over',
    async (result, name) => {
      const ledger = await useLedger(fast)
      const server = await useScriptedServer(ledger, answering(...Array(1000).fill(result)))
      const payer = await usePlugin(server.url)
      await expect(payer.sendTransfer(someTransfer())).rejects.toThrow(expect.objectContaining({ name }))
      expect(await validated(ledger)).toHaveLength(0)
    }
  )

  test('that a server refuses and applies all the same is not sent twice', async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    let kept = ''
    const server = await useScriptedServer(ledger, {
      request({ command, tx_blob }) {
        if (command !== 'submit' || kept) return undefined
        kept = String(tx_blob)
        return { engine_result: 'telCAN_NOT_QUEUE', engine_result_message: '' }
      }
    })
    const payer = await usePlugin(server.url)
    const stranger = await useStranger(ledger.url)
    const transfer = someTransfer()
    const refused = next(payer, 'outgoing_prepare')
    const sent = payer.sendTransfer(transfer)
    while (!kept) await new Promise(setImmediate)
    expect(await stranger.submitBlob(kept)).toBe('tesSUCCESS')
    // The plugin sends it again with the next ledger, which has it already.
    await ledger.closeLedger()
    await refused
    await sent
    await ledger.closeLedger()
    expect(await validated(ledger)).toHaveLength(1)
  })

  test('whose sequence another program takes goes on with another sequence', async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const payer = await usePlugin(ledger.url)
    const other = await useStranger(ledger.url, customer.secret)
    const first = payer.sendTransfer(someTransfer())
    while ((await ledger.openTransactions()) < 1);
    await other.submit({ TransactionType: 'Payment', Destination: shop.address, Amount: '1' })
    const second = payer.sendTransfer(someTransfer())
    while ((await ledger.openTransactions()) < 2);
    const close = setInterval(() => ledger.closeLedger(), 20)
    await Promise.all([first, second]).finally(() => clearInterval(close))
    expect((await validated(ledger)).map(({ TransactionType }) => TransactionType)).toEqual([
      'EscrowCreate',
      'Payment',
      'EscrowCreate'
    ])
  })

  test('whose answer is lost is seen through without a pause', async () => {
    const ledger = await useLedger()
    let lost = 0
    const server = await useScriptedServer(ledger, {
      // The first never arrives; of the second only the answer is lost.
      request: ({ command }) => (command === 'submit' && ++lost === 1 ? 'nothing' : undefined),
      message: message =>
        message.type === 'response' && (message.result as Json)?.engine_result && lost++ === 2
          ? undefined
          : message
    })
    const payer = await usePlugin(server.url)
    const { ledgerIndex } = await ledger.newest()
    const transfers = [1, 2, 3].map(() => someTransfer())
    await Promise.all(transfers.map(transfer => payer.sendTransfer(transfer)))
    // After three ledgers it is sent again; before its answer is given up, a hundred would have closed.
    expect((await ledger.newest()).ledgerIndex - ledgerIndex).toBeLessThan(20)
    expect(await validated(ledger)).toHaveLength(3)
  })

  test('that a busy server does not take is sent again', async () => {
    const ledger = await useLedger()
    let busy = 3
    const server = await useScriptedServer(ledger, {
      request: ({ command }) =>
        command !== 'ledger' && command !== 'subscribe' && command !== 'server_info' && busy-- > 0
          ? { error: 'tooBusy', error_message: 'The server is too busy to help you now.' }
          : undefined
    })
    busy = 0
    const payer = await usePlugin(server.url)
    busy = 3
    await payer.sendTransfer(someTransfer())
    expect(await validated(ledger)).toHaveLength(1)
  })

  test('that a server refuses to read fails with its words', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, {
      request: ({ command }) =>
        command === 'submit' ? { error: 'invalidTransaction', error_exception: 'Unknown field' } : undefined
    })
    const payer = await usePlugin(server.url)
    await expect(payer.sendTransfer(someTransfer())).rejects.toThrow('invalidTransaction: Unknown field')
  })

  test('is not signed anew when its expiry has passed', async () => {
    const ledger = await useLedger(fast)
    const server = await useScriptedServer(ledger, answering(...Array(1000).fill('terQUEUED')))
    const payer = await usePlugin(server.url)
    const expiresAt = await ledgerTime(ledger, 20)
    await expect(payer.sendTransfer(someTransfer({ expiresAt }))).rejects.toThrow('tefMAX_LEDGER')
    const blobs = server.requests.filter(({ command }) => command === 'submit').map(({ tx_blob }) => tx_blob)
    expect(new Set(blobs).size).toBe(1)
  })
})

describe('the fee', () => {
  /** A network that takes nothing under a fee of so many drops for an EscrowCreate. */
  function asking(openLedgerFee: number): Script {
    return {
      request({ command, tx_blob }) {
        if (command === 'fee') return { drops: { base_fee: '10', open_ledger_fee: String(openLedgerFee) } }
        if (command !== 'submit') return undefined
        // The field Fee of the binary format is an amount of 62 bits.
        const fee = Number.parseInt(/68(4[0-9A-F]{15})/.exec(String(tx_blob))?.[1]?.slice(1) ?? '', 16)
        if (fee >= openLedgerFee) return undefined
        return { engine_result: 'telINSUF_FEE_P', engine_result_message: 'Fee insufficient.' }
      }
    }
  }

  test('is raised to what a busy network asks for', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, asking(5000))
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(someTransfer())
    expect(await validated(ledger)).toEqual([expect.objectContaining({ Fee: '5500' })])
  })

  test('is never raised beyond maxFeeDrops', async () => {
    const ledger = await useLedger(fast)
    const server = await useScriptedServer(ledger, asking(5000))
    const payer = await usePlugin(server.url, { maxFeeDrops: 4999 })
    await expect(payer.sendTransfer(someTransfer())).rejects.toThrow(
      /^Transfer ".+" of 10 drops to ".+" was not accepted \(telINSUF_FEE_P: /
    )
    expect(await validated(ledger)).toHaveLength(0)
  })
})

test('sixty transfers at once get through, none for more than maxFeeDrops', async () => {
  const ledger = await useLedger()
  const payer = await usePlugin(ledger.url, { maxFeeDrops: 100 })
  await Promise.all(Array.from({ length: 60 }, () => payer.sendTransfer(someTransfer())))
  expect(payer.told.filter(([event]) => event === 'outgoing_prepare')).toHaveLength(60)
  const fees = (await validated(ledger)).map(({ Fee }) => Number(Fee))
  expect(fees).toHaveLength(60)
  expect(Math.max(...fees)).toBeLessThanOrEqual(100)
})

describe('a server', () => {
  test('that speaks version 2 of the API only is spoken to so', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, {
      request: ({ api_version }) => (api_version === 2 ? undefined : { error: 'invalid_API_version' })
    })
    const payer = await usePlugin(server.url)
    const payee = await usePlugin(server.url, { secret: shop.secret })
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    await until(payer, 'outgoing_fulfill')
    const { id, to, amount } = someTransfer()
    await payer.sendTransfer({ id, to, amount })
    await until(payee, 'incoming_transfer')
    await payer.disconnect()
    await payer.connect()
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare', 'outgoing_fulfill'])
  })

  test('that knows version 1 only is asked for nothing else', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, {
      request: ({ api_version }) => (api_version === 1 ? undefined : { error: 'invalid_API_version' }),
      // Newer servers have dropped it.
      message: ({ fee_ref: _dropped, ...message }) => message
    })
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(someTransfer())
  })

  test('that has no ledger to tell of yet is not connected to', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, {
      request: ({ command }) => (command === 'subscribe' ? {} : undefined)
    })
    const connecting = usePlugin(server.url)
    await expect(connecting).rejects.toThrow(
      expect.objectContaining({ name: 'UnreachableError', message: expect.stringContaining('not in step') })
    )
  })

  test('that skips ledgers in its stream hides nothing', async () => {
    const ledger = await useLedger()
    let isHiding = false
    const server = await useScriptedServer(ledger, {
      message: message => (isHiding && message.type !== 'response' ? undefined : message)
    })
    const payer = await usePlugin(ledger.url)
    const payee = await usePlugin(server.url, { secret: shop.secret })
    isHiding = true
    const transfers = [1, 2, 3].map(() => someTransfer())
    for (const transfer of transfers) await payer.sendTransfer(transfer)
    isHiding = false
    const prepared = await until(payee, 'incoming_prepare', 3)
    expect(prepared.map(([told]) => (told as { id: string }).id)).toEqual(transfers.map(({ id }) => id))
  })
})
