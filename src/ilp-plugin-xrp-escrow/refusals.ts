import {
  AccountNotFoundError,
  AlreadyFulfilledError,
  AlreadyRolledBackError,
  InsufficientBalanceError,
  NotAcceptedError,
  UnreachableError
} from './errors.ts'
import { TransactionFailedError } from './job.ts'
import { RequestRefusedError } from './server-socket.ts'
import type { TransferRecord } from './transfer-log.ts'

const insufficientBalance = new Set([
  ...['tecUNFUNDED', 'tecUNFUNDED_PAYMENT', 'tecINSUFFICIENT_RESERVE', 'tecINSUFF_FEE', 'terINSUF_FEE_B']
])
const accountNotFound = new Set(['tecNO_DST', 'tecNO_DST_INSUF_XRP', 'terNO_ACCOUNT', 'actNotFound'])

/**
 * The error of the Ledger Plugin Interface for a transaction that did not happen.
 *
 * @param what - names the transaction
 * @param engineResult - what became of it, see `TransactionFailedError`
 */
export function transactionFailed(what: string, engineResult: string, message: string, fee = 0n): Error {
  const reason = `${engineResult}: ${message}`
  const cause = { cause: new TransactionFailedError(engineResult, message, fee) }
  if (engineResult === 'notSent') return new UnreachableError(`${what} was not sent: ${message}`, cause)
  if (insufficientBalance.has(engineResult))
    return new InsufficientBalanceError(`${what} is more than the account can spend (${reason})`, cause)
  if (accountNotFound.has(engineResult))
    return new AccountNotFoundError(`${what} needs an account that is not on the ledger (${reason})`, cause)
  const err = new NotAcceptedError(`${what} was not accepted (${reason})`, cause)
  return engineResult === 'telINSUF_FEE_P' ? Object.assign(err, { code: 'NETWORK_BUSY' }) : err
}

/** The error of the Ledger Plugin Interface for a request that a server refused. */
export function refused(what: string, cause: unknown): unknown {
  if (!(cause instanceof RequestRefusedError)) return cause
  return new NotAcceptedError(`${what}: the server answered "${cause.message}"`, { cause })
}

/** Whether an error of the interface comes from a transaction with this result. */
export function hasResult(err: unknown, engineResult: string): boolean {
  const cause = err instanceof Error ? err.cause : undefined
  return cause instanceof TransactionFailedError && cause.engineResult === engineResult
}

/** What the transaction that an error of the interface comes from has cost, drops. */
export function feeOf(err: unknown): bigint {
  const cause = err instanceof Error ? err.cause : undefined
  return cause instanceof TransactionFailedError ? cause.fee : 0n
}

export function isRolledBack({ state }: Pick<TransferRecord, 'state'>): boolean {
  return ['cancelled', 'rejected', 'failed'].includes(state)
}

export function rolledBack({ transfer, state }: TransferRecord, cause?: unknown): AlreadyRolledBackError {
  const { id, expiresAt } = transfer
  const how = isRolledBack({ state }) ? `was ${state}` : `expired at "${expiresAt}"`
  return new AlreadyRolledBackError(`Transfer "${id}" is over: it ${how}`, { cause })
}

export function alreadyFulfilled(id: string): AlreadyFulfilledError {
  return new AlreadyFulfilledError(`Transfer "${id}" has been fulfilled already`)
}
