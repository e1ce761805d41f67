import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { root } from './support/scripts.ts'

const read = (file: string) => readFileSync(join(root, file), 'utf8')
const files = listFiles('src').filter(file => /\.(ts|js)$/.test(file))
const imports = new Map(files.map(file => [file, importsOf(file)]))

/** The rooms of the house: which files are in each, and which other rooms these may know. */
const rooms: { name: string; files: RegExp; knows: string[] }[] = [
  { name: 'plugins.ts', files: /^plugins\.ts$/, knows: ['plugin', 'sandbox'] },
  {
    name: 'scripts',
    files: /^src\/(?!crypto\.ts)[^/]+$/,
    knows: ['plugins.ts', 'crypto', 'shop', 'client', 'terminal']
  },
  { name: 'crypto', files: /^src\/crypto\.ts$/, knows: [] },
  { name: 'shop', files: /^src\/shop\//, knows: ['crypto', 'terminal'] },
  { name: 'client', files: /^src\/client\//, knows: ['crypto', 'terminal'] },
  { name: 'terminal', files: /^src\/terminal\//, knows: [] },
  { name: 'plugin', files: /^src\/ilp-plugin-xrp-escrow\//, knows: [] },
  {
    name: 'sandbox',
    files: /^src\/xrpl-sandbox\/(?!api\/|ledger\/)/,
    knows: ['sandbox api', 'sandbox ledger']
  },
  { name: 'sandbox api', files: /^src\/xrpl-sandbox\/api\//, knows: ['sandbox ledger'] },
  { name: 'sandbox ledger', files: /^src\/xrpl-sandbox\/ledger\//, knows: [] }
]

/** Whose package.json names the packages that a file imports. */
const manifests = ['src/ilp-plugin-xrp-escrow', 'src/xrpl-sandbox', '.']

function listFiles(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile())
    .map(({ parentPath, name }) => relative(root, join(parentPath, name)).replaceAll('\\', '/'))
}

function importsOf(file: string): string[] {
  const statement = /^import\s+'([^']+)'|^(?:import|export)\b[^'"]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm
  return [...read(file).matchAll(statement)].map(([, alone, from, loaded]) => alone ?? from ?? loaded ?? '')
}

function roomOf(file: string) {
  const room = rooms.find(({ files }) => files.test(file))
  if (!room) throw new Error(`${file} is in no room`)
  return room
}

/** The files of the project that a file imports. */
const neighbours = (file: string) =>
  (imports.get(file) ?? []).filter(from => from.startsWith('.')).map(from => join(dirname(file), from))

test('source files import only from rooms that their own may know, and no file imports a script', () => {
  const strays = files.flatMap(file => {
    const { name, knows } = roomOf(file)
    const allowed = name === 'scripts' ? knows : [name, ...knows]
    return neighbours(file)
      .filter(neighbour => !allowed.includes(roomOf(neighbour).name))
      .map(neighbour => `${file} imports ${neighbour}`)
  })
  expect(strays).toEqual([])
})

test('source files import only packages that their package.json names', () => {
  const strays = files.flatMap(file => {
    const manifest = manifests.find(folder => folder === '.' || file.startsWith(folder))
    const { dependencies } = JSON.parse(read(`${manifest}/package.json`))
    const named = dependencies
    return (imports.get(file) ?? [])
      .filter(from => !from.startsWith('.') && !isBuiltin(from))
      .filter(from => !named[/^(@[^/]+\/)?[^/]+/.exec(from)?.[0] ?? ''])
      .map(from => `${file} imports ${from}`)
  })
  expect(strays).toEqual([])
})

test('source files have no circular imports', () => {
  const reachable = (from: string, seen = new Set<string>()): Set<string> => {
    for (const next of neighbours(from)) if (!seen.has(next)) reachable(next, seen.add(next))
    return seen
  }
  expect(files.filter(file => reachable(file).has(file))).toEqual([])
})

test('CONTRIBUTING lists every room and script, and nothing that does not exist', () => {
  const [, plan = ''] = /## Project layout\n\n```text\n([\s\S]*?)```/.exec(read('CONTRIBUTING.md')) ?? []
  const named: string[] = []
  let folders: string[] = []
  for (const line of plan.split('\n').filter(Boolean)) {
    const [, indent = '', names = ''] = /^( *)(\S+(?:, \S+)*)/.exec(line) ?? []
    folders = folders.slice(0, indent.length / 2)
    named.push(...names.split(', ').map(name => join(...folders, name)))
    folders.push(names)
  }
  const there = new Set(
    [...files, ...listFiles('test'), 'plugins.example.ts', 'pack.ts', 'docs/terminals.svg'].flatMap(file => [
      file,
      ...file.split('/').map((_, depth, parts) => `${parts.slice(0, depth).join('/')}/`)
    ])
  )
  for (const name of named) expect(there, name).toContain(name)
  const rooms = [...there].filter(name => /^src\/([^/]+\/)+$|^src\/[^/]+\.ts$/.test(name))
  for (const room of rooms) expect(named, room).toContain(room)
})
