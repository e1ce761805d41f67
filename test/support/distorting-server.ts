import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { type Random, seededRandom } from '../../src/xrpl-sandbox/connection.ts'
import { type SandboxLedger, startSandboxLedger } from '../../src/xrpl-sandbox/index.ts'

// A server that passes everything on between its clients and a ledger, a sandbox or a real one, but for what its
// distortions say: so it is slow, forgetful, busy, far away, or lies. Use:
//
//   const server = await DistortingServer.start(ledger, [losesMessages(chance(0.1, seed))])
//   new PluginXrpEscrow({ server: server.url, secret })
//   server.distortions = []
//
// First the server, then the catalogue of distortions.

export type Json = Record<string, unknown>

/** What becomes of a message: another one in its place, none at all, or (undefined) what it was. */
type Replacement = Json | 'nothing' | undefined

/** One way in which a server differs from the ledger behind it. A hook may also change what it is given. */
export interface Distortion {
  /** sees each request; what it returns is the result, or `{ error }`, and the ledger never hears of it */
  request?(request: Json, line: Line): Replacement
  /** sees each result, or `{ error }`, after the request has had its effect */
  answer?(result: Json, request: Json, line: Line): Replacement
  /** sees each message of a stream */
  stream?(message: Json, line: Line): Replacement
  /** how long a message takes, milliseconds; none overtakes another of its connection */
  delayMs?(): number
}

/** A client's connection. */
export class Line {
  /** the newest ledger that the client could know of */
  newest = 0
  /** the requests without an answer, by their ids */
  readonly unanswered = new Map<unknown, Json>()
  readonly #client: WebSocket
  readonly #socket: Socket
  readonly #upstream: WebSocket
  readonly #server: DistortingServer
  #underway = Promise.resolve()

  constructor(client: WebSocket, socket: Socket, server: DistortingServer) {
    this.#client = client
    this.#socket = socket
    this.#server = server
    this.#upstream = new WebSocket(server.upstream.url, { perMessageDeflate: false })
    const opened = once(this.#upstream, 'open').catch(() => {})
    client.on('message', async data => {
      await opened
      this.#inTime(() => this.#onRequest(JSON.parse(String(data))))
    })
    this.#upstream.on('message', data => this.#onMessage(JSON.parse(String(data))))
    for (const end of [client, this.#upstream]) end.on('error', () => this.cut())
    client.on('close', () => this.#upstream.terminate())
    this.#upstream.on('close', () => {
      server.lines.delete(this)
      client.terminate()
    })
  }

  /** Sends the client any message, or text, at all. */
  send(message: unknown): void {
    const text = typeof message === 'string' ? message : JSON.stringify(message)
    this.#inTime(() => {
      if (this.#client.readyState === WebSocket.OPEN) this.#client.send(text)
    })
  }

  /** Resets the connection: what is on its way is lost. */
  cut(): void {
    this.#socket.resetAndDestroy()
  }

  /** Closes the connection as a server does that is being restarted. */
  close(): void {
    this.#client.close(1012)
  }

  #inTime(act: () => void): void {
    const delays = this.#server.distortions.flatMap(({ delayMs }) => (delayMs ? [delayMs()] : []))
    if (delays.length === 0) {
      act()
      return
    }
    const due = performance.now() + Math.max(...delays)
    const wait = () => new Promise<void>(resolve => setTimeout(resolve, due - performance.now()))
    this.#underway = this.#underway.then(wait).then(act)
  }

  #onRequest(request: Json): void {
    if (!this.#server.isOpen) return
    this.#server.requests.push(request)
    this.unanswered.set(request.id, request)
    for (const { request: distort } of this.#server.distortions) {
      const replacement = distort?.(request, this)
      if (replacement === 'nothing') return
      if (replacement) {
        this.#answer(replacement, request)
        return
      }
    }
    this.#upstream.send(JSON.stringify(request))
  }

  #onMessage(message: Json): void {
    const { id, type, status, result } = message
    const request = this.unanswered.get(id)
    if (request) this.#answer(status === 'success' ? (result as Json) : message, request)
    if (type === 'response') return
    if (type === 'ledgerClosed') this.newest = Number(message.ledger_index)
    let told = message
    for (const { stream } of this.#server.distortions) {
      const replacement = stream?.(told, this)
      if (replacement === 'nothing') return
      told = replacement ?? told
    }
    this.send(told)
  }

  #answer(original: Json, request: Json): void {
    const { id, command } = request
    this.unanswered.delete(id)
    let result = original
    if (command === 'subscribe') this.newest = Number(result.ledger_index)
    for (const { answer } of this.#server.distortions) {
      const replacement = answer?.(result, request, this)
      if (replacement === 'nothing') return
      result = replacement ?? result
    }
    const isError = 'error' in result
    const outcome = isError ? { ...result, status: 'error' } : { status: 'success', result }
    this.send({ ...outcome, id, type: 'response' })
  }
}

