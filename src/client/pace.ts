// No more than this is made up for: after a standstill, one payment a second must not become a burst; and who has not
// the time for all that is due must not ask for it all the same.
const mostMadeUpMs = 20
const mostMadeUpTicks = 3

/**
 * Has something done at an interval, as Node.js's own `setInterval` does, but keeps the pace: that one begins each
 * interval anew when the work of the one before is done, so that every payment comes a little later than it should.
 */
export function setInterval(act: () => void, intervalMs: number): void {
  const madeUpMs = Math.min(mostMadeUpMs, mostMadeUpTicks * intervalMs)
  let due = performance.now() + intervalMs
  const onTime = () => {
    const now = performance.now()
    due = Math.max(due, now - madeUpMs)
    // Timers count whole milliseconds: one that is less than that early is on time.
    for (; due < now + 1; due += intervalMs) act()
    setTimeout(onTime, due - now)
  }
  setTimeout(onTime, intervalMs)
}
