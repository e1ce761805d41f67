/**
 * Has a handler run for at most so many events at a time; further ones wait for their turn, in their order.
 *
 * @param limit - at least 1
 */
export function atMost<Args extends unknown[]>(
  limit: number,
  handler: (...args: Args) => Promise<void>
): (...args: Args) => Promise<void> {
  let running = 0
  const waiting: (() => void)[] = []
  return async function (...args) {
    if (running < limit) running++
    else await new Promise<void>(resolve => waiting.push(resolve))
    try {
      await handler(...args)
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
