/** scripts/meca: the right program on the right Node, from anywhere, through any link, with the program's exit code. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Checkout, Running } from './checkout.ts'

const MAIN = `process.stdout.write(JSON.stringify({ args: process.argv.slice(2), major: parseInt(process.versions.node) }))
process.exitCode = 5
`
const PATH = '/usr/bin:/bin'

const whole = new Checkout({ packages: true })
const bare = new Checkout({ packages: false })
after(() => [whole, bare].forEach((checkout) => checkout.remove()))
whole.write('src/main.ts', MAIN)
bare.write('src/main.ts', MAIN)

async function launch(program: string, cwd: string, path = PATH) {
  const { code, stdout, stderr } = await new Running(program, ['two words', '--x='], cwd, { PATH: path }).ended
  return { code, stderr, said: stdout === '' ? undefined : (JSON.parse(stdout) as { args: string[]; major: number }) }
}

test('arguments go in and the exit code comes out', async () => {
  const { code, said } = await launch(join(whole.folder, 'scripts', 'meca'), whole.folder)
  assert.equal(code, 5)
  assert.deepEqual(said?.args, ['two words', '--x='])
  assert.ok(said.major >= 24)
})

test('a chain of relative and absolute links leads back to the checkout', async () => {
  mkdirSync(join(whole.folder, 'bin'))
  symlinkSync('../scripts/meca', join(whole.folder, 'bin', 'relative'))
  symlinkSync(join(whole.folder, 'bin', 'relative'), join(whole.folder, 'absolute'))
  assert.equal((await launch(join(whole.folder, 'absolute'), tmpdir())).code, 5)
  assert.equal((await launch('./relative', join(whole.folder, 'bin'))).code, 5)
})

test('found by PATH', async () => {
  mkdirSync(join(whole.folder, 'path'))
  symlinkSync('../scripts/meca', join(whole.folder, 'path', 'meca'))
  assert.equal((await launch('meca', tmpdir(), `${join(whole.folder, 'path')}:${PATH}`)).code, 5)
})

test('without a Node that fits it says which one is needed and how to get it', async () => {
  const old = bare.write('old/node', '#!/bin/sh\necho v20.1.0\n')
  chmodSync(old, 0o755)
  for (const [path, found] of [
    [`${join(bare.folder, 'old')}:${PATH}`, `found ${old} v20.1.0`],
    [join(bare.folder, 'nothing'), 'found none'],
  ] as const) {
    const script = join(bare.folder, 'scripts', 'meca')
    const { code, stdout, stderr } = await new Running('/bin/sh', [script], tmpdir(), { PATH: path }).ended
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
    assert.ok(stderr.includes(`Node 24 or later is needed; ${found}`), stderr)
    assert.ok(stderr.includes(`What to do: cd ${bare.folder} && npm ci`), stderr)
  }
})
