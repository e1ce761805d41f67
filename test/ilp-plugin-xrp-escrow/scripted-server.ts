import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

type Json = Record<string, unknown>

/** What stands between a plugin and a ledger, and what it does there. */
export interface Script {
  /**
   * Sees each request on its way. Gives the result to answer in the server's place, or `{ error }`, or 'nothing'
   * for no answer at all; undefined lets the request through.
   */
  request?(request: Json): Json | 'nothing' | undefined
  /** Sees each message of the server on its way, and gives what the plugin gets instead; undefined: nothing. */
  message?(message: Json): Json | undefined
}

/**
 * A server that passes everything on to a ledger but for what its script says: for answers that a server seldom has
 * reason to give. Its script can be changed at any time.
 */
export async function useScriptedServer(ledger: { url: string }, script: Script = {}) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  onTestFinished(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  /** every request that came, in order */
  const requests: Json[] = []
  /** the ids of those that have no answer yet */
  const unanswered = new Set<unknown>()
  server.on('connection', async client => {
    const upstream = new WebSocket(ledger.url)
    const opened = once(upstream, 'open')
    client.on('close', () => upstream.terminate())
    client.on('message', async data => {
      const request = JSON.parse(String(data))
      requests.push(request)
      unanswered.add(request.id)
      const result = script.request?.(request)
      await opened
      if (result === undefined) upstream.send(String(data))
      if (result === undefined || result === 'nothing') return
      unanswered.delete(request.id)
      const outcome = 'error' in result ? { status: 'error', ...result } : { status: 'success', result }
      client.send(JSON.stringify({ id: request.id, type: 'response', ...outcome }))
    })
    upstream.on('message', data => {
      const message = JSON.parse(String(data))
      unanswered.delete(message.id)
      const changed = script.message ? script.message(message) : message
      if (changed) client.send(JSON.stringify(changed))
    })
  })
  const { port } = server.address() as AddressInfo
  return Object.assign(script, { url: `ws://localhost:${port}`, requests, unanswered })
}