/** A server before a ledger's. */
export class DistortingServer {
  /** each sees what those before it have left; can be changed at any time */
  distortions: Distortion[]
  /** where new connections lead */
  upstream: { url: string }
  /** while false, new connections are refused and nothing that arrives is heard */
  isOpen = true
  readonly lines = new Set<Line>()
  /** every request that came, in order */
  readonly requests: Json[] = []
  url = ''
  readonly #sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })

  private constructor(upstream: { url: string }, distortions: Distortion[]) {
    this.upstream = upstream
    this.distortions = distortions
    this.#sockets.on('connection', (client, { socket }) => {
      if (this.isOpen) this.lines.add(new Line(client, socket, this))
      else socket.resetAndDestroy()
    })
  }

  /** Starts one on a free port, before a ledger's server. */
  static async start(upstream: { url: string }, distortions: Distortion[] = []): Promise<DistortingServer> {
    const server = new DistortingServer(upstream, distortions)
    await once(server.#sockets, 'listening')
    server.url = `ws://127.0.0.1:${(server.#sockets.address() as AddressInfo).port}`
    return server
  }

  /** the newest ledger that its clients could know of */
  get newest(): number {
    return Math.max(...[...this.lines].map(({ newest }) => newest))
  }

  /** how many requests have no answer */
  get unanswered(): number {
    return [...this.lines].reduce((sum, { unanswered }) => sum + unanswered.size, 0)
  }

  /** Resets all connections: what is on its way is lost. */
  cut(): void {
    for (const line of this.lines) line.cut()
  }

  async close(): Promise<void> {
    this.isOpen = false
    this.cut()
    this.#sockets.close()
    await once(this.#sockets, 'close')
  }
}

/** A server of a sandbox's network that is some ledgers behind it. What is submitted to one of them reaches both. */
export class Laggard {
  readonly url: string
  #behind: number
  readonly #network: SandboxLedger
  readonly #own: SandboxLedger

  private constructor(network: SandboxLedger, own: SandboxLedger, behind: number) {
    this.url = own.url
    this.#network = network
    this.#own = own
    this.#behind = behind
    own.ledger.on('proposed', transaction => network.ledger.submit(transaction))
    network.ledger.on('close', this.#follow)
  }

  static async start(network: SandboxLedger, behind: number): Promise<Laggard> {
    const past = network.ledger.history.contents().slice(0, -behind)
    return new Laggard(network, await startSandboxLedger({ port: 0, closeIntervalMs: 0, past }), behind)
  }

  /** Is not behind any more. */
  catchUp(): void {
    this.#behind = 0
    this.#follow()
  }

  async close(): Promise<void> {
    this.#network.ledger.off('close', this.#follow)
    await this.#own.close()
  }

  readonly #follow = () => {
    const { first, last } = this.#network.ledger.history
    const { openIndex } = this.#own.ledger
    const count = last.header.ledgerIndex - this.#behind + 1 - openIndex
    if (count <= 0) return
    const start = openIndex - first.header.ledgerIndex
    for (const contents of this.#network.ledger.history.contents().slice(start, start + count))
      this.#own.ledger.close(contents)
  }
}

/** Draws whether something happens. */
export type Chance = () => boolean

/** Something that happens with a probability, drawn from a seed. */
export function chance(probability: number, seed: number): Chance {
  const random = seededRandom(seed)
  return () => random() < probability
}

/** Errors in answer to `submit` that leave open whether the transaction was applied. */
export const openErrors = [
  'internalJson',
  'internalSubmit',
  'internalTransaction',
  'timeout',
  'requestError',
  'invalidResponse',
  'notSynced',
  'noNetwork',
  'tooBusy',
  'slowDown'
] as const

/** `submit` is carried out, and answered with an error, or (no error) a success without an engine result. */
export function submitTakesEffectUnsaid(
  error: (typeof openErrors)[number] | undefined,
  happens: Chance
): Distortion {
  return {
    answer(_result, { command }) {
      if (command !== 'submit' || !happens()) return undefined
      return error ? { error } : {}
    }
  }
}

/** `submit` is not carried out, and answered with an error that leaves that open. */
export function submitFails(error: (typeof openErrors)[number], happens: Chance): Distortion {
  return { request: ({ command }) => (command === 'submit' && happens() ? { error } : undefined) }
}

/** Requests, or their answers, get lost. */
export function losesMessages(happens: Chance): Distortion {
  const lose = () => (happens() ? 'nothing' : undefined)
  return { request: lose, answer: lose }
}

/** Says of a validated transaction nothing but that, for so many questions: its metadata comes later (Clio). */
export function metadataComesLate(questions: number): Distortion {
  const asked = new Map<unknown, number>()
  return {
    answer({ meta: _meta, ...rest }, { command, transaction }) {
      if (command !== 'tx' || !rest.validated) return undefined
      const times = (asked.get(transaction) ?? 0) + 1
      asked.set(transaction, times)
      return times > questions ? undefined : rest
    }
  }
}

/** Changes the transactions, and the entries of a list of escrows, that a server answers with. */
export function changesTransactions(change: (tx: Json) => void): Distortion {
  return {
    answer(result) {
      const transactions = (result.transactions as { tx: Json }[] | undefined)?.map(({ tx }) => tx)
      for (const tx of transactions ?? (result.account_objects as Json[] | undefined) ?? [result]) change(tx)
      return undefined
    }
  }
}

/** Leaves out messages of the streams. */
export function streamsHaveHoles(happens: Chance): Distortion {
  return { stream: () => (happens() ? 'nothing' : undefined) }
}

/** `account_tx` knows nothing of the newest ledgers (rippled, which publishes later than it validates). */
export function publishesLate(ledgers: number): Distortion {
  return {
    request(request, line) {
      if (request.command !== 'account_tx') return undefined
      const published = line.newest - ledgers
      if (Number(request.ledger_index_min ?? -1) > published) return { error: 'lgrIdxsInvalid' }
      const max = Number(request.ledger_index_max ?? -1)
      if (max === -1 || max > published) request.ledger_index_max = published
      return undefined
    }
  }
}

/** Has none but the newest ledgers. */
export function keepsLittleHistory(ledgers: number): Distortion {
  return {
    request(request, line) {
      const first = line.newest - ledgers + 1
      if (request.command === 'account_tx' && Number(request.ledger_index_min ?? -1) < first)
        request.ledger_index_min = first
      const isOld = typeof request.ledger_index === 'number' && request.ledger_index < first
      return isOld ? { error: 'lgrNotFound' } : undefined
    }
  }
}

/** Takes so many requests in a time, and then none (Clio). */
export function throttles(requests: number, perMs: number): Distortion {
  let since = performance.now()
  let count = 0
  return {
    request() {
      if (performance.now() - since >= perMs) {
        since = performance.now()
        count = 0
      }
      return ++count > requests ? { error: 'slowDown' } : undefined
    }
  }
}

/** Cuts a connection at a message: before a request is heard, or before it is answered. */
export function cutsLines(happens: Chance): Distortion {
  const cut = (line: Line) => {
    if (!happens()) return undefined
    line.cut()
    return 'nothing'
  }
  return { request: (_request, line) => cut(line), answer: (_result, _request, line) => cut(line) }
}

/** Lets messages take their time, each another one. */
export function isFarAway(maxMs: number, random: Random): Distortion {
  return { delayMs: () => random() * maxMs }
}

/** Says, besides what it is asked, what nobody has asked for and nothing can be made of. */
export function talksNonsense(happens: Chance): Distortion {
  let next = 0
  const talk = (line: Line) => {
    if (happens()) line.send(nonsense[next++ % nonsense.length])
  }
  return {
    answer: (_result, _request, line) => talk(line) as undefined,
    stream: (_message, line) => talk(line) as undefined
  }
}

const nonsense: string[] = [
  'null',
  '7',
  '"ledgerClosed"',
  '[]',
  '{"type":null}',
  '{"type":"response"}',
  '{"type":"response","id":1,"status":"error"}',
  '{"type":"ledgerClosed"}',
  '{"type":"ledgerClosed","ledger_index":"x","ledger_hash":7,"ledger_time":null}',
  '{"type":"transaction","transaction":null,"meta":null,"validated":true}',
  '{"type":"error"}',
  '{"type":"disconnected"}',
  '{"__proto__":{"type":"ledgerClosed"}}',
  '{',
  '\u0000'
]
