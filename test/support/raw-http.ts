import { once } from 'node:events'
import net from 'node:net'

/** What a server does with bytes that no HTTP client would send. */
export class RawConnection {
  readonly socket: net.Socket
  /** everything that came back so far */
  received = ''

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.received += text
    })
    socket.on('error', () => {})
  }

  static async open(url: string): Promise<RawConnection> {
    // Half-open: a client may say that it has nothing more to send, and go on listening.
    const socket = net.connect({ port: Number(new URL(url).port), host: 'localhost', allowHalfOpen: true })
    await once(socket, 'connect')
    return new RawConnection(socket)
  }

  send(text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  /** Waits until something has come back that matches, or the server has closed. Returns all of it. */
  async waitForText(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.received)) {
      if (this.socket.readableEnded || this.socket.destroyed) {
        throw new Error(`The server closed after "${this.received}"`)
      }
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'end'), once(this.socket, 'close')])
    }
    return this.received
  }

  /** Waits until the server has closed. Returns all that came back. */
  async waitForClose(): Promise<string> {
    if (!this.socket.readableEnded && !this.socket.destroyed) {
      await Promise.race([once(this.socket, 'end'), once(this.socket, 'close')])
    }
    return this.received
  }

  close(): void {
    this.socket.destroy()
  }
}
