import { afterAll, beforeAll } from 'vitest'
import { Customer } from './customer.ts'
import { openLedger, type TestLedger } from './ledger.ts'
import { copyProject, type OpenShop, type ProjectCopy, type Script } from './scripts.ts'

/** What most tests of the scripts need. */
export interface Testbed {
  ledger: TestLedger
  customer: Customer
  project: ProjectCopy
  /** starts a script on the ledger */
  run(script: string, env?: Record<string, string>): Script
  /** starts a shop on the ledger, and waits until it sells */
  openShop(shop: string, env?: Record<string, string>): Promise<OpenShop>
}

/** Opens a ledger with a customer, and copies the project, for all tests of a file. */
export function useTestbed(): Testbed {
  const bed = {
    run: (script, env) => bed.project.run(script, { ...bed.ledger.env, ...env }),
    openShop: (shop, env) => bed.project.openShop(shop, { ...bed.ledger.env, ...env })
  } as Testbed
  beforeAll(async () => {
    bed.ledger = await openLedger()
    bed.project = await copyProject()
    bed.customer = await Customer.connect(bed.ledger)
  })
  afterAll(async () => {
    await bed.customer.disconnect()
    await bed.project.remove()
    await bed.ledger.close()
  })
  return bed
}
