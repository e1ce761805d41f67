/** A column of a table: where its values are in a row, and what they should be. */
export interface Column {
  key: string
  head: string
  /** after the decimal point; 0 unless set */
  digits?: number
  atLeast?: number
  atMost?: number
  /** its values say which row it is */
  names?: boolean
}

export type Row = Record<string, string | number | undefined>

export interface Table {
  name: string
  columns: Column[]
  rows: Row[]
}

/** What one item of the benchmark has to say. */
export interface Section {
  title: string
  tables: Table[]
  /** what has to be known to read the figures */
  notes: string[]
}

/** What an earlier run had to say about the same: each row gets its figures under other keys, each column a neighbour. */
export function compare(section: Section, earlier: Section): Section {
  const tables = section.tables.map((table, number) => {
    const before = earlier.tables[number]
    if (!before) return table
    const naming = table.columns.filter(({ names }) => names)
    const isSame = (row: Row, at: number) => (other: Row, otherAt: number) =>
      naming.length ? naming.every(({ key }) => row[key] === other[key]) : at === otherAt
    return {
      ...table,
      columns: table.columns.flatMap(({ names, ...column }) => {
        const isFigure = !names && table.rows.some(row => typeof row[column.key] === 'number')
        const { key, digits } = column
        return isFigure ? [column, { key: `${key} before`, head: 'before', digits }] : [column]
      }),
      rows: table.rows.map((row, at) => {
        const old = before.rows.find(isSame(row, at)) ?? {}
        return {
          ...row,
          ...Object.fromEntries(Object.entries(old).map(([key, value]) => [`${key} before`, value]))
        }
      })
    }
  })
  return { ...section, tables }
}

/** Whether a value is worse than its column's goal. */
export function isMissed({ atLeast, atMost, digits = 0 }: Column, value: Row[string]): boolean {
  if (typeof value !== 'number') return false
  // As it is printed, so that nobody sees a value equal to its goal and marked as a miss.
  const rounded = Number(value.toFixed(digits))
  return (atLeast !== undefined && rounded < atLeast) || (atMost !== undefined && rounded > atMost)
}

/** A section as text for a terminal. */
export function print({ title, tables, notes }: Section): string {
  const lines = [title, '='.repeat(title.length), '']
  for (const table of tables) lines.push(table.name, ...printTable(table).map(line => `  ${line}`), '')
  for (const note of notes) lines.push(...wrap(note, 100))
  return `${lines.join('\n').trimEnd()}\n`
}

function printTable({ columns, rows }: Table): string[] {
  const goals = columns.map(goalOf)
  const cells = [
    columns.map(({ head }) => head),
    ...(goals.some(goal => goal) ? [goals.map((goal, at) => goal || (at === 0 ? 'goal' : ''))] : []),
    ...rows.map(row => columns.map(column => cellOf(column, row[column.key])))
  ]
  const widths = columns.map((_, at) => Math.max(...cells.map(line => line[at]?.length ?? 0)))
  const isText = columns.map(({ key }) => rows.some(row => typeof row[key] === 'string'))
  return cells.map(line =>
    line
      .map((cell, at) => (isText[at] ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd()
  )
}

function goalOf({ atLeast, atMost }: Column): string {
  if (atLeast !== undefined) return `>= ${atLeast} `
  return atMost === undefined ? '' : `<= ${atMost} `
}

function cellOf(column: Column, value: Row[string]): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  const { atLeast, atMost, digits = 0 } = column
  const number = value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits
  })
  const hasGoal = atLeast !== undefined || atMost !== undefined
  return `${number}${isMissed(column, value) ? '*' : hasGoal ? ' ' : ''}`
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = '-'
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > width) {
      lines.push(line)
      line = ' '
    }
    line += ` ${word}`
  }
  return [...lines, line]
}
