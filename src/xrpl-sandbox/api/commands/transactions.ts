import { describeResult } from '../../ledger/engine-results.ts'
import { toHex } from '../../ledger/hashes.ts'
import { referenceLevel } from '../../ledger/ledger.ts'
import { accountOf } from '../../ledger/state.ts'
import { InvalidTransaction, parseTransaction, type Transaction } from '../../ledger/transaction.ts'
import { expectedField, RpcError, rpcError } from '../errors.ts'
import { pendingResult, placeInFields, txResult } from '../formatters.ts'
import { asFlag, asText, asUint, parseHash, readBoolean } from '../params.ts'
import type { Command, Json, Request } from '../rpc.ts'

const maxSearchRange = 1000

function parse(blob: string): Transaction {
  try {
    return parseTransaction(Buffer.from(blob, 'hex'))
  } catch (err) {
    if (!(err instanceof InvalidTransaction)) throw err
    throw new RpcError({ error: 'invalidTransaction', error_exception: err.message })
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

const submit: Command = request => {
  const { params, ledger } = request
  const readFailHard = () => readBoolean(params, 'fail_hard', () => expectedField('fail_hard', 'boolean'))
  if (params.tx_blob === undefined) {
    readFailHard()
    return refuseToSign(request)
  }
  const digits = asText(params.tx_blob)
  if (!/^[0-9A-Fa-f]+$/.test(digits)) throw rpcError('invalidParams')
  const transaction = parse(digits.length % 2 ? `0${digits}` : digits)
  const { result, applied, kept } = ledger.submit(transaction, { failHard: readFailHard() })
  const { hash, fields, blob } = transaction
  const validated = ledger.history.transaction(hash)
  const answer: Json = {
    accepted: applied || kept,
    applied,
    broadcast: applied || result === 'terQUEUED',
    ...describeResult(result),
    kept,
    queued: result === 'terQUEUED',
    tx_blob: toHex(blob),
    // What was sent, not what the ledger makes of it: in every version.
    tx_json: {
      ...fields,
      ...(validated ? placeInFields(validated, 1) : { hash })
    }
  }
  if (result === 'temBAD_SIGNATURE') return answer
  const sequence = accountOf(ledger.open, fields.Account)?.Sequence ?? 0
  const queued = new Set<number>()
  for (const one of ledger.queued) if (one.fields.Account === fields.Account) queued.add(one.fields.Sequence)
  let available = sequence
  while (queued.has(available)) available++
  answer.account_sequence_available = available
  answer.account_sequence_next = sequence
  answer.open_ledger_cost = String(ledger.openLedgerCost(fields) / BigInt(referenceLevel))
  answer.validated_ledger_index = ledger.closedHeader.ledgerIndex
  // As in rippled, the answer does not know yet of those that this transaction has made room for.
  if (result === 'tesSUCCESS') ledger.applyHeld(transaction)
  return answer
}

/** The hash that a request names; undefined if nothing is at the place that it names. */
function readHash({ params, ledger }: Request): string | undefined {
  const { transaction, ctid } = params
  if ((transaction === undefined) === (ctid === undefined)) throw rpcError('invalidParams')
  if (ctid === undefined) {
    const hash = parseHash(asText(transaction))
    if (!hash) throw rpcError('notImpl')
    return hash
  }
  const [, ledgerIndex = '', position = '', network = ''] =
    /^C([0-9A-F]{7})([0-9A-F]{4})([0-9A-F]{4})$/i.exec(asText(ctid)) ?? []
  if (!network) throw rpcError('invalidParams')
  const networkId = Number.parseInt(network, 16)
  if (networkId !== ledger.networkId)
    throw rpcError(
      'wrongNetwork',
      `Wrong network. You should submit this request to a node running on NetworkID: ${networkId}`
    )
  const at = ledger.history.ledger(Number.parseInt(ledgerIndex, 16))
  return at?.transactions[Number.parseInt(position, 16)]?.hash
}

/** The ledgers that a search is confined to. */
function readRange({ min_ledger, max_ledger }: Json): { min: number; max: number } | undefined {
  if (min_ledger === undefined || max_ledger === undefined) return undefined
  let [min, max] = [0, 0]
  try {
    ;[min, max] = [asUint(min_ledger), asUint(max_ledger)]
  } catch {
    throw rpcError('invalidLgrRange')
  }
  if (max < min) throw rpcError('invalidLgrRange')
  if (max - min > maxSearchRange) throw rpcError('excessiveLgrRange')
  return { min, max }
}

const tx: Command = request => {
  const { params, ledger, apiVersion } = request
  const hash = readHash(request)
  const shape = { apiVersion, binary: asFlag(params.binary) }
  const range = readRange(params)
  if (!hash) throw rpcError('txnNotFound')
  const validated = ledger.history.transaction(hash)
  if (validated) return txResult(validated, shape)
  const pending = ledger.cache.get(hash)
  if (pending) return pendingResult(pending, shape)
  if (!range) throw rpcError('txnNotFound')
  // rippled finds that it has searched a range when it has a transaction of every ledger in it.
  let searched_all = true
  for (let index = range.min; index <= range.max && searched_all; index++)
    searched_all = (ledger.history.ledger(index)?.transactions.length ?? 0) > 0
  throw rpcError('txnNotFound', undefined, { searched_all })
}

export const transactionCommands: Record<string, Command> = { submit, tx }
