import { decode } from 'ripple-binary-codec'
import { describe, expect, test } from 'vitest'
import type { Distortion, Json } from '../support/distorting-server.ts'
import {
  customer,
  fast,
  idsOf,
  ledgerTime,
  memo,
  moreLedgers,
  named,
  openTransactions,
  ownTransactions,
  prepare,
  shop,
  someTransfer,
  storyOf,
  strangerOn,
  turns,
  until,
  useLedger,
  usePair,
  usePayer,
  usePlugin,
  useServer
} from './support.ts'

/** Answers submissions with these preliminary results or errors, one after the other; the rest gets through. */
function answering(...results: string[]): Distortion {
  return {
    request({ command }) {
      const result = command === 'submit' ? results.shift() : undefined
      if (!result) return undefined
      return /^te/.test(result) ? preliminary(result) : { error: result }
    }
  }
}

function preliminary(engine_result: string): Json {
  return { engine_result, engine_result_message: `Message of ${engine_result}` }
}

/** The transactions that a server was sent, as often as they came. */
function blobsOf({ requests }: { requests: Json[] }): string[] {
  return requests.flatMap(({ command, tx_blob }) => (command === 'submit' ? [String(tx_blob)] : []))
}

const isReal = process.env.RIPPLED_URL !== undefined
// A stand-alone rippled has places for 1,000 in a ledger. On a sandbox they take more ledgers than one waits for room.
const isSoak = import.meta.env.MODE === 'soak'
const count = isReal || isSoak ? 1_500 : 400
const places = isReal ? 1_000 : 20

describe('a transfer', () => {
  test.each([
    ...['tefPAST_SEQ', 'tefMAX_LEDGER', 'tefALREADY', 'terPRE_SEQ', 'terQUEUED', 'terINSUF_FEE_B'],
    ...['telCAN_NOT_QUEUE', 'telINSUF_FEE_P', 'telFAILED_PROCESSING', 'tooBusy']
  ])(
    'three transfers are sent once each when the first submission is answered with %s',
    async engineResult => {
      const { ledger, payer } = await usePayer(fast, answering(engineResult))
      const transfers = [1, 2, 3].map(() => someTransfer())
      await Promise.all(transfers.map(transfer => payer.sendTransfer(transfer)))
      for (const { id } of transfers) expect(storyOf(payer.told, id)).toEqual(['outgoing_prepare'])
      expect(await ownTransactions(ledger)).toHaveLength(3)
    }
  )

  test('a malformed transaction rejects at once and does not delay others', async () => {
    const { payer } = await usePayer({}, answering('temMALFORMED'))
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
    ['telWRONG_NETWORK', 'NotAcceptedError']
  ])(
    'a transfer that is refused with %s for as long as it could be applied rejects with %s',
    async (result, name) => {
      const { ledger, payer } = await usePayer(fast, answering(...Array(1000).fill(result)))
      const message = expect.stringContaining(`(${result}: Message of ${result})`)
      await expect(payer.sendTransfer(someTransfer())).rejects.toThrow(named(name, { message }))
      expect(await ownTransactions(ledger)).toHaveLength(0)
    }
  )

  test('a transaction whose sequence another program used is sent with another one', async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const payer = await usePlugin(ledger.url)
    const other = strangerOn(ledger, customer.secret)
    const first = payer.sendTransfer(someTransfer())
    await openTransactions(ledger, 1)
    await other.submit({ TransactionType: 'Payment', Destination: shop.address, Amount: '1' })
    const second = payer.sendTransfer(someTransfer())
    await openTransactions(ledger, 2)
    const close = setInterval(() => ledger.closeLedger(), 20)
    await Promise.all([first, second]).finally(() => clearInterval(close))
    expect((await ownTransactions(ledger)).map(({ TransactionType }) => TransactionType)).toEqual([
      'EscrowCreate',
      'Payment',
      'EscrowCreate'
    ])
  })

  test('a sequence that another program has used is not signed again', async () => {
    const { ledger, server, payer } = await usePayer()
    await payer.sendTransfer(someTransfer())
    const Memos = [memo('xrpId', someTransfer().id)]
    const payment = { TransactionType: 'Payment', Destination: shop.address, Amount: '1', Memos }
    await strangerOn(ledger, customer.secret).submit(payment)
    await until(payer, 'outgoing_transfer')
    await payer.sendTransfer(someTransfer())
    expect(blobsOf(server)).toHaveLength(2)
  })

  test.each([
    ['unanswered for two ledgers', 'nothing'],
    ['accepted before the connection broke', preliminary('tesSUCCESS')]
  ] as const)('a transaction that was %s and lost is sent again as it was signed', async (_how, answer) => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const server = await useServer(ledger, {
      request: ({ command }) => (command === 'submit' && blobsOf(server).length === 1 ? answer : undefined)
    })
    const payer = await usePlugin(server.url)
    const sent = payer.sendTransfer(someTransfer())
    await expect.poll(() => blobsOf(server)).toHaveLength(1)
    if (answer !== 'nothing') server.cut()
    else for (let count = 0; count < 2; count++) await ledger.closeLedger()
    await openTransactions(ledger, 1)
    await ledger.closeLedger()
    await sent
    expect(new Set(blobsOf(server)).size).toBe(1)
  })

  test('a transaction that a server cannot read rejects with the error of the server', async () => {
    const ledger = await useLedger()
    const server = await useServer(ledger, {
      request: ({ command }) =>
        command === 'submit' ? { error: 'invalidTransaction', error_exception: 'Unknown field' } : undefined
    })
    const payer = await usePlugin(server.url)
    await expect(payer.sendTransfer(someTransfer())).rejects.toThrow('invalidTransaction: Unknown field')
  })

  test('an expired transfer is not signed again', async () => {
    const { ledger, server, payer } = await usePayer(
      { closeIntervalMs: 0 },
      answering(...Array(1000).fill('terQUEUED'))
    )
    const expiresAt = await ledgerTime(ledger, 4)
    let error: Error | undefined
    payer.sendTransfer(someTransfer({ expiresAt })).catch(err => {
      error = err
    })
    await expect.poll(() => blobsOf(server)).toHaveLength(1)
    while (!error) {
      await ledger.closeLedger()
      await turns(50)
    }
    expect(error.message).toContain('expired')
    expect(new Set(blobsOf(server)).size).toBe(1)
  })
})

