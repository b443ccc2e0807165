/** The program itself, as a process: quick help, exit codes, pipes, and the real doors that need no chain. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts')

type Ended = { code: number | null; stdout: string; stderr: string }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'meca-main-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function meca(
  cwd: string,
  argv: string[],
  { env = {}, flags = [] as string[], readLines = Infinity } = {},
): Promise<Ended> {
  const clean = { PATH: process.env['PATH'], HOME: cwd, ...env }
  const child = spawn(process.execPath, [...flags, MAIN, ...argv], {
    cwd,
    env: clean,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended: Ended = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    ended.stdout += chunk.toString()
    if (ended.stdout.split('\n').length > readLines) child.stdout.destroy()
  })
  child.stderr.on('data', (chunk: Buffer) => (ended.stderr += chunk.toString()))
  return new Promise((resolve) => child.once('close', (code) => resolve({ ...ended, code })))
}

test('help loads the parser and nothing else, so that it answers at once', async (t) => {
  const folder = folderOf(t)
  const spy = join(folder, 'spy.mjs')
  writeFileSync(
    spy,
    `import { registerHooks } from 'node:module'
     registerHooks({ load(url, context, next) {
       const name = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)?.[1]
       if (name !== undefined) process.stderr.write(name + '\\n')
       return next(url, context)
     } })`,
  )
  const { code, stdout, stderr } = await meca(folder, ['--help'], { flags: ['--import', spy] })
  assert.equal(code, 0)
  assert.match(stdout, /^Examples:\n {2}meca devnet/)
  assert.deepEqual([...new Set(stderr.trim().split('\n'))], ['commander'])
})

test('wrong words exit with 2 and a suggestion', async (t) => {
  const { code, stdout, stderr } = await meca(folderOf(t), ['wallt', 'show'])
  assert.equal(code, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /unknown command 'wallt'\n {2}do: {2}Did you mean wallet\?/)
})

test('a wallet is made in its home folder, whose mode keeps others out; a second one is refused', async (t) => {
  const folder = folderOf(t)
  const home = join(folder, 'home')
  const env = { MECA_PASSWORD: 'not a flag' }
  const made = await meca(folder, ['wallet', 'create', '--home', home, '--json'], { env })
  assert.equal(made.code, 0, made.stderr)
  assert.match((JSON.parse(made.stdout) as { address: string }).address, /^0x[0-9a-f]{40}$/)
  assert.equal(statSync(home).mode & 0o777, 0o700)
  const again = await meca(folder, ['wallet', 'create', '--home', home, '--json'], { env })
  assert.equal(again.code, 2)
  assert.equal((JSON.parse(again.stdout) as { error: { code: string } }).error.code, 'bad_input')
  assert.doesNotMatch(again.stderr + again.stdout, /not a flag/)
})

test('a node without a market says what to set', async (t) => {
  const folder = folderOf(t)
  const env = { MECA_PASSWORD: 'not a flag', MECA_HOME: join(folder, 'home') }
  const before = await meca(folder, ['job', 'list'], { env })
  assert.equal(before.code, 3)
  assert.match(before.stderr, /do: {2}make one with meca wallet create --home /)
  assert.ok(!existsSync(env.MECA_HOME), 'a mistyped home is not made')
  await meca(folder, ['wallet', 'create'], { env })
  const after = await meca(folder, ['job', 'list'], { env })
  assert.equal(after.code, 2)
  assert.match(after.stderr, /chain\.deployment is not set[^]*do: {2}.*meca devnet/)
})

type Finding = { what: string; level: string; cure?: string }

test('the doctor examines a machine that has nothing, makes nothing, and names each cure', async (t) => {
  const folder = folderOf(t)
  const env = { MECA_HOME: join(folder, 'home'), DOCKER_HOST: 'unix:///nowhere/docker.sock' }
  const { code, stdout } = await meca(folder, ['doctor', '--json'], { env })
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] }
  assert.equal(ok, false)
  assert.equal(code, 2, 'the first error is the wallet')
  const errors = findings.filter(({ level }) => level === 'error')
  assert.deepEqual(
    errors.map(({ what }) => what),
    ['wallet', 'engine', 'market', 'chain'],
  )
  for (const { what, cure } of errors) assert.notEqual(cure, undefined, what)
  assert.ok(!existsSync(env.MECA_HOME))
})

test('without password and chain a wallet still says whose it is', async (t) => {
  const folder = folderOf(t)
  const home = ['--home', join(folder, 'home')]
  const made = await meca(folder, ['wallet', 'create', ...home, '-q'], { env: { MECA_PASSWORD: 'not a flag' } })
  const address = made.stdout.trim()
  const plain = await meca(folder, ['wallet', 'show', ...home])
  assert.equal(plain.code, 0, plain.stderr)
  assert.equal(plain.stdout, `${address}\nbalances unknown: chain.rpc and chain.deployment are not set\n`)
  const env = { MECA_CHAIN_RPC: 'http://127.0.0.1:1', MECA_CHAIN_DEPLOYMENT: join(folder, 'none.json') }
  const locked = await meca(folder, ['wallet', 'show', ...home, '--json'], { env })
  assert.equal(locked.code, 0, locked.stderr)
  const told = JSON.parse(locked.stdout) as { address: string; balances: null; why: string }
  assert.deepEqual({ ...told, why: '' }, { address, balances: null, why: '' })
  assert.match(told.why, /is locked/)
})

test('settings tell where they come from, and a reader that has seen enough is no failure', async (t) => {
  const folder = folderOf(t)
  const env = { MECA_CHAIN_RPC: 'http://user:key@127.0.0.1:1' }
  const one = await meca(folder, ['config', 'explain', 'chain.rpc', '--json'], { env })
  assert.deepEqual((JSON.parse(one.stdout) as { origin: string; value: string }[])[0]?.origin, 'MECA_CHAIN_RPC')
  assert.doesNotMatch(one.stdout, /user:key/)
  assert.match(one.stdout, /"http:\/\/\[hidden\]@127\.0\.0\.1:1"/)
  assert.equal((await meca(folder, ['config', 'explain'], { readLines: 1 })).code, 0)
  assert.equal((await meca(folder, ['config', 'explain', 'chain.rcp'])).code, 2)
})

test('a task to start from is a copy of a working one, and no folder is written over', async (t) => {
  const folder = folderOf(t)
  for (const template of ['node', 'python', 'shell', 'image']) {
    const { code, stdout } = await meca(folder, ['task', 'init', template, '--template', template, '--json'])
    assert.equal(code, 0)
    const { files } = JSON.parse(stdout) as { files: string[] }
    for (const file of [
      'Dockerfile',
      'config.json',
      'name.txt',
      'description.txt',
      'example_input.bin',
      'example_output.bin',
    ])
      assert.ok(files.includes(file), `${template}: ${file}`)
    assert.equal(readFileSync(join(folder, template, 'name.txt'), 'utf8'), `${template}\n`, 'named after its folder')
  }
  const again = await meca(folder, ['task', 'init', 'node'])
  assert.equal(again.code, 2)
  assert.match(again.stderr, /is not empty/)
})
