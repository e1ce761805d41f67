import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { everyInterval } from '../src/client/every-interval.ts'

// A clock that advances only when something takes time, and a process with one timer.
let now = 0
let timer = { callback: () => {}, due: Number.POSITIVE_INFINITY }

beforeEach(() => {
  now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  // As Node.js has it: from 1 ms on, and never early.
  vi.stubGlobal('setTimeout', (callback: () => void, ms: number) => {
    timer = { callback, due: now + Math.max(1, ms) }
  })
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

/** Runs the timer up to a time, each time so late. */
function runUntil(endMs: number, lateMs: number): void {
  while (timer.due < endMs) {
    now = Math.max(now, timer.due) + lateMs
    timer.callback()
  }
}

test.each([1, 10, 1_000])('payments every %d ms are on time with a late timer and slow work', intervalMs => {
  const slowMs = Math.min(5, intervalMs / 4)
  const times: number[] = []
  everyInterval(() => {
    times.push(now)
    now += slowMs
  }, intervalMs)
  runUntil(200 * intervalMs, slowMs)
  expect(times.length).toBeGreaterThan(195)
  for (const [i, time] of times.entries()) {
    expect(time - (i + 1) * intervalMs).toBeGreaterThan(-1)
    expect(time - (i + 1) * intervalMs).toBeLessThanOrEqual(1 + 2 * slowMs)
  }
})

test.each([1, 10, 1_000])('payments every %d ms make up for at most three after a standstill', intervalMs => {
  const times: number[] = []
  everyInterval(() => times.push(now), intervalMs)
  runUntil(20 * intervalMs, 0)
  now = 120 * intervalMs
  timer.callback()
  const atOnce = times.filter(time => time === now).length
  expect(atOnce).toBeGreaterThan(0)
  expect(atOnce).toBeLessThanOrEqual(4)
})
