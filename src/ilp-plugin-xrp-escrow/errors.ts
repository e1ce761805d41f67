/**
 * The errors of the Ledger Plugin Interface. A host tells them apart by their `name`.
 *
 * @see Interledger RFC 0004 (Ledger Plugin Interface), draft 8
 */
export class LedgerPluginError extends Error {
  /** what a host tells kinds of one name apart by */
  code?: string
  transferIds?: string[]
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
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
