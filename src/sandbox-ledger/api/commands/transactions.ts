import { describeResult } from '../../ledger/engine-results.ts'
import { indexOf, toHex } from '../../ledger/hashes.ts'
import { readAccount } from '../../ledger/state.ts'
import { InvalidTransaction, parseTransaction, type Transaction } from '../../ledger/transaction.ts'
import { type Command, type Json, type Request, RpcError, readFlag, rpcError } from '../rpc.ts'
import { pendingTransaction, txResult } from '../shapes.ts'

const MAX_SEARCH_RANGE = 1000

function parse(blob: string): Transaction {
  try {
    return parseTransaction(Buffer.from(blob, 'hex'))
  } catch (error) {
    if (!(error instanceof InvalidTransaction)) throw error
    throw new RpcError({ error: 'invalidTransaction', error_exception: error.message })
  }
}

/** Signing on the server, with the secret in the request, is refused as public servers refuse it. */
function refuseToSign({ params }: Request): never {
  const secrets = ['secret', 'seed', 'seed_hex', 'passphrase']
  const deprecated =
    "Signing support in the 'submit' command has been deprecated and will be removed in a future version of " +
    'the server. Please migrate to a standalone signing tool.'
  if (!secrets.some(name => name in params))
    throw rpcError('invalidParams', "Missing field 'secret'.", { deprecated })
  throw rpcError('notSupported', 'Signing is not supported by this server.', { deprecated })
}

export const submit: Command = request => {
  const { params, ledger, apiVersion } = request
  const { tx_blob } = params
  if (tx_blob === undefined) return refuseToSign(request)
  if (typeof tx_blob !== 'string' || !/^([0-9A-Fa-f]{2})+$/.test(tx_blob)) throw rpcError('invalidParams')
  const transaction = parse(tx_blob)
  const { result, applied, kept } = ledger.submit(transaction, { failHard: readFlag(request, 'fail_hard') })
  const { Account } = transaction.fields
  const sequence = readAccount(ledger.open, indexOf.account(Account))?.Sequence ?? 0
  const validated = ledger.history.transaction(transaction.hash)
  const tx_json = pendingTransaction(transaction, apiVersion)
  if (validated) {
    tx_json.inLedger = validated.ledgerIndex
    tx_json.ledger_index = validated.ledgerIndex
  }
  const answer = {
    accepted: applied || kept,
    account_sequence_available: sequence,
    account_sequence_next: sequence,
    applied,
    broadcast: applied,
    ...describeResult(result),
    kept,
    open_ledger_cost: String(ledger.openLedgerCost(transaction.fields)),
    queued: result === 'terQUEUED',
    tx_blob: toHex(transaction.blob),
    tx_json,
    validated_ledger_index: ledger.closedHeader.ledgerIndex
  }
  // As in rippled, the answer does not know yet of those that this transaction has made room for.
  if (result === 'tesSUCCESS') ledger.applyHeld(transaction)
  return answer
}

/** Whether a search over the ledgers asked for has seen all of them. */
function searchedAll({ params, ledger }: Request): Json {
  const { min_ledger: min, max_ledger: max } = params
  if (min === undefined && max === undefined) return {}
  if (typeof min !== 'number' || typeof max !== 'number' || !(min <= max)) throw rpcError('invalidLgrRange')
  if (max - min > MAX_SEARCH_RANGE) throw rpcError('excessiveLgrRange')
  const first = ledger.history.first.header.ledgerIndex
  return { searched_all: min >= first && max <= ledger.closedHeader.ledgerIndex }
}

export const tx: Command = request => {
  const { params, ledger, apiVersion } = request
  const { transaction: hash } = params
  if (hash === undefined) throw rpcError('invalidParams')
  if (typeof hash !== 'string' || !/^[0-9A-Fa-f]{64}$/.test(hash)) throw rpcError('notImpl')
  const binary = readFlag(request, 'binary')
  const searched = searchedAll(request)
  const validated = ledger.history.transaction(hash.toUpperCase())
  if (validated) return txResult(validated, { apiVersion, binary })
  const pending = ledger.submitted.get(hash.toUpperCase())
  if (!pending) throw rpcError('txnNotFound', undefined, searched)
  if (binary) {
    const name = apiVersion === 1 ? 'tx' : 'tx_blob'
    return { [name]: toHex(pending.blob), hash: pending.hash, validated: false }
  }
  const { hash: ownHash, ...fields } = pendingTransaction(pending, apiVersion)
  return apiVersion === 1
    ? { ...fields, hash: ownHash, validated: false }
    : { tx_json: fields, hash: ownHash, validated: false }
}