test.each(['telCAN_NOT_QUEUE', 'tefBAD_AUTH', 'tefMASTER_DISABLED'])(
  'sendTransfer resolves when a server refuses with %s and applies the transaction three ledgers later',
  async engineResult => {
    const { ledger, server, payer } = await usePayer(
      { closeIntervalMs: 0 },
      answering(...Array(1000).fill(engineResult))
    )
    const transfer = someTransfer()
    const sent = payer.sendTransfer(transfer)
    await expect.poll(() => blobsOf(server).length > 0 && server.unanswered === 0).toBe(true)
    for (let count = 0; count < 3; count++) await ledger.closeLedger()
    const blobs = new Set(blobsOf(server))
    expect(blobs.size).toBe(1)
    const [blob = ''] = blobs
    expect(await strangerOn(ledger).submitBlob(blob)).toMatchObject({ engine_result: 'tesSUCCESS' })
    await ledger.closeLedger()
    await sent
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
    expect(await ownTransactions(ledger)).toHaveLength(1)
  }
)

describe('a busy network', () => {
  /** A network whose open ledger asks for so many times the fee at rest. */
  function asking(factor: number): Distortion {
    return {
      request({ command, tx_blob }) {
        if (command === 'fee') return { drops: { base_fee: '10', open_ledger_fee: String(10 * factor) } }
        if (command !== 'submit') return undefined
        const { Fee, TransactionType } = decode(String(tx_blob)) as { Fee: string; TransactionType: string }
        const atRest = TransactionType === 'EscrowFinish' ? 350 : 10
        return Number(Fee) < atRest * factor ? preliminary('telCAN_NOT_QUEUE_FEE') : undefined
      }
    }
  }

  test('a transfer waits on a busy network and pays at most twice the fee at rest', async () => {
    const { ledger, server, payer } = await usePayer(fast, asking(500))
    const sent = payer.sendTransfer(someTransfer())
    await moreLedgers(ledger, 6)
    expect(server.requests.some(({ command }) => command === 'submit')).toBe(false)
    server.distortions = [asking(1.9)]
    await sent
    expect(await ownTransactions(ledger)).toEqual([expect.objectContaining({ Fee: '20' })])
  })

  test.each([
    ['asks for too high a fee', asking(500)],
    ['has no room', answering(...Array(1000).fill('telCAN_NOT_QUEUE_FULL'))]
  ])(
    'a network that %s rejects a transfer with NETWORK_BUSY, and it can be sent again',
    async (_how, busy) => {
      const { ledger, server, payer } = await usePayer(fast, busy)
      const transfer = someTransfer()
      await expect(payer.sendTransfer(transfer)).rejects.toThrow(
        named('NotAcceptedError', { code: 'NETWORK_BUSY' })
      )
      expect(await ownTransactions(ledger)).toHaveLength(0)
      server.distortions = []
      await payer.sendTransfer(transfer)
      expect(await ownTransactions(ledger)).toHaveLength(1)
    }
  )

  test('no transfer is prepared whose fulfillment would cost more than maxFeeDrops', async () => {
    const ledger = await useLedger(fast)
    const server = await useServer(ledger, asking(1.2))
    const payer = await usePlugin(server.url, { maxFeeDrops: 400 })
    await expect(payer.sendTransfer(someTransfer())).rejects.toThrow(
      named('NotAcceptedError', { code: 'NETWORK_BUSY' })
    )
    server.distortions = [asking(1.1)]
    await payer.sendTransfer(someTransfer())
    expect(await ownTransactions(ledger)).toHaveLength(1)
  })

  test('a fulfillment waits until twenty ledgers are left and then pays up to maxFeeDrops', async () => {
    const { ledger, payer, payee } = await usePair({ ...fast, atServer: 'payee' }, asking(20))
    const transfer = await prepare({ payer, payee }, { expiresAt: await ledgerTime(ledger, 60) })
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    const finishes = await ownTransactions(ledger, shop.address, 'EscrowFinish')
    expect(finishes.map(({ Fee }) => Number(Fee))).toEqual([7700])
  })

  test('a fulfillment is sent again after 25 full ledgers and 65 of a server that is too busy', async () => {
    const ledger = await useLedger(fast)
    const first = (await ledger.newest()).ledgerIndex
    const server = await useServer(ledger, {
      request({ command }, { newest }) {
        if (command !== 'submit' || newest > first + 90) return undefined
        return newest > first + 25 ? { error: 'tooBusy' } : preliminary('telCAN_NOT_QUEUE_FULL')
      }
    })
    const payer = await usePlugin(ledger.url)
    const payee = await usePlugin(server.url, { secret: shop.secret })
    const transfer = await prepare({ payer, payee })
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    // It was signed anew more often than any other transaction is.
    expect(new Set(blobsOf(server)).size).toBeGreaterThan(10)
  })

  test(`${count} transfers at once all get through full ledgers`, async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const queue = isReal ? undefined : new OpenLedger(places)
    const server = await useServer(ledger, queue ?? {})
    const payer = await usePlugin(server.url)
    payer.setMaxListeners(0)
    let isDone = false
    const sent = Promise.all(Array.from({ length: count }, () => payer.sendTransfer(someTransfer())))
    const done = sent.finally(() => {
      isDone = true
    })
    const stranger = strangerOn(ledger)
    let [ledgers, fullest] = [0, 0]
    while (!isDone) {
      // All that the plugin has to say about a ledger is said when all is answered and it asks nothing more.
      const hasSaidAll = async () => {
        const asked = server.requests.length
        await turns(50)
        return server.requests.length === asked && server.unanswered === 0
      }
      await expect.poll(hasSaidAll, { interval: 1 }).toBe(true)
      fullest = Math.max(fullest, await ledger.openTransactions())
      await ledger.closeLedger()
      await expect.poll(() => server.newest, { interval: 1 }).toBe((await ledger.newest()).ledgerIndex)
      ledgers++
      await queue?.nextLedger(stranger.submitBlob)
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
class OpenLedger implements Distortion {
  readonly #places: number
  #taken: number
  #queued: { sequence: number; blob: string }[] = []
  #next: number | undefined
  #closed = 0
  #refusedIn = Number.POSITIVE_INFINITY

  constructor(places: number) {
    this.#places = places
    this.#taken = places
  }

  request = ({ command, tx_blob }: Json, { newest }: { newest: number }): Json | undefined => {
    if (command === 'fee')
      return { drops: { base_fee: '10', open_ledger_fee: this.#taken < this.#places ? '10' : '50' } }
    if (command !== 'submit') return undefined
    const blob = String(tx_blob)
    const { Sequence, LastLedgerSequence } = decode(blob) as Json
    const sequence = Number(Sequence)
    this.#next ??= sequence
    if (sequence < this.#next) return preliminary('tefPAST_SEQ')
    if (sequence > this.#next) return preliminary('terPRE_SEQ')
    if (this.#taken < this.#places) {
      this.#taken++
      this.#next++
      return undefined
    }
    if (this.#queued.length >= 10 || this.#isTakenByOthers) {
      this.#refusedIn = Math.min(this.#refusedIn, this.#closed)
      return preliminary('telCAN_NOT_QUEUE_FULL')
    }
    if (Number(LastLedgerSequence) < newest + 3) return preliminary('telCAN_NOT_QUEUE')
    this.#queued.push({ sequence, blob })
    this.#next++
    return preliminary('terQUEUED')
  }

  stream = ({ type }: Json): undefined => {
    if (type !== 'ledgerClosed') return
    this.#closed++
    this.#taken = this.#isTakenByOthers ? this.#places : this.#queued.length
  }

  /** Whether others have all places: at first, and after the first refusal for longer than an attempt lives. */
  get #isTakenByOthers(): boolean {
    return this.#closed < 4 || (this.#closed > this.#refusedIn && this.#closed <= this.#refusedIn + 7)
  }

  /** A ledger has closed: the next one takes what was queued for it. */
  async nextLedger(submit: ReturnType<typeof strangerOn>['submitBlob']): Promise<void> {
    const queued = this.#queued
    this.#queued = []
    for (const { blob, sequence } of queued) {
      if ((await submit(blob)).engine_result !== 'tesSUCCESS') {
        this.#next = sequence
        return
      }
    }
  }
}

// A ledger that closes when all is in it that can be: whoever waits for one transfer before the next never gets there.
test('thirty transfers asked for during one ledger are all in it, and their fulfillments all in the next', async () => {
  const { ledger, payer, payee } = await usePair({ closeIntervalMs: 0 })
  const [atOnce, rounds] = [30, 2]
  const transfers = Array.from({ length: atOnce * rounds }, () => someTransfer())
  const fulfillments = new Map(transfers.map(({ id, fulfillment }) => [id, fulfillment]))
  payee.on('incoming_prepare', ({ id }) => payee.fulfillCondition(id, fulfillments.get(id) as string))
  const sent: Promise<void>[] = []
  for (let round = 0; round <= rounds; round++) {
    const now = transfers.slice(round * atOnce, (round + 1) * atOnce)
    sent.push(...now.map(transfer => payer.sendTransfer(transfer)))
    await openTransactions(ledger, now.length + (round > 0 ? atOnce : 0))
    await ledger.closeLedger()
  }
  await Promise.all(sent)
  await until(payer, 'outgoing_fulfill', transfers.length)
})

describe('a server', () => {
  test('plugin connects to a server with version 1 of the API alone', async () => {
    const server = await useServer(await useLedger(), {
      request: ({ api_version }) => (api_version === 1 ? undefined : { error: 'invalid_API_version' })
    })
    const payer = await usePlugin(server.url)
    await payer.sendTransfer(someTransfer())
  })

  test('connect rejects a server without a validated ledger', async () => {
    const server = await useServer(await useLedger(), {
      request: ({ command }) => (command === 'subscribe' ? {} : undefined)
    })
    const message = expect.stringContaining('not in step')
    await expect(usePlugin(server.url)).rejects.toThrow(named('UnreachableError', { message }))
  })

  test('plugin emits transfers of ledgers that the stream skipped', async () => {
    const { server, payer, payee } = await usePair({ atServer: 'payee' })
    server.distortions = [{ stream: () => 'nothing' }]
    const transfers = [1, 2, 3].map(() => someTransfer())
    for (const transfer of transfers) await payer.sendTransfer(transfer)
    server.distortions = []
    expect(idsOf(await until(payee, 'incoming_prepare', 3))).toEqual(transfers.map(({ id }) => id))
  })
})
