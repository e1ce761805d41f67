import type { Json } from './rpc.ts'

/** Source: rippled 3.2.0, protocol/ErrorCodes. */
const errors = {
  actMalformed: [35, 'Account malformed.'],
  actNotFound: [19, 'Account not found.'],
  badFeature: [40, 'Feature unknown or invalid.'],
  entryNotFound: [98, 'Entry not found.'],
  excessiveLgrRange: [78, 'Ledger range exceeds 1000.'],
  internal: [73, 'Internal error.'],
  invalidLgrRange: [79, 'Ledger range is invalid.'],
  invalidParams: [31, 'Invalid parameters.'],
  lgrIdxMalformed: [58, 'Ledger index malformed.'],
  lgrIdxsInvalid: [57, 'Ledger indexes invalid.'],
  lgrNotFound: [21, 'ledgerNotFound'],
  lgrNotValidated: [22, 'Ledger not validated.'],
  malformedStream: [71, 'Stream malformed.'],
  noPermission: [6, "You don't have permission for this command."],
  notImpl: [74, 'Not implemented.'],
  notSupported: [75, 'Operation not supported.'],
  slowDown: [10, 'You are placing too much load on the server.'],
  txnNotFound: [29, 'Transaction not found.'],
  unexpectedLedgerType: [99, 'Unexpected ledger type.'],
  unknownCmd: [32, 'Unknown method.'],
  wrongNetwork: [4, 'Wrong network.']
} satisfies Record<string, [number, string]>

export type ErrorName = keyof typeof errors

/** An answer with `status: "error"`; `fields` are all its own fields. */
export class RpcError extends Error {
  readonly fields: Json

  constructor(fields: Json) {
    super(String(fields.error))
    this.fields = fields
  }
}

export function rpcError(error: ErrorName, message?: string, more: Json = {}): RpcError {
  const [error_code, defaultMessage] = errors[error]
  return new RpcError({ error, error_code, error_message: message ?? defaultMessage, ...more })
}

export const missingField = (name: string) => rpcError('invalidParams', `Missing field '${name}'.`)
export const invalidField = (name: string) => rpcError('invalidParams', `Invalid field '${name}'.`)
export const expectedField = (name: string, type: string) =>
  rpcError('invalidParams', `Invalid field '${name}', not ${type}.`)
