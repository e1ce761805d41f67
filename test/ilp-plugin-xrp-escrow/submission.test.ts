import { decode } from 'ripple-binary-codec'
import { describe, expect, test } from 'vitest'
import { type Script, useScriptedServer } from './scripted-server.ts'
import {
  customer,
  ledgerTime,
  ownTransactions,
  shop,
  someTransfer,
  storyOf,
  until,
  useLedger,
  usePlugin,
  useStranger
} from './support.ts'

type Json = Record<string, unknown>

/** Answers submissions with these preliminary results or errors, one after the other; the rest gets through. */
function answering(...results: string[]): Script {
  return {
    request({ command }) {
      const result = command === 'submit' ? results.shift() : undefined
      if (result && !/^te/.test(result)) return { error: result, error_message: '' }
      return result && { engine_result: result, engine_result_message: `Message of ${result}` }
    }
  } as Script
}

/** The transactions that a server was sent, as often as they came. */
function blobsOf({ requests }: { requests: Json[] }): string[] {
  return requests.flatMap(({ command, tx_blob }) => (command === 'submit' ? [String(tx_blob)] : []))
}

const isReal = process.env.RIPPLED_URL !== undefined
// A stand-alone rippled has places for 1,000 in a ledger. "npm run soak" takes 1,500.
const count = isReal || import.meta.env.MODE === 'soak' ? 1_500 : 300

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
    ['terINSUF_FEE_B'],
    ['tooBusy']
  ])(
    'three transfers are sent once each when the first submission is answered with %s',
    async engineResult => {
      const ledger = await useLedger(fast)
      const server = await useScriptedServer(ledger, answering(engineResult))
      const payer = await usePlugin(server.url)
      const transfers = [1, 2, 3].map(() => someTransfer())
      await Promise.all(transfers.map(transfer => payer.sendTransfer(transfer)))
      for (const { id } of transfers) expect(storyOf(payer.told, id)).toEqual(['outgoing_prepare'])
      expect(await ownTransactions(ledger)).toHaveLength(3)
    }
  )

  test('a malformed transaction rejects at once and does not delay others', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, answering('temMALFORMED'))
    const payer = await usePlugin(server.url)
    const [refused, taken] = [someTransfer(), someTransfer()]
    const [first] = await Promise.allSettled([payer.sendTransfer(refused), payer.sendTransfer(taken)])
    expect(first).toMatchObject({ status: 'rejected', reason: { name: 'NotAcceptedError' } })
    expect(String((first as PromiseRejectedResult).reason)).toContain(
      '(temMALFORMED: Message of temMALFORMED)'
    )
    expect(storyOf(payer.told, taken.id)).toEqual(['outgoing_prepare'])
  })

  test.each([
    ['terINSUF_FEE_B', 'InsufficientBalanceError'],
    ['terNO_ACCOUNT', 'AccountNotFoundError'],
    ['tefBAD_AUTH', 'NotAcceptedError'],
    ['tefMASTER_DISABLED', 'NotAcceptedError'],
    ['telWRONG_NETWORK', 'NotAcceptedError'],
    ['telCAN_NOT_QUEUE_FULL', 'NotAcceptedError']
  ])(
    'a transfer that is refused with %s for as long as it could be applied rejects with %s',
    async (result, name) => {
      const ledger = await useLedger(fast)
      const server = await useScriptedServer(ledger, answering(...Array(1000).fill(result)))
      const payer = await usePlugin(server.url)
      await expect(payer.sendTransfer(someTransfer())).rejects.toThrow(expect.objectContaining({ name }))
      expect(await ownTransactions(ledger)).toHaveLength(0)
    }
  )

  test('a transaction whose sequence another program used is sent with another one', async () => {
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
    expect((await ownTransactions(ledger)).map(({ TransactionType }) => TransactionType)).toEqual([
      'EscrowCreate',
      'Payment',
      'EscrowCreate'
    ])
  })

  test('a transaction whose answer was lost is validated within twenty ledgers', async () => {
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
    expect(await ownTransactions(ledger)).toHaveLength(3)
  })

  test('a transaction that a server cannot read rejects with the error of the server', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, {
      request: ({ command }) =>
        command === 'submit' ? { error: 'invalidTransaction', error_exception: 'Unknown field' } : undefined
    })
    const payer = await usePlugin(server.url)
    await expect(payer.sendTransfer(someTransfer())).rejects.toThrow('invalidTransaction: Unknown field')
  })

  test('an expired transfer is not signed again', async () => {
    const ledger = await useLedger(fast)
    const server = await useScriptedServer(ledger, answering(...Array(1000).fill('terQUEUED')))
    const payer = await usePlugin(server.url)
    const expiresAt = await ledgerTime(ledger, 4)
    await expect(payer.sendTransfer(someTransfer({ expiresAt }))).rejects.toThrow('expired')
    expect(new Set(blobsOf(server)).size).toBe(1)
  })
})

