import { bundleOf, removeBundles } from './bundles.ts'
import { scriptsOfTests, setStage, testPlugins } from './scripts.ts'

/** Builds what most tests start, once for all of them, before they begin. */
export async function setup(): Promise<void> {
  const stage = await setStage()
  await Promise.all(scriptsOfTests.map(script => bundleOf(stage.folder, script, [testPlugins])))
  await stage.strike()
}

export const teardown = removeBundles
