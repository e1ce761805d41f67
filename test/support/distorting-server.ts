import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { answerText } from '../../src/xrpl-sandbox/api/requests.ts'
import type { Json, Subscriber } from '../../src/xrpl-sandbox/api/rpc.ts'
import { publishClosed } from '../../src/xrpl-sandbox/api/streams.ts'
import { type Random, seededRandom } from '../../src/xrpl-sandbox/connection.ts'
import { Ledger } from '../../src/xrpl-sandbox/ledger/ledger.ts'

// Servers of a network whose ledger is a sandbox's. Each connection (Line) reaches one server (Node): the newest one, or
// with `behind` one that has replayed fewer ledgers. A Distortion changes what a line hears and says, and so makes it
// slow, forgetful, busy, far away. Use:
//
//   const server = await DistortingServer.start(sandbox.ledger, [losesMessages(chance(0.1, seed))])
//   new PluginXrpEscrow({ server: server.url, secret })
//   server.distortions = []
//
// First the server, then the catalogue of distortions.

/** What becomes of an answer: another one, none at all, or (undefined) what it was. */
type Replacement = Json | 'nothing' | undefined

/**
 * One way in which servers of the real network differ from a sandbox. A hook may change what it is given; what it
 * returns takes its place.
 */
export interface Distortion {
  /** sees each request before the ledger does; what it returns is the answer, and the ledger never hears of it */
  request?(request: Json, line: Line): Replacement
  /** sees each answer, after the request has had its effect */
  answer?(answer: Json, request: Json, line: Line): Replacement
  /** sees each message of a stream; returns what is sent now in its place */
  stream?(message: Json, line: Line): Json[] | undefined
  /** how long a message takes, milliseconds; none overtakes another of its connection */
  delayMs?(): number
}

/** A server of the network: it knows the ledgers up to some number behind the newest. */
interface Node {
  ledger: Ledger
  lines: Set<Line>
}

/** A client's connection. */
export class Line implements Subscriber {
  apiVersion: 1 | 2 = 1
  readonly streams = new Set<string>()
  readonly accounts = new Set<string>()
  readonly accountsProposed = new Set<string>()
  readonly #socket: WebSocket
  readonly #server: DistortingServer
  readonly #node: Node
  #underway = Promise.resolve()

  constructor(socket: WebSocket, server: DistortingServer, node: Node) {
    this.#socket = socket
    this.#server = server
    this.#node = node
    node.lines.add(this)
    socket.on('message', data => this.#inTime(() => this.#onRequest(String(data))))
    socket.on('error', () => socket.terminate())
    socket.on('close', () => {
      node.lines.delete(this)
      server.lines.delete(this)
    })
  }

  /** The newest ledger that this connection's server knows. */
  get newest(): number {
    return this.#node.ledger.closedHeader.ledgerIndex
  }

  /** Passes on what the ledger publishes. */
  send(text: string): void {
    let messages = [JSON.parse(text)]
    for (const { stream } of this.#server.distortions)
      if (stream) messages = messages.flatMap(message => stream(message, this) ?? [message])
    for (const message of messages) this.sendNow(message)
  }

  /** Sends any message or text at all. */
  sendNow(message: unknown): void {
    const text = typeof message === 'string' ? message : JSON.stringify(message)
    this.#inTime(() => {
      if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(text)
    })
  }

  /** Resets the connection: what is on its way is lost. */
  cut(): void {
    this.#socket.terminate()
  }

  #inTime(act: () => void): void {
    const delays = this.#server.distortions.flatMap(({ delayMs }) => (delayMs ? [delayMs()] : []))
    if (delays.length === 0) {
      act()
      return
    }
    const due = performance.now() + Math.max(...delays)
    this.#underway = this.#underway.then(
      () =>
        new Promise(resolve => {
          setTimeout(() => {
            act()
            resolve()
          }, due - performance.now())
        })
    )
  }

  #onRequest(text: string): void {
    if (!this.#server.isOpen) return
    const request: Json = JSON.parse(text)
    this.#server.requests.push(request)
    let answer: Json | undefined
    for (const { request: distort } of this.#server.distortions) {
      const replacement: Replacement = answer ? undefined : distort?.(request, this)
      if (replacement === 'nothing') return
      answer ??= replacement
    }
    this.#answer(answer ?? this.#server.ask(request, this.#node.ledger, this), request)
  }

  #answer(original: Json, request: Json): void {
    let answer = original
    for (const { answer: distort } of this.#server.distortions) {
      const replacement = distort?.(answer, request, this)
      if (replacement === 'nothing') return
      answer = replacement ?? answer
    }
    this.sendNow(answer)
  }
}

/** The servers of a network, behind one URL. */
export class DistortingServer {
  /** each sees what those before it have left; can be changed at any time */
  distortions: Distortion[]
  /** how many ledgers behind the newest the server is that new connections reach */
  behind = 0
  /** while false, new connections are refused and nothing that arrives is heard */
  isOpen = true
  readonly lines = new Set<Line>()
  /** every request that came, in order */
  readonly requests: Json[] = []
  url = ''
  readonly #main: Node
  readonly #followers: { node: Node; behind: number }[] = []
  readonly #sockets: WebSocketServer
  readonly #onClose = (closed: Parameters<typeof publishClosed>[2]) => {
    publishClosed(this.#main.lines, this.#main.ledger, closed)
    this.catchUp()
  }

