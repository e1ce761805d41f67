import { once } from 'node:events'
import { WebSocket } from 'ws'

// biome-ignore lint/suspicious/noExplicitAny: answers are JSON of many shapes, and the tests look at a few fields
export type Message = any

/** A bare WebSocket client: what it sends and receives is what goes over the wire. */
export class RawClient {
  readonly socket: WebSocket
  /** What came unasked, oldest first. */
  readonly stream: Message[] = []
  readonly #answers = new Map<
    unknown,
    { resolve: (message: Message) => void; reject: (error: Error) => void }
  >()
  readonly #raw: ((message: Message) => void)[] = []
  #nextId = 1_000_000

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', data => {
      const message = JSON.parse(data.toString())
      const waiting = this.#raw.shift()
      if (waiting) waiting(message)
      else if (message.type === 'response') this.#answers.get(message.id)?.resolve(message)
      else this.stream.push(message)
    })
    socket.on('close', () => {
      for (const { reject } of this.#answers.values()) reject(new Error('The connection was closed'))
    })
  }

  static async connect(url: string): Promise<RawClient> {
    const socket = new WebSocket(url)
    await once(socket, 'open')
    return new RawClient(socket)
  }

  /** Sends a command and resolves to the whole answer, errors as well. */
  ask(request: object): Promise<Message> {
    const { id = this.#nextId++ } = request as { id?: unknown }
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject })
      this.socket.send(JSON.stringify({ id, ...request }))
    })
  }

  /** Sends text as it is and resolves to the next message. */
  askRaw(text: string | Buffer): Promise<Message> {
    return new Promise(resolve => {
      this.#raw.push(resolve)
      this.socket.send(text)
    })
  }

  close() {
    this.socket.terminate()
  }
}
