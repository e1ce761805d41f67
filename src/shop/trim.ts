/** Removes the oldest entries of a collection until it is no larger than it may be. Returns their keys. */
export function trim(entries: Map<string, unknown> | Set<string>, max: number): string[] {
  const removed: string[] = []
  for (const oldest of entries.keys()) {
    if (entries.size <= max) break
    entries.delete(oldest)
    removed.push(oldest)
  }
  return removed
}
