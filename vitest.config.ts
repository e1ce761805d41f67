import { defaultExclude, defineConfig } from 'vitest/config'

// What measures a pace wants the machine for itself.
const alone = ['test/ilp-plugin-xrp-escrow/pace.test.ts']

// What runs on a real server, at RIPPLED_URL, in this order: the plugin's tests put its clock ahead.
const real = [
  'test/{any-plugin,clients,credit,faults,lying-shops,shop-from-before,strangers,streaming-shop}.test.ts',
  'test/ilp-plugin-xrp-escrow/{interface,messages,reconnect,submission,transfers}.test.ts'
]

export default defineConfig(({ mode }) => ({
  test: {
    globalSetup: 'test/support/setup.ts',
    // Processes and ledgers on a machine that others use too: once more is no disgrace there.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: process.env.RIPPLED_URL
      ? real.map((include, groupOrder) => ({
          extends: true,
          mode,
          // One ledger for all.
          test: { name: `real ${groupOrder}`, include: [include], maxWorkers: 1, sequence: { groupOrder } }
        }))
      : [
          {
            extends: true,
            mode,
            test: {
              name: 'together',
              include: ['test/**/*.test.ts'],
              exclude: [...defaultExclude, ...alone],
              // Most tests wait for processes and ledgers most of the time.
              maxWorkers: 5,
              // They share nothing but what they import, which need not be loaded anew for each file.
              isolate: false,
              sequence: { groupOrder: 0 }
            }
          },
          {
            extends: true,
            mode,
            test: { name: 'alone', include: alone, fileParallelism: false, sequence: { groupOrder: 1 } }
          }
        ]
  }
}))
