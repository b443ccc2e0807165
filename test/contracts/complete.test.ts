/**
 * What is promised is tried: every invariant I1 to I24 and every attack P1 to P31 has a test that carries its number, or
 * stands in contracts/README.md with the reason why it cannot arise; every function of every contract has a branching
 * tree, whose every leaf names tests that exist; every defence of the list of mutants was switched off, and noticed.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MUTANTS } from '../../scripts/contracts-mutants-list.ts'
import { mutate, readTable } from '../../scripts/contracts-mutants.ts'
import { channelsAbi, hostsAbi, tasksAbi } from '../../src/chain/abi.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** The tests of forge, by the names of their functions. */
const functions = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.t.sol'))
  .flatMap((file) => [...read(`test/contracts/${file}`).matchAll(/function ((?:test|testFuzz|invariant)_\w+)/g)])
  .map(([, name = '']) => name)

/** And those of node:test that carry a number, by their titles. */
const titles = ['test/chain', 'test/contracts', 'test/role', 'test/crash', 'test/store']
  .flatMap((folder) => readdirSync(join(ROOT, folder)).map((file) => `${folder}/${file}`))
  .filter((file) => file.endsWith('.test.ts'))
  .flatMap((file) => [...read(file).matchAll(/test\(\s*[`'"](.*)[`'"]/g)])
  .map(([, title = '']) => title)

function numbered(letter: string, number: number): string[] {
  const pattern = new RegExp(`(^|[ _(])${letter}${number}([ _,:)]|$)`)
  return [...functions, ...titles].filter((name) => pattern.test(name))
}

test('every invariant I1 to I24 has a test with its number', () => {
  const missing = range(24).filter((number) => numbered('I', number).length === 0)
  assert.deepEqual(missing, [])
})

test('every attack P1 to P31 has a test with its number, or a sentence why it cannot arise', () => {
  const absent = /Attacks that cannot arise here[^]*?\n\n/.exec(`${read('contracts/README.md')}\n\n`)?.[0] ?? ''
  const missing = range(31).filter(
    (number) => numbered('P', number).length === 0 && !new RegExp(`\\bP${number}\\b`).test(absent),
  )
  assert.deepEqual(missing, [])
})

const CONTRACTS = [
  { name: 'Tasks', abi: tasksAbi },
  { name: 'Hosts', abi: hostsAbi },
  { name: 'Channels', abi: channelsAbi },
] as const

for (const { name, abi } of CONTRACTS) {
  const lines = read(`test/contracts/${name}.tree`).trimEnd().split('\n')
  const depths = lines.map((line) => Math.ceil((/^[│├└─ ]*/.exec(line)?.[0].length ?? 0) / 4))

  test(`${name}.tree has a root for every function of the contract, and for no other`, () => {
    const roots = lines
      .filter((line, i) => depths[i] === 0 && !line.startsWith('('))
      .flatMap((line) => line.split(', '))
    const wanted = abi.flatMap((item) =>
      item.type === 'function' ? [item.name] : item.type === 'constructor' ? ['constructor'] : [],
    )
    assert.deepEqual(
      roots.filter((root) => root !== 'constructor').sort(),
      wanted.filter((w) => w !== 'constructor').sort(),
    )
  })

  test(`${name}.tree: every leaf names tests that exist`, () => {
    for (const [i, line] of lines.entries()) {
      if (depths[i] === 0 || (depths[i + 1] ?? 0) > (depths[i] ?? 0)) continue
      const named = /\[(.+)\]$/.exec(line)?.[1]?.split(', ') ?? []
      assert.ok(named.length > 0, `no test: ${line}`)
      for (const one of named) assert.ok(functions.includes(one), `there is no ${one}: ${line}`)
    }
  })

  test(`every test of ${name}.t.sol stands in its tree`, () => {
    const own = [...read(`test/contracts/${name}.t.sol`).matchAll(/function (test(?:Fuzz)?_\w+)/g)]
    const tree = lines.join('\n')
    const loose = own.map(([, one = '']) => one).filter((one) => !tree.includes(one))
    assert.deepEqual(loose, [])
  })
}

test('every mutant is aimed at a line that stands once, and no two have one name', () => {
  for (const mutant of MUTANTS) mutate(read(`contracts/${mutant.file}.sol`), mutant)
  assert.equal(new Set(MUTANTS.map(({ file, name }) => `${file} | ${name}`)).size, MUTANTS.length)
})

test('contracts/MUTANTS.md says of every mutant which test noticed it', () => {
  const table = readTable()
  const unnoticed = MUTANTS.filter(({ file, name }) => !functions.includes(table.get(`${file} | ${name}`) ?? ''))
  assert.deepEqual(
    unnoticed.map(({ name }) => name),
    [],
  )
})

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}
