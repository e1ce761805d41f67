import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  copyProject,
  examplePlugins,
  freePort,
  type ProjectCopy,
  root,
  type Script,
  withTsx
} from './support/scripts.ts'
import { RawClient } from './xrpl-sandbox/client.ts'

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'src/ilp-plugin-xrp-escrow/README.md',
  'src/xrpl-sandbox/README.md',
  'test/bench/README.md'
]
const readme = read('README.md')
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

/** The fenced blocks of a kind that follow a marking comment, with what the comment says. */
function blocks(mark: string): { of: string; text: string }[] {
  const shape = new RegExp(`<!-- ${mark}: (.+?) -->\n\`\`\`\\w+\n([\\s\\S]*?)\`\`\``, 'g')
  return [...readme.matchAll(shape)].map(([, of = '', text = '']) => ({ of, text }))
}

/** A line without what differs from run to run. */
function normalized(line: string): string {
  return line
    .replace(/[\w-]{43}/, '<32 bytes>')
    .replace(/[\w-]{8}\.\.\.$/, '<condition>')
    .replace(/(?<=\S) {2,}/g, ' ')
    .replace(/^[.A-Z]+$/, '<letters>')
    .replace(/(letter:?) [A-Z]\b/, '$1 <letter>')
    .replace(/: \d+ (fulfilled|in escrow|unknown).*/, ': <what became of them>')
    .replace(/localhost:\d+/g, 'localhost:<port>')
    .replace(/\d[\d.e-]*/g, '<number>')
    .replace(/(payment|letter)s?\b/g, '$1s')
}

describe('the way from the tutorial to the code', () => {
  const links = [...readme.matchAll(/\[((?:`[^`]+`|[^`\]])+)\]\((src\/[^)#]+)#L(\d+)-L(\d+)\)/g)]

  test.each(links.map(([, code = '', file = '', first, last]) => ({ code, file, first, last })))(
    'the README links to the right lines of $file, from $first to $last',
    ({ code, file, first, last }) => {
      const spans = [...code.matchAll(/`([^`]+)`/g)].map(([, span]) => span)
      const lines = read(file)
        .split('\n')
        .slice(Number(first) - 1, Number(last))
      expect([lines.at(0)?.trim(), lines.at(-1)?.trim()]).toEqual([spans.at(0), spans.at(-1)])
    }
  )

  test("the README links each of the text's snippets, and both escrow transactions, to the code", () => {
    expect(links).toHaveLength(8)
  })
})

test('the derivation in the README prints what stands below it', () => {
  const [, code = '', printed] =
    /```js\n([\s\S]*?)```\n\nIt prints\n\n```text\n([\s\S]*?)```/.exec(readme) ?? []
  expect(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' })).toBe(printed)
})

describe('the outputs in the README', () => {
  let project: ProjectCopy
  let env: Record<string, string>
  let ledgerPort: number
  const outputOf = (command: string) => blocks('output').find(({ of }) => of === command)?.text ?? ''

  beforeAll(async () => {
    project = await copyProject(examplePlugins)
    ledgerPort = await freePort()
    const port = await freePort()
    const shop = { PORT: String(port), SHOP_URL: `http://localhost:${port}/` }
    env = { ...shop, INTERVAL_MS: '500', LEDGER_PORT: String(ledgerPort) }
  })

  afterAll(async () => {
    await project.remove()
    const ledger = await RawClient.connect(`ws://localhost:${ledgerPort}`)
    await ledger.ask({ command: 'stop' })
    ledger.close()
  })

  /** Sees that each line of the README is printed, in its order: on a slow machine others come between them. */
  function expectPrinted(command: string, script: Script): void {
    const printed = script.output.trimEnd().split('\n').map(normalized)
    const shown = outputOf(command).trimEnd().split('\n').map(normalized)
    expect(shown.length).toBeGreaterThan(1)
    let next = 0
    for (const line of shown.filter(line => line !== '…')) {
      const at = printed.indexOf(line, next)
      expect(at, `"${line}" in what ${command} prints:\n${printed.join('\n')}`).toBeGreaterThanOrEqual(0)
      next = at + 1
    }
  }

  /** Runs what package.json has under a command of the README. */
  function runCommand(command: string, nodeOptions?: string[]): Script {
    const name = command.replace(/^npm (run )?/, '')
    const [, file = ''] = /^node --import tsx\/esm src\/(\S+)\.ts$/.exec(scripts[name] ?? '') ?? []
    return project.run(file, env, [], nodeOptions)
  }

  test('npm start prints what the README shows', async () => {
    const start = runCommand('npm start', withTsx)
    await start.waitForOutput(/#1 .* fulfilled/)
    expect(await start.interrupt()).toBe(0)
    expectPrinted('npm start', start)
  })

  test.each([
    ['npm run shop-from-before', 'npm run streaming-client1'],
    ['npm run streaming-shop', 'npm run streaming-client2']
  ])('%s and %s print what the README shows', async (shopCommand, clientCommand) => {
    const shop = runCommand(shopCommand)
    const client = runCommand(clientCommand)
    await client.waitForOutput(/Your letter: [A-Z]\n[\s\S]*Your letter: [A-Z]\n|^[.A-Z]*[A-Z][.A-Z]*[A-Z]/m)
    await shop.waitForOutput(/Payment complete/)
    expect(await client.interrupt()).toBe(0)
    expect(await shop.interrupt()).toBe(0)
    expectPrinted(shopCommand, shop)
    expectPrinted(clientCommand, client)
  })
})

describe.each(documents)('%s', file => {
  const text = read(file)

  test(`${file} names only existing commands`, () => {
    for (const [, name = ''] of text.matchAll(/npm run ([\w-]+)/g))
      expect(Object.keys(scripts)).toContain(name)
  })

  test(`${file} has no broken links`, () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    for (const link of links) {
      const [path = '', anchor] = link.split('#')
      if (/^https?:/.test(path)) expect(() => new URL(link)).not.toThrow()
      else if (path) expect(existsSync(join(root, file, '..', path)), link).toBe(true)
      if (anchor && !path) expect(headings(text)).toContain(anchor)
    }
  })
})

/** The anchors of a document's headings, as GitHub makes them. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-')
  )
}

test('README lists every environment variable that the scripts read', () => {
  const sources = ['streaming-shop', 'shop-from-before', 'streaming-client1', 'streaming-client2'].map(name =>
    read(`src/${name}.ts`)
  )
  const used = new Set(
    sources.flatMap(source => [...source.matchAll(/process\.env\.(\w+)/g)].map(([, name]) => name))
  )
  for (const name of used) expect(readme).toContain(`| \`${name}\` |`)
})
