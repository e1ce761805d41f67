import { DEFAULT_DEFINITIONS } from 'ripple-binary-codec'

/** The results this ledger can give, with rippled's messages. Source: rippled, protocol/impl/TER.cpp. */
const messages = {
  tesSUCCESS: 'The transaction was applied. Only final in a validated ledger.',

  tecCRYPTOCONDITION_ERROR: 'Malformed, invalid, or mismatched conditional or fulfillment.',
  tecINSUFFICIENT_RESERVE: 'Insufficient reserve to complete requested operation.',
  tecINSUFF_FEE: 'Insufficient balance to pay fee.',
  tecNO_DST: 'Destination does not exist. Send XRP to create it.',
  tecNO_DST_INSUF_XRP: 'Destination does not exist. Too little XRP sent to create it.',
  tecNO_PERMISSION: 'No permission to perform requested operation.',
  tecNO_TARGET: 'Target account does not exist.',
  tecPATH_DRY: 'Path could not send partial amount.',
  tecUNFUNDED: 'Not enough XRP to satisfy the reserve requirement.',
  tecUNFUNDED_PAYMENT: 'Insufficient XRP balance to send.',

  tefBAD_AUTH: "Transaction's public key is not authorized.",
  tefMAX_LEDGER: 'Ledger sequence too high.',
  tefNOT_MULTI_SIGNING: 'Account has no appropriate list of multi-signers.',
  tefNO_TICKET: 'Ticket is not in ledger.',
  tefPAST_SEQ: 'This sequence number has already passed.',
  tefWRONG_PRIOR: 'This previous transaction does not match.',

  telCAN_NOT_QUEUE: 'Can not queue at this time.',
  telCAN_NOT_QUEUE_FULL: 'Can not queue at this time: queue is full.',
  telINSUF_FEE_P: 'Fee insufficient.',
  telNETWORK_ID_MAKES_TX_NON_CANONICAL:
    'Transactions submitted to this node/network must NOT include a NetworkID field.',
  telNO_DST_PARTIAL: 'Partial payment to create account not allowed.',
  telREQUIRES_NETWORK_ID:
    'Transactions submitted to this node/network must include a correct NetworkID field.',
  telWRONG_NETWORK: 'Transaction specifies a Network ID that differs from that of the local node.',

  temBAD_AMOUNT: 'Malformed: Bad amount.',
  temBAD_EXPIRATION: 'Malformed: Bad expiration.',
  temBAD_FEE: 'Invalid fee, negative or not XRP.',
  temBAD_SEND_XRP_LIMIT: 'Malformed: Limit quality is not allowed for XRP to XRP.',
  temBAD_SEND_XRP_MAX: 'Malformed: Send max is not allowed for XRP to XRP.',
  temBAD_SEND_XRP_NO_DIRECT: 'Malformed: No Ripple direct is not allowed for XRP to XRP.',
  temBAD_SEND_XRP_PARTIAL: 'Malformed: Partial payment is not allowed for XRP to XRP.',
  temBAD_SEND_XRP_PATHS: 'Malformed: Paths are not allowed for XRP to XRP.',
  temBAD_SIGNATURE: 'Malformed: Bad signature.',
  temBAD_SRC_ACCOUNT: 'Malformed: Bad source account.',
  temDISABLED: 'The transaction requires logic that is currently disabled.',
  temDST_NEEDED: 'Destination not specified.',
  temINVALID_FLAG: 'The transaction has an invalid flag.',
  temMALFORMED: 'Malformed transaction.',
  temREDUNDANT: 'The transaction is redundant.',
  temSEQ_AND_TICKET: 'Transaction contains a TicketSequence and a non-zero Sequence.',

  terINSUF_FEE_B: "Account balance can't pay fee.",
  terNO_ACCOUNT: 'The source account does not exist.',
  terPRE_SEQ: 'Missing/inapplicable prior transaction.',
  terPRE_TICKET: 'Ticket is not yet in ledger.',
  terQUEUED: 'Held until escalated fee drops.'
}

export type EngineResult = keyof typeof messages

export interface EngineResultFields {
  engine_result: EngineResult
  engine_result_code: number
  engine_result_message: string
}

/** The three fields by which answers and streams name a result. */
export function describeResult(result: EngineResult): EngineResultFields {
  return {
    engine_result: result,
    engine_result_code: DEFAULT_DEFINITIONS.transactionResult.from(result).ordinal,
    engine_result_message: messages[result]
  }
}

export const isSuccess = (result: EngineResult) => result === 'tesSUCCESS'
/** The fee is claimed and nothing else happens. */
export const claimsFee = (result: EngineResult) => result.startsWith('tec')
/** It may work later. */
export const mayRetry = (result: EngineResult) => result.startsWith('ter')
