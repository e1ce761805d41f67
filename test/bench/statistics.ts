/** The value that a share of all values does not exceed: 0.5 for the median. */
export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

export function median(values: number[]): number {
  return quantile(values, 0.5)
}

export function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** How much y grows with x, by least squares. */
export function slope(points: { x: number; y: number }[]): number {
  const x0 = mean(points.map(({ x }) => x))
  const y0 = mean(points.map(({ y }) => y))
  const covariance = mean(points.map(({ x, y }) => (x - x0) * (y - y0)))
  return covariance / mean(points.map(({ x }) => (x - x0) ** 2))
}
