// At most so much is made up for: after a standstill, one payment a second must not become a burst.
const maxLateMs = 20
const maxLateIntervals = 3

/**
 * Calls back at an interval, as `setInterval` does, but keeps the pace: that of Node.js starts each interval after the
 * callback has run, so every payment would come a little late, and short intervals would make far fewer payments.
 */
export function everyInterval(callback: () => void, intervalMs: number): void {
  const maxLate = Math.min(maxLateMs, maxLateIntervals * intervalMs)
  let due = performance.now() + intervalMs
  const onTimer = () => {
    const now = performance.now()
    due = Math.max(due, now - maxLate)
    // Timers count whole milliseconds: less than one too early is on time.
    for (; due < now + 1; due += intervalMs) callback()
    setTimeout(onTimer, due - now)
  }
  setTimeout(onTimer, intervalMs)
}
