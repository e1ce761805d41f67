import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'

/** An open answer of a streaming shop. */
export class LetterStream {
  readonly status: number
  readonly pay: string | null
  /** the letters that have come so far */
  letters = ''
  isOver = false
  readonly #res: http.IncomingMessage

  private constructor(res: http.IncomingMessage) {
    this.#res = res
    this.status = res.statusCode ?? 0
    this.pay = (res.headers.pay as string) ?? null
    res.setEncoding('utf8')
    res.on('data', (text: string) => {
      this.letters += text
    })
    res.on('error', () => {})
    res.on('close', () => {
      this.isOver = true
    })
  }

  static async open(url: string): Promise<LetterStream> {
    const req = http.get(url, { agent: false })
    const [res] = (await once(req, 'response')) as [http.IncomingMessage]
    return new LetterStream(res)
  }

  /** Waits for so many letters in all. */
  async waitForLetters(count: number): Promise<string> {
    while (this.letters.length < count) {
      if (this.isOver) throw new Error(`The stream ended after "${this.letters}"`)
      await Promise.race([once(this.#res, 'data'), once(this.#res, 'close')])
    }
    return this.letters
  }

  /** Waits for the end. */
  async waitForEnd(): Promise<string> {
    if (!this.isOver) await once(this.#res, 'close')
    return this.letters
  }

  /** The client goes away. */
  leave(): void {
    this.#res.destroy()
  }
}

/** A shop that answers as a test wants it to. */
export async function fakeShop(
  handler: http.RequestListener
): Promise<{ url: string; close(): Promise<void>; requests: http.IncomingMessage[] }> {
  const requests: http.IncomingMessage[] = []
  const server = http.createServer((req, res) => {
    requests.push(req)
    handler(req, res)
  })
  server.listen(0)
  await once(server, 'listening')
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    requests,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    }
  }
}

/** A connection on which a test sends bytes that no HTTP client would. */
export class RawConnection {
  readonly socket: net.Socket
  /** everything that came back so far */
  received = ''

  constructor(url: string) {
    // Half-open: a client may say that it has nothing more to send, and go on listening.
    this.socket = net.connect({ port: Number(new URL(url).port), host: 'localhost', allowHalfOpen: true })
    this.socket.setEncoding('latin1')
    this.socket.on('data', (text: string) => {
      this.received += text
    })
    this.socket.on('error', () => {})
  }

  send(text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  /** Waits until something has come back that matches, at least until the server has closed. Returns all of it. */
  async waitForText(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.received) && !this.socket.readableEnded && !this.socket.destroyed) {
      await Promise.race(['data', 'end', 'close'].map(event => once(this.socket, event)))
    }
    return this.received
  }

  /** Waits until the server has closed. Returns all that came back. */
  waitForClose(): Promise<string> {
    return this.waitForText(/(?!)/)
  }

  close(): void {
    this.socket.destroy()
  }
}
