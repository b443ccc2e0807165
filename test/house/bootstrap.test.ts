/**
 * The set-up on a machine that lacks things: an empty PATH, no engine, packages that do not match, a registry that
 * stumbles. What needs root and a network (apt, a real engine from nothing) is run by `.ci/run` on a clean machine.
 */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Checkout, ROOT } from './checkout.ts'

const PASSING = `import { test } from 'node:test'\ntest('fine', () => {})\n`
const SKIPPED = `import { test } from 'node:test'\ntest('boxed', { skip: 'no Docker daemon answers' }, () => {})\n`
const FAILING = `import { test } from 'node:test'\ntest('broken', () => { throw new Error('as it must') })\n`
const UNLOADABLE = `throw new Error('not even loaded')\n`
const SLOW = `import { spawn } from 'node:child_process'
import { test } from 'node:test'
const chain = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)'])
console.log('pids ' + process.pid + ' ' + chain.pid + '.')
test('slow', async () => { await new Promise((r) => setTimeout(r, 60_000)) })\n`

/** Ended is what no longer runs; nobody may have collected it yet. Without that the test's own deadline strikes. */
async function gone(pid: string): Promise<void> {
  const status = `/proc/${pid}/status`
  while (existsSync(status) && !/^State:\s+Z/m.test(readFileSync(status, 'utf8'))) await sleep(50)
}

describe('with its packages at hand', () => {
  const checkout = new Checkout({ packages: true })
  after(() => checkout.remove())
  checkout.write('test/a/passing.test.ts', PASSING)
  checkout.write('test/a/skipped.test.ts', SKIPPED)
  checkout.write('test/b/failing.test.ts', FAILING)
  checkout.write('test/b/unloadable.test.ts', UNLOADABLE)
  checkout.write('test/c/slow.test.ts', SLOW)

  test('an unknown command is told its usage on stderr', async () => {
    const { code, stdout, stderr } = await checkout.bootstrap(['dance']).ended
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.match(stderr, /usage: .*start.*test/)
  })

  test('an unknown option of start is told before anything is set up; --help is a result', async () => {
    const wrong = await checkout.bootstrap(['start', '--bogus']).ended
    assert.equal(wrong.code, 2)
    assert.equal(wrong.stdout, '')
    assert.match(wrong.stderr, /^start takes no --bogus\nusage: /)
    for (const args of [['start', '--help'], ['--help']]) {
      const { code, stdout, stderr } = await checkout.bootstrap(args).ended
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
      assert.match(stdout, /^usage: .*start[^]*--stay/)
    }
  })

  test('start without an engine ends with 7 and says what to do', async () => {
    const { code, stdout, stderr } = await checkout.bootstrap(['start', '--no-install']).ended
    assert.equal(code, 7)
    assert.equal(stdout, '')
    assert.match(stderr, /Nothing answers at DOCKER_HOST=unix:\/\/\/nowhere\/docker\.sock \(ENOENT\)/)
    assert.match(stderr, /What to do: Start that engine, or unset DOCKER_HOST/)
  })

  test('test without an engine goes on, and names and counts what it skips', async () => {
    const { code, stdout, stderr } = await checkout.bootstrap(['test', 'test/a']).ended
    assert.equal(code, 0, stderr)
    assert.match(stderr, /Going on without/)
    assert.match(stdout, /1 skipped: no Docker daemon answers\n {2}boxed\n/)
    assert.match(stdout, /^1 passed, 0 failed, 1 skipped$/m)
  })

  test('--require turns a skip into a failure', async () => {
    const { code, stdout } = await checkout.bootstrap(['test', '--require', 'docker,kubo', 'test/a']).ended
    assert.equal(code, 1)
    assert.match(stdout, /FAILED boxed: skipped \(no Docker daemon answers\), but required/)
    assert.match(stdout, /^1 passed, 1 failed, 0 skipped$/m)
  })

  test('failures and files that cannot be loaded are shown with their reason', async () => {
    const { code, stdout } = await checkout.bootstrap(['test', 'test/b']).ended
    assert.equal(code, 1)
    assert.match(stdout, /FAILED broken\n {2}at test\/b\/failing\.test\.ts:2\n {2}Error: as it must/)
    assert.match(stdout, /Error: not even loaded/)
    assert.match(stdout, /^0 passed, 2 failed, 0 skipped$/m)
  })

  test('a path that names no test is wrong use', async () => {
    assert.equal((await checkout.bootstrap(['test', 'test/nothing']).ended).code, 2)
  })

  test('--json prints every step as one JSON line on stderr', async () => {
    const { stderr } = await checkout.bootstrap(['test', '--json', '--no-install', 'passing']).ended
    const lines = stderr.trimEnd().split('\n')
    const steps = lines.map((line) => JSON.parse(line) as { step?: string; status?: string; ms?: number })
    assert.deepEqual([steps[0]?.step, steps[0]?.status], ['packages', 'skipped'])
    assert.equal(typeof steps[0]?.ms, 'number')
  })

  test('a signal for the set-up alone ends the tests and what they started', { timeout: 30_000 }, async () => {
    const running = checkout.bootstrap(['test', 'test/c'])
    await running.says('.')
    running.kill('SIGTERM')
    const { code, stdout } = await running.ended
    assert.equal(code, 143)
    const [, test, chain] = /pids (\d+) (\d+)/.exec(stdout) ?? []
    assert.ok(test !== undefined && chain !== undefined, stdout)
    await Promise.all([gone(test), gone(chain)])
  })
})