test.each(['telCAN_NOT_QUEUE', 'tefBAD_AUTH', 'tefMASTER_DISABLED'])(
  'sendTransfer resolves when a server refuses with %s and applies the transaction three ledgers later',
  async engineResult => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const server = await useScriptedServer(ledger, answering(...Array(1000).fill(engineResult)))
    const payer = await usePlugin(server.url)
    const stranger = await useStranger(ledger.url)
    const transfer = someTransfer()
    const sent = payer.sendTransfer(transfer)
    while (server.unanswered.size > 0 || !blobsOf(server).length) await new Promise(setImmediate)
    for (let count = 0; count < 3; count++) await ledger.closeLedger()
    expect(new Set(blobsOf(server)).size).toBe(1)
    expect(await stranger.submitBlob(String(blobsOf(server)[0]))).toBe('tesSUCCESS')
    await ledger.closeLedger()
    await sent
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
    expect(await ownTransactions(ledger)).toHaveLength(1)
  }
)

describe('a busy network', () => {
  /** A network whose open ledger asks for so many times the fee at rest. */
  async function useNetwork(factor: number) {
    const ledger = await useLedger(fast)
    const network = { factor }
    const server = await useScriptedServer(ledger, {
      request({ command, tx_blob }) {
        if (command === 'fee')
          return { drops: { base_fee: '10', open_ledger_fee: String(10 * network.factor) } }
        if (command !== 'submit') return undefined
        const { Fee, TransactionType } = decode(String(tx_blob)) as { Fee: string; TransactionType: string }
        const atRest = TransactionType === 'EscrowFinish' ? 350 : 10
        if (Number(Fee) >= atRest * network.factor) return undefined
        return { engine_result: 'telCAN_NOT_QUEUE_FEE', engine_result_message: 'Fee insufficient.' }
      }
    })
    return { ledger, network, server }
  }

  test('a transfer waits on a busy network and pays at most twice the fee at rest', async () => {
    const { ledger, network, server } = await useNetwork(500)
    const payer = await usePlugin(server.url)
    const sent = payer.sendTransfer(someTransfer())
    const { ledgerIndex } = await ledger.newest()
    await expect.poll(async () => (await ledger.newest()).ledgerIndex).toBeGreaterThan(ledgerIndex + 5)
    expect(server.requests.some(({ command }) => command === 'submit')).toBe(false)
    network.factor = 1.9
    await sent
    expect(await ownTransactions(ledger)).toEqual([expect.objectContaining({ Fee: '20' })])
  })

  test('a network that stays busy rejects a transfer with NETWORK_BUSY, and it can be sent again', async () => {
    const { ledger, network, server } = await useNetwork(500)
    const payer = await usePlugin(server.url)
    const transfer = someTransfer()
    await expect(payer.sendTransfer(transfer)).rejects.toThrow(
      expect.objectContaining({ name: 'NotAcceptedError', code: 'NETWORK_BUSY' })
    )
    expect(await ownTransactions(ledger)).toHaveLength(0)
    network.factor = 1
    await payer.sendTransfer(transfer)
    expect(await ownTransactions(ledger)).toHaveLength(1)
  })

  test('no transfer is prepared whose fulfillment would cost more than maxFeeDrops', async () => {
    const { ledger, network, server } = await useNetwork(1.2)
    const payer = await usePlugin(server.url, { maxFeeDrops: 400 })
    await expect(payer.sendTransfer(someTransfer())).rejects.toThrow(
      expect.objectContaining({ code: 'NETWORK_BUSY' })
    )
    network.factor = 1.1
    await payer.sendTransfer(someTransfer())
    expect(await ownTransactions(ledger)).toHaveLength(1)
  })

  test('a fulfillment waits until twenty ledgers are left and then pays up to maxFeeDrops', async () => {
    const { ledger, server } = await useNetwork(20)
    const payer = await usePlugin(ledger.url)
    const payee = await usePlugin(server.url, { secret: shop.secret })
    const transfer = someTransfer({ expiresAt: await ledgerTime(ledger, 60) })
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const fees = (await ledger.transactionsOf(shop.address))
      .filter(({ TransactionType }) => TransactionType === 'EscrowFinish')
      .map(({ Fee }) => Number(Fee))
    expect(fees).toEqual([7700])
  })

  test('a fulfillment is sent again after forty full ledgers', async () => {
    const ledger = await useLedger(fast)
    let refusals = 0
    const first = (await ledger.newest()).ledgerIndex
    let newest = first
    const server = await useScriptedServer(ledger, {
      request({ command }) {
        if (command !== 'submit' || newest > first + 40) return undefined
        refusals++
        return { engine_result: 'telCAN_NOT_QUEUE_FULL', engine_result_message: 'Full' }
      },
      message(message) {
        if (message.type === 'ledgerClosed') newest = Number(message.ledger_index)
        return message
      }
    })
    const payer = await usePlugin(ledger.url)
    const payee = await usePlugin(server.url, { secret: shop.secret })
    const transfer = someTransfer()
    await payer.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    expect(refusals).toBeGreaterThan(10)
  })

  test(`${count} transfers at once all get through full ledgers`, async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const places = isReal ? 1_000 : 20
    const queue = isReal ? undefined : new OpenLedger(places)
    const server = await useScriptedServer(ledger, queue)
    const payer = await usePlugin(server.url)
    payer.setMaxListeners(0)
    let isDone = false
    const sent = Promise.all(Array.from({ length: count }, () => payer.sendTransfer(someTransfer())))
    const done = sent.finally(() => {
      isDone = true
    })
    const stranger = await useStranger(ledger.url)
    let [ledgers, fullest] = [0, 0]
    while (!isDone) {
      // All that the plugin has to say about a ledger is said when all is answered and it asks nothing more.
      for (let before = -1; before < server.requests.length || server.unanswered.size > 0; ) {
        before = server.requests.length
        for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
      }
      fullest = Math.max(fullest, await ledger.openTransactions())
      const closed = stranger.nextLedger()
      await ledger.closeLedger()
      await closed
      await payer.getBalance()
      ledgers++
      await queue?.nextLedger(blob => stranger.submitBlob(blob))
    }
    await done
    const fees = (await ownTransactions(ledger)).map(({ Fee }) => Number(Fee))
    expect(fees).toHaveLength(count)
    expect(Math.max(...fees)).toBeLessThanOrEqual(20)
    expect(fullest).toBeGreaterThanOrEqual(places)
    expect(ledgers).toBeLessThan((1.3 * count) / places + 16)
    // Behind a refused transaction no further ones are signed.
    expect(blobsOf(server).length).toBeLessThan(3 * count)
  })
})

