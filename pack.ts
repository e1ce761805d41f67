// npm run pack: packs the workspace packages, each as a tarball in dist/ or in the folder that is given. They are
// TypeScript where they are worked on, and JavaScript with declarations where they are installed.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'

const root = dirname(fileURLToPath(import.meta.url))

/**
 * Bundles a package as ES modules and as CommonJS; its dependencies stay packages.
 *
 * @param command - the file that is its command, if it has one
 */
async function bundle(index: string, command: string | undefined, hasDefault: boolean, dist: string) {
  const common: BuildOptions = { bundle: true, packages: 'external', platform: 'node', target: 'node20' }
  await build({
    ...common,
    entryPoints: command ? [index, command] : [index],
    format: 'esm',
    splitting: true, // what is imported late is loaded late
    outdir: dist
  })
  await build({
    ...common,
    entryPoints: [index],
    format: 'cjs',
    outfile: join(dist, 'index.cjs'),
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href" },
    // `require` gives the default export, as it did of the plugin of 2017, with all exports beside it.
    footer: hasDefault ? { js: 'module.exports = Object.assign(module.exports.default, module.exports)' } : {}
  })
}

/** Emits the declarations of the packages in these folders below another folder. */
function emitDeclarations(sources: string[], outDir: string) {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
  const output = '--declaration --emitDeclarationOnly --skipLibCheck --rootDir .'
  const language =
    '--target es2023 --lib es2023 --module nodenext --types node --strict --noUncheckedIndexedAccess --allowImportingTsExtensions'
  const options = [...`--ignoreConfig ${output} ${language}`.split(' '), '--outDir', outDir]
  const files = sources.map(source => join(source, 'index.ts'))
  execFileSync(process.execPath, [tsc, ...options, ...files], { cwd: root, stdio: 'inherit' })
}

const localImport = /(['"])(\.{1,2}\/[^'"]+)\.ts\1/g

/** Copies a declaration file and those that it imports, each once for ES modules and once for CommonJS. */
function copyDeclarations(file: string, from: string, to: string) {
  const copy = join(to, file)
  if (existsSync(copy)) return
  const text = readFileSync(join(from, file), 'utf8')
  mkdirSync(dirname(copy), { recursive: true })
  writeFileSync(copy, text.replaceAll(localImport, '$1$2.js$1'))
  writeFileSync(copy.replace(/\.ts$/, '.cts'), text.replaceAll(localImport, '$1$2.cjs$1'))
  for (const [, , path] of text.matchAll(localImport)) {
    copyDeclarations(join(dirname(file), `${path}.d.ts`), from, to)
  }
}

/** The names of the types, classes included, that a declaration file exports; its named exports are all such. */
function typeNames(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  const find = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, found = '']) => found)
  const others = find(/^export (?:type )?\* from '(.+)\.js'/gm)
  return [
    ...find(/^export (?:declare )?(?:class|interface|type) (\w+)/gm),
    ...find(/^export (?:type )?\{(.+?)\}/gms)
      .flatMap(list => list.split(','))
      .map(name => name.trim().replace(/.* as /, ''))
      .filter(name => name !== 'default'),
    ...others.flatMap(path => typeNames(join(dirname(file), `${path}.d.ts`)))
  ]
}

/** Declares what `require` gives of a package with a default export: that, with all exports beside it. */
function declareRequired(dist: string) {
  const [index, all] = [join(dist, 'index.d.cts'), join(dist, 'exports.d.cts')]
  cpSync(index, all)
  const types = typeNames(join(dist, 'index.d.ts')).map(name => `  type ${name} = all.${name}\n`)
  writeFileSync(
    index,
    `import * as all from './exports.cjs'
declare const required: typeof all.default & typeof all
type required = all.default
declare namespace required {
${types.join('')}}
export = required
`
  )
}

/**
 * Puts together what the tarball of a package holds.
 *
 * @param source - the package's folder, as package.json names it
 * @param declarations - the folder with its declarations
 * @returns the staging folder, named as the package
 */
async function stage(source: string, declarations: string, staging: string): Promise<string> {
  const at = (name: string) => join(root, source, name)
  const manifest = JSON.parse(readFileSync(at('package.json'), 'utf8'))
  const folder = join(staging, manifest.name)
  const dist = join(folder, 'dist')
  copyDeclarations('index.d.ts', declarations, dist)
  const hasDefault = / as default\b/.test(readFileSync(join(dist, 'index.d.ts'), 'utf8'))
  if (hasDefault) declareRequired(dist)
  const command = existsSync(at('main.ts')) ? at('main.ts') : undefined
  await bundle(at('index.ts'), command, hasDefault, dist)
  if (command) chmodSync(join(dist, 'main.js'), 0o755)
  // The page's files are read as they are.
  if (existsSync(at('watch'))) {
    for (const name of readdirSync(at('watch')).filter(name => /\.(html|css|js)$/.test(name)))
      cpSync(at(`watch/${name}`), join(dist, name))
  }
  cpSync(at('README.md'), join(folder, 'README.md'))
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  const packed = {
    ...manifest,
    main: './dist/index.cjs',
    types: './dist/index.d.cts',
    exports: {
      '.': {
        import: { types: './dist/index.d.ts', default: './dist/index.js' },
        require: { types: './dist/index.d.cts', default: './dist/index.cjs' }
      },
      './package.json': './package.json'
    },
    ...(command && { bin: { [manifest.name]: 'dist/main.js' } })
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(packed, null, 2)}\n`)
  return folder
}

const destination = resolve(process.argv[2] ?? join(root, 'dist'))
const staging = mkdtempSync(join(tmpdir(), 'pack-'))
try {
  const sources: string[] = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).workspaces
  const declarations = join(staging, 'declarations')
  emitDeclarations(sources, declarations)
  const folders = await Promise.all(sources.map(source => stage(source, join(declarations, source), staging)))
  mkdirSync(destination, { recursive: true })
  const options = ['--pack-destination', destination, '--loglevel', 'error']
  execFileSync('npm', ['pack', ...folders, ...options], { stdio: 'inherit' })
} finally {
  rmSync(staging, { recursive: true, force: true })
}
