import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { setInterval } from '../src/client/pace.ts'

// A clock that goes on only when something takes time, and a process with one timer.
let now = 0
let timer = { act: () => {}, due: Number.POSITIVE_INFINITY }

beforeEach(() => {
  now = 1_000
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  // As Node.js has it: from 1 ms on, and never early.
  vi.stubGlobal('setTimeout', (act: () => void, ms: number) => {
    timer = { act, due: now + Math.max(1, ms) }
  })
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

/** When something was done at an interval, on a machine that wakes so late and takes so long for the work. */
function timesIn(durationMs: number, intervalMs: number, { lateMs = 0, workMs = 0, standstill = [0, 0] }) {
  const start = now
  const times: number[] = []
  setInterval(() => {
    times.push(now - start)
    now += workMs
  }, intervalMs)
  while (timer.due < start + durationMs) {
    now = Math.max(now, timer.due) + lateMs
    const [at = 0, ms = 0] = standstill
    if (ms && now - start >= at && times.every(time => time < at)) now += ms
    timer.act()
  }
  return times.filter(time => time < durationMs)
}

describe('an interval', () => {
  test.each([
    { intervalMs: 1, late: { lateMs: 0.25, workMs: 0.5 } },
    { intervalMs: 10, late: { lateMs: 1, workMs: 3 } },
    { intervalMs: 1_000, late: { lateMs: 5, workMs: 2 } }
  ])('of $intervalMs ms keeps the pace, however late the timer and long the work', ({ intervalMs, late }) => {
    const count = 200
    const times = timesIn(count * intervalMs, intervalMs, late)
    expect(times.length).toBeGreaterThan(0.97 * count)
    for (const [at, time] of times.entries()) {
      const lateMs = time - (at + 1) * intervalMs
      expect(lateMs).toBeGreaterThan(-1)
      expect(lateMs).toBeLessThan(2 * (late.lateMs + late.workMs) + 1)
    }
  })

  test.each([1, 10, 1_000])('of %d ms makes up for next to nothing of a standstill', intervalMs => {
    const standstill = [20 * intervalMs, 100 * intervalMs]
    const times = timesIn(200 * intervalMs, intervalMs, { standstill })
    const atOnce = times.filter(time => time === 120 * intervalMs).length
    expect(atOnce).toBeLessThanOrEqual(1 + Math.min(3, 20 / intervalMs))
    expect(times.length).toBeGreaterThan(90)
    expect(times.length).toBeLessThanOrEqual(100 + atOnce)
  })

  test('of 1 s has at least about a second between two payments after a standstill', () => {
    const times = timesIn(60_000, 1_000, { lateMs: 3, standstill: [10_000, 7_500] })
    const gaps = times.slice(1).map((time, at) => time - (times[at] as number))
    expect(Math.min(...gaps)).toBeGreaterThan(970)
  })

  test('with more work than it has time for lets others have their turn', () => {
    const times = timesIn(1_000, 1, { workMs: 3 })
    // Each time the timer comes, it does a few at the most.
    expect(times.length).toBeGreaterThan(200)
    expect(times.length).toBeLessThanOrEqual(334)
  })
})
