import { removeBundles } from './bundles.ts'
import { copyProject, scriptsOfTests } from './scripts.ts'

/** Builds what most tests start, once for all of them, before they begin. */
export async function setup(): Promise<void> {
  // Each Node.js would take 30 ms to read them, and no test needs them.
  delete process.env.NODE_EXTRA_CA_CERTS
  const project = await copyProject()
  await Promise.all(scriptsOfTests.map(script => project.bundle(script)))
  await project.remove()
}

export const teardown = removeBundles
