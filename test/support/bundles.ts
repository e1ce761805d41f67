import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The variable with the folder of a test run's bundles, for its workers. */
const folderVariable = 'TEST_BUNDLES'

/**
 * Builds one file from a script and all that it imports, once in a test run. A process starts from it in a fifth of
 * the time that tsx takes to translate the sources. It finds what lies beside the sources in the folder that the
 * variable PROJECT_COPY names.
 *
 * @param sources - returns the folder with the sources, if the file has to be built
 * @param script - path in it
 * @param changes - all in which this copy of the project differs from others
 * @returns the file
 */
export async function buildBundle(sources: () => string, script: string, changes: string[]): Promise<string> {
  const key = createHash('sha256').update(JSON.stringify([script, ...changes]))
  process.env[folderVariable] ??= mkdtempSync(join(tmpdir(), 'streaming-payments-bundles-'))
  const file = join(process.env[folderVariable], `${key.digest('hex')}.mjs`)
  if (existsSync(file)) return file
  const project = sources()
  const unfinished = `${file}.${randomUUID()}`
  await build({
    entryPoints: [join(project, script)],
    outfile: unfinished,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
    tsconfigRaw: {},
    // Node.js does not warn of what packages use that is deprecated, and cannot know them in a bundle.
    banner: {
      js: `import { createRequire as requireFor } from 'node:module'
const require = requireFor(import.meta.url)
process.noDeprecation = true`
    },
    plugins: [sourcePlaces(project)]
  })
  await rename(unfinished, file)
  return file
}

/** Removes what `buildBundle` has built. */
export async function removeBundles(): Promise<void> {
  const folder = process.env[folderVariable]
  if (folder) await rm(folder, { recursive: true, force: true })
}

/** Makes `import.meta.url` the place of a source in the copy that runs, of a linked package's as well. */
function sourcePlaces(project: string): Plugin {
  return {
    name: 'source places',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8')
        const folder = path.startsWith(join(project, sep)) ? project : root
        const place = JSON.stringify(relative(folder, path).split(sep).join('/'))
        const contents = text.replaceAll(
          'import.meta.url',
          `new URL(${place}, process.env.PROJECT_COPY).href`
        )
        return { contents, loader: 'ts' }
      })
    }
  }
}