/**
 * An open ledger with few places, as rippled has it: when it is full, ten transactions of an account are queued for the
 * next one, and all others are refused.
 *
 * @see xrpl.org: Transaction Queue
 */
class OpenLedger implements Script {
  readonly #places: number
  #taken: number
  #queued: { sequence: number; blob: string }[] = []
  #next: number | undefined
  #newest = 0
  #closed = 0
  #refusedIn = Number.POSITIVE_INFINITY

  constructor(places: number) {
    this.#places = places
    this.#taken = places
  }

  request = ({ command, tx_blob }: Json): Json | undefined => {
    if (command === 'fee')
      return { drops: { base_fee: '10', open_ledger_fee: this.#taken < this.#places ? '10' : '50' } }
    if (command !== 'submit') return undefined
    const blob = String(tx_blob)
    const { Sequence, LastLedgerSequence } = decode(blob) as Json
    const sequence = Number(Sequence)
    this.#next ??= sequence
    const answer = (engine_result: string) => ({ engine_result, engine_result_message: engine_result })
    if (sequence < this.#next) return answer('tefPAST_SEQ')
    if (sequence > this.#next) return answer('terPRE_SEQ')
    if (this.#taken < this.#places) {
      this.#taken++
      this.#next++
      return undefined
    }
    if (this.#queued.length >= 10 || this.#isTakenByOthers) {
      this.#refusedIn = Math.min(this.#refusedIn, this.#closed)
      return answer('telCAN_NOT_QUEUE_FULL')
    }
    if (Number(LastLedgerSequence) < this.#newest + 3) return answer('telCAN_NOT_QUEUE')
    this.#queued.push({ sequence, blob })
    this.#next++
    return answer('terQUEUED')
  }

  message = (message: Json): Json => {
    if (message.type !== 'ledgerClosed') return message
    this.#newest = Number(message.ledger_index)
    this.#closed++
    this.#taken = this.#isTakenByOthers ? this.#places : this.#queued.length
    return message
  }

  /** Whether others have all places: at first, and after the first refusal for longer than an attempt lives. */
  get #isTakenByOthers(): boolean {
    return this.#closed < 4 || (this.#closed > this.#refusedIn && this.#closed <= this.#refusedIn + 7)
  }

  /** A ledger has closed: the next one takes what was queued for it. */
  async nextLedger(submit: (blob: string) => Promise<string>): Promise<void> {
    const queued = this.#queued
    this.#queued = []
    for (const { blob, sequence } of queued) {
      const result = await submit(blob)
      if (result !== 'tesSUCCESS') {
        this.#next = sequence
        return
      }
    }
  }
}

describe('a server', () => {
  test('plugin connects to a server with version 1 of the API alone and without fee_ref', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, {
      request: ({ api_version }) => (api_version === 1 ? undefined : { error: 'invalid_API_version' }),
      message: ({ fee_ref: _dropped, ...message }) => message
    })
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(someTransfer())
  })

  test('connect rejects a server without a validated ledger', async () => {
    const ledger = await useLedger()
    const server = await useScriptedServer(ledger, {
      request: ({ command }) => (command === 'subscribe' ? {} : undefined)
    })
    const connecting = usePlugin(server.url)
    await expect(connecting).rejects.toThrow(
      expect.objectContaining({ name: 'UnreachableError', message: expect.stringContaining('not in step') })
    )
  })

  test('plugin emits transfers of ledgers that the stream skipped', async () => {
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
