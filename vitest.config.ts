import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most tests wait for processes and ledgers most of the time.
    maxWorkers: 6,
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
