const maxTextLength = 100

/** What a host may need to know of an error beside its class. */
export interface ErrorDetails extends ErrorOptions {
  code?: ErrorCode
  transferIds?: string[]
}

/**
 * Kinds of errors that a host may treat differently:
 *
 * - `DISCONNECTED`: `disconnect()` came before the transaction was final
 * - `HISTORY_GAP`: the server lacks ledgers, so the outcome is unknown
 * - `LEDGER_RESET`: the server has another ledger than before, so the outcome is unknown
 * - `NETWORK_BUSY`: the network has no room at an acceptable fee; try again later
 */
export type ErrorCode = 'DISCONNECTED' | 'HISTORY_GAP' | 'LEDGER_RESET' | 'NETWORK_BUSY'

/**
 * The errors of the Ledger Plugin Interface. A host tells them apart by their `name`.
 *
 * @see Interledger RFC 0004 (Ledger Plugin Interface), draft 8
 */
export class LedgerPluginError extends Error {
  /** set where a host needs to tell kinds of this error apart */
  readonly code?: ErrorCode
  /** the transfers that an `error` event is about */
  readonly transferIds?: string[]

  constructor(message: string, { code, transferIds, ...options }: ErrorDetails = {}) {
    super(message, options)
    this.name = new.target.name
    if (code) this.code = code
    if (transferIds) this.transferIds = transferIds
  }
}

export class InvalidFieldsError extends LedgerPluginError {}
export class UnreachableError extends LedgerPluginError {}
export class TransferNotFoundError extends LedgerPluginError {}
export class MissingFulfillmentError extends LedgerPluginError {}
export class DuplicateIdError extends LedgerPluginError {}
export class AlreadyRolledBackError extends LedgerPluginError {}
export class AlreadyFulfilledError extends LedgerPluginError {}
export class TransferNotConditionalError extends LedgerPluginError {}
export class NotAcceptedError extends LedgerPluginError {}
export class InsufficientBalanceError extends LedgerPluginError {}
export class AccountNotFoundError extends LedgerPluginError {}
export class NoSubscriptionsError extends LedgerPluginError {}
export class RequestHandlerAlreadyRegisteredError extends LedgerPluginError {}
export class MaximumIlpDataSizeExceededError extends LedgerPluginError {}
export class MaximumCustomDataSizeExceededError extends LedgerPluginError {}

/** A text of the server as far as an error repeats it. */
export function shorten(text: unknown): string {
  return String(text).slice(0, maxTextLength)
}

/** The server answered a request with an error. */
export class RequestFailedError extends Error {
  /** the error's short name, e.g. `actNotFound` */
  readonly errorCode: string

  constructor(response: Record<string, unknown>) {
    super(shorten(response.error_message ?? response.error_exception ?? response.error))
    this.name = 'RequestFailedError'
    this.errorCode = shorten(response.error)
  }
}

/** Why a transaction had no effect: the cause of the errors that `transactionFailed` makes. */
export class TransactionFailedError extends Error {
  /** e.g. `tecUNFUNDED`, or one of this plugin's own words, see `transactionFailed` */
  readonly engineResult: string
  /** drops that it cost the account nevertheless */
  readonly fee: bigint

  constructor(engineResult: string, message: string, fee: bigint) {
    super(message)
    this.name = 'TransactionFailedError'
    this.engineResult = engineResult
    this.fee = fee
  }
}

const insufficientBalance = new Set([
  ...['tecUNFUNDED', 'tecUNFUNDED_PAYMENT', 'tecINSUFFICIENT_RESERVE', 'tecINSUFF_FEE', 'terINSUF_FEE_B']
])
const accountNotFound = new Set(['tecNO_DST', 'tecNO_DST_INSUF_XRP', 'terNO_ACCOUNT'])

/**
 * The error of the Ledger Plugin Interface for a transaction that had no effect.
 *
 * @param what - names the transaction
 * @param engineResult - a result code of the ledger; `notSent` if it was never submitted, `expired` if it would have
 *   been too late
 * @param fee - drops that it cost nevertheless
 */
export function transactionFailed(
  what: string,
  engineResult: string,
  message: string,
  { code, fee = 0n }: { code?: ErrorCode; fee?: bigint } = {}
): LedgerPluginError {
  const details = { cause: new TransactionFailedError(engineResult, message, fee), ...(code && { code }) }
  const reason = `${engineResult}: ${message}`
  if (engineResult === 'notSent') return new UnreachableError(`${what} was not sent: ${message}`, details)
  if (insufficientBalance.has(engineResult))
    return new InsufficientBalanceError(`${what} is more than the account can spend (${reason})`, details)
  if (accountNotFound.has(engineResult))
    return new AccountNotFoundError(`${what} needs an account that is not on the ledger (${reason})`, details)
  return new NotAcceptedError(`${what} was not accepted (${reason})`, details)
}

/** The transaction whose failure an error is about, if it is about one. */
export function failureOf(err: unknown): TransactionFailedError | undefined {
  const cause = err instanceof Error ? err.cause : undefined
  return cause instanceof TransactionFailedError ? cause : undefined
}

/** The short name of the error that a server answered with, e.g. `actNotFound`. */
export function errorCodeOf(err: unknown): string | undefined {
  return err instanceof RequestFailedError ? err.errorCode : undefined
}

/** The error of the Ledger Plugin Interface for a request that the server answered with an error. */
export function requestFailed(what: string, cause: unknown): unknown {
  if (!(cause instanceof RequestFailedError)) return cause
  return new NotAcceptedError(`${what}: the server answered "${cause.message}"`, { cause })
}

/** @throws InvalidFieldsError with the problem if a value is not valid */
export function check(isValid: unknown, problem: string): asserts isValid {
  if (!isValid) throw new InvalidFieldsError(problem)
}
