import { removeBundles } from './bundles.ts'
import { scriptsOfTests, setStage } from './scripts.ts'

/** Builds what most tests start, once for all of them, before they begin. */
export async function setup(): Promise<void> {
  // Each Node.js would take 30 ms to read them, and no test goes where they are asked for.
  delete process.env.NODE_EXTRA_CA_CERTS
  const stage = await setStage()
  await Promise.all(scriptsOfTests.map(script => stage.bundle(script)))
  await stage.strike()
}

export const teardown = removeBundles
