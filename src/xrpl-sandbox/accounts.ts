import { genesis } from './ledger/genesis.ts'

export interface TestAccount {
  address: string
  secret: string
}

/** Accounts whose keys everybody knows: good for play money, and for nothing else. */
export const accounts = {
  /** secp256k1; holds all XRP at first. */
  genesis,
  /** Ed25519; the entropy is the first half of the SHA-256 of "shop". */
  shop: { address: 'rUNRf4XoAcLkghbr2RY7EjNauPMKSTMApD', secret: 'sEd7GCApurLntoJVhJqCqriCVS7BDug' },
  /** Ed25519; the entropy is the first half of the SHA-256 of "customer". */
  customer: { address: 'rnVMra9t3wkRgDutSMQkXKEJGFTjmm9Re6', secret: 'sEd7qypX2ugQDQz47RWpwA84nwve1Uw' }
} satisfies Record<string, TestAccount>
