/**
 * The account of the passphrase "masterpassphrase", whose keys everybody knows: it holds all XRP at the start of
 * every test ledger.
 */
export const genesis = {
  address: 'rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh',
  secret: 'snoPBrXtMeMyMHUVTgbuqAfg1SUTb'
}
