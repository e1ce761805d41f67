import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type Reporter } from 'vitest/node'
import { noChromium } from './test/support/chromium.ts'

// What runs on a real server, at RIPPLED_URL: one file after the other, since they share its ledger.
const real = [
  'test/{clients,faults,lying-shops,pauses,shop-from-before,strangers,streaming-shop,thieves}.test.ts',
  'test/ilp-plugin-xrp-escrow/{interface,reconnect,submission,transfers}.test.ts'
]

// The longest first, so that nothing waits for them alone at the end.
const longest =
  `watch faults lying-shops pauses readme proxies credit servers-as-they-are strangers clients reconnect start
  streaming-shop submission pack slow-ledgers bad-input terminal testnet-accounts thieves hostile-memos launcher
  server transfers`.split(/\s+/)

class LongestFirst extends BaseSequencer {
  override async sort(files: Parameters<BaseSequencer['sort']>[0]) {
    const rank = ({ moduleId }: (typeof files)[number]) =>
      longest.findIndex(name => moduleId.endsWith(`/${name}.test.ts`)) >>> 0
    return files.sort((a, b) => rank(a) - rank(b))
  }
}

// The plugin's tests come last: they close ledgers so fast that the server's clock is soon ahead of the scripts'.
class ScriptsFirst extends BaseSequencer {
  override async sort(files: Parameters<BaseSequencer['sort']>[0]) {
    const isLate = ({ moduleId }: (typeof files)[number]) => Number(moduleId.includes('ilp-plugin'))
    return files.sort((a, b) => isLate(a) - isLate(b))
  }
}

const browserReporter: Reporter = {
  onTestRunEnd(modules) {
    if (noChromium && modules.some(({ moduleId }) => /watch\.test\.ts$/.test(moduleId)))
      console.log(`Tests of the ledger viewer were skipped: ${noChromium}\n`)
  }
}

export default defineConfig(({ mode }) => ({
  test: {
    globalSetup: 'test/support/bundles.ts',
    reporters: ['default', browserReporter],
    // So generous that no test fails for the speed of a machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 110_000 } },
    ...(process.env.RIPPLED_URL
      ? { include: real, fileParallelism: false, sequence: { sequencer: ScriptsFirst } }
      : {
          include: ['test/**/*.test.ts'],
          exclude: mode === 'soak' ? [] : ['test/soak.test.ts'],
          sequence: { sequencer: LongestFirst },
          // Most tests wait for processes and ledgers most of the time.
          maxWorkers: Math.min(Math.round(2.5 * availableParallelism()), 24),
          // They share nothing but what they import, which need not be loaded anew for each file.
          isolate: false
        })
  }
}))