  private constructor(ledger: Ledger, distortions: Distortion[]) {
    this.#main = { ledger, lines: new Set() }
    this.distortions = distortions
    ledger.on('close', this.#onClose)
    this.#sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    this.#sockets.on('connection', socket => {
      if (!this.isOpen) return socket.terminate()
      const node = this.behind > 0 ? this.#follower(this.behind) : this.#main
      this.lines.add(new Line(socket, this, node))
    })
  }

  /** Starts one on a free port. */
  static async start(ledger: Ledger, distortions: Distortion[] = []): Promise<DistortingServer> {
    const server = new DistortingServer(ledger, distortions)
    await once(server.#sockets, 'listening')
    server.url = `ws://127.0.0.1:${(server.#sockets.address() as AddressInfo).port}`
    return server
  }

  /** Answers a request as the undistorted server would. What is submitted to one server reaches all. */
  ask(request: Json, ledger: Ledger, subscriber: Line): Json {
    const server = { subscriber, startedAt: 0, port: 0, isProgram: true, stop() {} }
    const text = JSON.stringify(request)
    const answer = answerText(text, { ledger, ...server })
    if (request.command === 'submit' && ledger !== this.#main.ledger)
      answerText(text, { ledger: this.#main.ledger, ...server })
    return answer
  }

  /** Lets the servers that are behind follow, or with `toTheNewest` catch up for good. */
  catchUp(toTheNewest = false): void {
    for (const follower of this.#followers) {
      if (toTheNewest) follower.behind = 0
      const { ledger } = follower.node
      for (const contents of this.#contents(ledger.openIndex, follower.behind)) ledger.close(contents)
    }
  }

  cut(): void {
    for (const line of this.lines) line.cut()
  }

  async close(): Promise<void> {
    this.isOpen = false
    this.#main.ledger.off('close', this.#onClose)
    for (const socket of this.#sockets.clients) socket.terminate()
    this.#sockets.close()
    await once(this.#sockets, 'close')
  }

  /** The contents of the ledgers from one on, up to one behind the newest. */
  #contents(from: number, behind: number) {
    const { history } = this.#main.ledger
    const first = history.first.header.ledgerIndex
    const end = history.last.header.ledgerIndex - behind + 1
    return from < end ? history.contents().slice(from - first, end - first) : []
  }

  /** A server that has replayed the ledgers up to one behind the newest. */
  #follower(behind: number): Node {
    const { fees, networkId, now } = this.#main.ledger
    const past = this.#contents(this.#main.ledger.history.first.header.ledgerIndex, behind)
    const ledger = new Ledger({ fees, networkId, historyLimit: 100_000, now, past })
    const node: Node = { ledger, lines: new Set() }
    ledger.on('close', closed => publishClosed(node.lines, ledger, closed))
    this.#followers.push({ node, behind })
    return node
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

const errorAnswer = ({ id }: Json, error: string): Json => ({ id, type: 'response', status: 'error', error })

/** `submit` is carried out, and answered with an error, or (no error) a success without an engine result. */
export function submitTakesEffectUnsaid(
  error: (typeof openErrors)[number] | undefined,
  happens: Chance
): Distortion {
  return {
    answer(_answer, request) {
      if (request.command !== 'submit' || !happens()) return undefined
      if (error) return errorAnswer(request, error)
      return { id: request.id, type: 'response', status: 'success', result: {} }
    }
  }
}

/** `submit` is not carried out, and answered with an error that leaves that open. */
export function submitFails(error: (typeof openErrors)[number], happens: Chance): Distortion {
  return {
    request: request => (request.command === 'submit' && happens() ? errorAnswer(request, error) : undefined)
  }
}

/** Requests, or their answers, get lost. */
export function losesMessages(happens: Chance): Distortion {
  return {
    request: () => (happens() ? 'nothing' : undefined),
    answer: () => (happens() ? 'nothing' : undefined)
  }
}

/** Says of a validated transaction nothing but that, for so many questions: its metadata comes later (Clio). */
export function metadataComesLate(questions: number): Distortion {
  const asked = new Map<unknown, number>()
  return {
    answer(answer, request) {
      const result = answer.result as Json | undefined
      if (request.command !== 'tx' || !result?.validated) return undefined
      const times = (asked.get(request.transaction) ?? 0) + 1
      asked.set(request.transaction, times)
      if (times > questions) return undefined
      const { meta: _meta, ...rest } = result
      return { ...answer, result: rest }
    }
  }
}

/** Leaves out messages of the streams. */
export function streamsHaveHoles(happens: Chance): Distortion {
  return { stream: () => (happens() ? [] : undefined) }
}

/** `account_tx` knows nothing of the newest ledgers (rippled, which publishes later than it validates). */
export function publishesLate(ledgers: number): Distortion {
  return {
    request(request, line) {
      if (request.command !== 'account_tx') return undefined
      const published = line.newest - ledgers
      if (Number(request.ledger_index_min ?? -1) > published) return errorAnswer(request, 'lgrIdxsInvalid')
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
      return isOld ? errorAnswer(request, 'lgrNotFound') : undefined
    }
  }
}

/** Takes so many requests in a time, and then none (Clio). */
export function throttles(requests: number, perMs: number): Distortion {
  let since = performance.now()
  let count = 0
  return {
    request(request) {
      if (performance.now() - since >= perMs) {
        since = performance.now()
        count = 0
      }
      return ++count > requests ? errorAnswer(request, 'slowDown') : undefined
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
  return { request: (_request, line) => cut(line), answer: (_answer, _request, line) => cut(line) }
}

/** Lets messages take their time, each another one. */
export function isFarAway(maxMs: number, random: Random): Distortion {
  return { delayMs: () => random() * maxMs }
}

/** Says, besides what it is asked, what nobody has asked for and nothing can be made of. */
export function talksNonsense(happens: Chance): Distortion {
  let next = 0
  const talk = (line: Line) => {
    if (happens()) line.sendNow(nonsense[next++ % nonsense.length])
  }
  return {
    answer: (_answer, _request, line) => talk(line) as undefined,
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