const OUTER_NODE = 'outer-node'
/** The Node that npm says it runs on: the given program, or this one. */
function nodeBeside(checkout: Checkout, program: string | undefined): string {
  if (program === undefined) return process.execPath
  const path = join(checkout.folder, OUTER_NODE)
  chmodSync(path, 0o755)
  return path
}

describe('with packages that do not match the lock file', () => {
  const stumbling = (failures: number): string =>
    `import fs from 'node:fs'
const n = fs.existsSync('tries') ? +fs.readFileSync('tries', 'utf8') : 0
fs.writeFileSync('tries', String(n + 1))
if (n < ${failures}) { console.error('registry stumbled'); process.exit(1) }`

  async function checkWith(failures: number, args: readonly string[] = [], files: Record<string, string> = {}) {
    const checkout = new Checkout({ packages: false })
    mkdirSync(join(checkout.folder, 'node_modules'))
    for (const [path, text] of Object.entries(files)) checkout.write(path, text)
    const npm = checkout.write('npm.js', stumbling(failures))
    const env = { npm_execpath: npm, npm_node_execpath: nodeBeside(checkout, files[OUTER_NODE]) }
    const { code, stderr } = await checkout.bootstrap(['test', 'nothing', ...args], env).ended
    const tries = join(checkout.folder, 'tries')
    const result = {
      code,
      stderr,
      tries: existsSync(tries) ? Number(readFileSync(tries, 'utf8')) : 0,
      marked: existsSync(join(checkout.folder, 'node_modules', '.meca-lock')),
      byOuter: existsSync(join(checkout.folder, 'outer')),
    }
    checkout.remove()
    return result
  }

  test('--no-install installs nothing and says so', async () => {
    const { code, stderr, tries } = await checkWith(0, ['--no-install'])
    assert.equal(code, 2)
    assert.equal(tries, 0)
    assert.match(stderr, /node_modules does not match package-lock\.json.*\n.*What to do: .*npm ci/s)
  })

  test('what `npm ci` installed by hand from this lock file is taken as it is; from another it is not', async () => {
    const own = readFileSync(join(ROOT, 'package-lock.json'), 'utf8')
    for (const [written, tries] of [
      [own, 0],
      [own.replace('"integrity": "sha512-', '"integrity": "sha512-x'), 1],
      ['{', 1],
    ] as const) {
      const made = await checkWith(0, [], { 'node_modules/.package-lock.json': written })
      assert.deepEqual([made.tries, made.marked], [tries, true])
    }
  })

  test('packages are replaced by the Node that started npm, not by one that may lie among them', async () => {
    const outer = `#!/bin/sh\n: > outer\nexec ${process.execPath} "$@"\n`
    const { tries, byOuter } = await checkWith(0, [], { [OUTER_NODE]: outer })
    assert.deepEqual({ tries, byOuter }, { tries: 1, byOuter: true })
  })

  test('a registry that stumbles once is asked again', async () => {
    const { tries, marked, stderr } = await checkWith(1)
    assert.equal(tries, 2)
    assert.ok(marked)
    assert.match(stderr, /tried once more; it said:\nregistry stumbled/)
  })

  test('twice is an error with what npm said, and nothing is marked as installed', async () => {
    const { code, tries, marked, stderr } = await checkWith(2)
    assert.deepEqual({ code, tries, marked }, { code: 2, tries: 2, marked: false })
    assert.match(stderr, /npm ci ended with 1 twice; .*registry stumbled/s)
  })
})
