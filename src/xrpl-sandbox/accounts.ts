import { genesis } from './ledger/genesis.ts'

export interface TestAccount {
  address: string
  secret: string
}

/** Accounts whose keys everybody knows: good for play money, and for nothing else. */
export const accounts = {
  genesis,
  /** Ed25519; the entropy is the first half of the SHA-256 of "shop". */
  shop: { address: 'rUNRf4XoAcLkghbr2RY7EjNauPMKSTMApD', secret: 'sEd7GCApurLntoJVhJqCqriCVS7BDug' },
  /** secp256k1; the entropy is the first half of the SHA-256 of "customer". */
  customer: { address: 'rHsMbjuugY2AM8hh4RW6s7yKWZ3VEL4A3V', secret: 'snNzpctvax3feLjU2it5qqY5ntM5e' }
} satisfies Record<string, TestAccount>
