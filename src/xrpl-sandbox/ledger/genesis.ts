/**
 * The account of the passphrase "masterpassphrase", whose keys everybody knows: it holds all XRP at the start of
 * every test ledger.
 */
export const genesis = {
  address: 'rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh',
  secret: 'snoPBrXtMeMyMHUVTgbuqAfg1SUTb',
  /** What the secret gives: not derived, for that takes a new process 40 ms. */
  publicKey: '0330E7FC9D56BB25D6893BA3F317AE5BCF33B3291BD63DB32654A313222F7FD020',
  privateKey: '1ACAAEDECE405B2A958212629E16F2EB46B153EEE94CDD350FDEFF52795525B7'
}
