/**
 * Exports that nobody imports. ts-unused-exports finds them, but does not see `(await import('./x.ts')).name`, nor
 * `const { name } = await import('./x.ts')` of a `.ts` file, by which parts are loaded when they are wanted; those are
 * taken off its list here.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { analyzeTsConfig } from 'ts-unused-exports'

const LAZY = [
  /\(await import\('(?<path>\.[^']+)'\)\)\.(?<names>\w+)/g,
  /\{ (?<names>[\w, ]+) \} = await import\('(?<path>\.[^']+)'\)/g,
]

const root = process.cwd()
const { unusedExports } = analyzeTsConfig(join(root, 'tsconfig.json'), ['--allowUnusedTypes'])
const lazy = new Set(lazyNames(join(root, 'src')))

let count = 0
for (const [file, names] of Object.entries(unusedExports)) {
  for (const { exportName, location } of names) {
    if (lazy.has(`${file}:${exportName}`)) continue
    count++
    process.stdout.write(`${relative(root, file)}:${location.line} ${exportName} is exported, and nobody imports it\n`)
  }
}
process.exitCode = count > 0 ? 1 : 0

/** @param {string} folder */
function* lazyNames(folder) {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )) {
    const file = join(folder, name)
    const text = readFileSync(file, 'utf8')
    for (const { groups = {} } of LAZY.flatMap((form) => [...text.matchAll(form)])) {
      for (const name of (groups['names'] ?? '').split(', '))
        yield `${resolve(dirname(file), groups['path'] ?? '')}:${name}`
    }
  }
}
