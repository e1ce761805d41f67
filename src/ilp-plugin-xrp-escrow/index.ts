export type { ErrorCode, ErrorDetails } from './errors.ts'
export {
  AccountNotFoundError,
  AlreadyFulfilledError,
  AlreadyRolledBackError,
  DuplicateIdError,
  InsufficientBalanceError,
  InvalidFieldsError,
  LedgerPluginError,
  MaximumCustomDataSizeExceededError,
  MaximumIlpDataSizeExceededError,
  MissingFulfillmentError,
  NoSubscriptionsError,
  NotAcceptedError,
  RequestFailedError,
  RequestHandlerAlreadyRegisteredError,
  TransactionFailedError,
  TransferNotConditionalError,
  TransferNotFoundError,
  UnreachableError
} from './errors.ts'
export { PluginXrpEscrow, PluginXrpEscrow as default } from './plugin.ts'
export type * from './types.ts'
