import type { Ledger } from '../ledger/ledger.ts'

export type Json = Record<string, unknown>
export type ApiVersion = 1 | 2

/** What a connection listens to. */
export interface Subscriber {
  /** Of the last `subscribe`: messages come in its shape. */
  apiVersion: ApiVersion
  streams: Set<string>
  accounts: Set<string>
  accountsProposed: Set<string>
  send(message: string): void
}

export interface Request {
  params: Json
  apiVersion: ApiVersion
  ledger: Ledger
  /** The connection that asks. */
  subscriber: Subscriber
  /** When the server started, in milliseconds of Unix time. */
  startedAt: number
  /** Whether it is a program that asks; a web page may not do everything. */
  isProgram: boolean
  /** Where it listens. */
  port: number
  /** Stops the server after the answer. */
  stop(): void
}

/** Answers a command with its `result`, or throws an RpcError. */
export type Command = (request: Request) => Json
