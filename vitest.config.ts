import { defineConfig } from 'vitest/config'
import { BaseSequencer } from 'vitest/node'

// What runs on a real server, at RIPPLED_URL: one file after the other, for there is one ledger for all of them.
const real = [
  'test/{any-plugin,clients,faults,lying-shops,pauses,shop-from-before,strangers,streaming-shop,thieves}.test.ts',
  'test/ilp-plugin-xrp-escrow/{interface,messages,pace,reconnect,submission,transfers}.test.ts'
]

// What takes longest, first, so that nobody waits for it alone at the end.
const longest =
  `clients pack lying-shops faults xrpl-sandbox/watch readme strangers reconnect servers-as-they-are
  streaming-shop bad-servers start honest-servers fuzz pauses shop-from-before test/soak`.split(/\s+/)

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

export default defineConfig({
  test: {
    globalSetup: 'test/support/setup.ts',
    // Processes and ledgers on a machine that others use too: once more is no disgrace there.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
    sequence: { sequencer: process.env.RIPPLED_URL ? ScriptsFirst : LongestFirst },
    ...(process.env.RIPPLED_URL
      ? { include: real, fileParallelism: false }
      : {
          include: ['test/**/*.test.ts'],
          // Most tests wait for processes and ledgers most of the time.
          maxWorkers: 10,
          // They share nothing but what they import, which need not be loaded anew for each file.
          isolate: false
        })
  }
})
