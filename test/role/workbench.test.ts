/** The developer's bench over real folders and a real engine: what it says of what cannot be read, built or told apart. */
import assert from 'node:assert/strict'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { MecaError } from '../../src/core/errors.ts'
import { checkFolder, Workbench } from '../../src/role/workbench.ts'
import { benchEngine } from '../../src/wiring/developer-side.ts'
import { NEVER, TestEngine } from '../support/engine.ts'
import { dockerMissing } from '../support/images.ts'

const SHELL = resolve(import.meta.dirname, '../../examples/meca-shell')
const LIMITS = { startTimeoutMs: 30_000, maxSeconds: 30, outputBytes: 2 ** 20 }
const missing = await dockerMissing()
const noEngine = () => Promise.reject(new MecaError('engine_unavailable', 'There is no engine'))

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'meca-bench-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('a folder that this user may not read is wrong input, with its cure', async (t) => {
  const folder = folderOf(t)
  mkdirSync(join(folder, 'src'))
  chmodSync(folder, 0o755)
  chmodSync(join(folder, 'src'), 0)
  const isRoot = process.getuid?.() === 0
  // Nothing is closed to root, so for this moment we are nobody.
  if (isRoot) process.seteuid?.(65_534)
  try {
    await assert.rejects(checkFolder(folder, {}, noEngine, NEVER), {
      code: 'bad_input',
      message: /EACCES/,
      cure: /let this user read/,
    })
    await assert.rejects(checkFolder(join(folder, 'src', 'x'), {}, noEngine, NEVER), {
      code: 'bad_input',
      message: /EACCES/,
    })
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
})

test('what is no folder is told so; what may be an image too is told as both', async (t) => {
  const nowhere = { resolve: () => Promise.resolve(undefined) }
  const engine = () => Promise.resolve({ ...benchEngine(new TestEngine().engine), ...nowhere })
  const places: [string, RegExp][] = [
    [join(folderOf(t), 'none'), /no folder or file/],
    ['none:latest', /no folder, file or image/],
  ]
  for (const [place, message] of places)
    await assert.rejects(checkFolder(place, {}, engine, NEVER), { code: 'not_found', message })
})

describe('with an engine', { skip: missing }, () => {
  const stage = new TestEngine()
  test('a file that is no archive of an image is told to be none', async (t) => {
    const folder = folderOf(t)
    writeFileSync(join(folder, 'file'), 'words')
    const engine = () => Promise.resolve(benchEngine(stage.engine))
    await assert.rejects(checkFolder(join(folder, 'file'), {}, engine, NEVER), { code: 'invalid_task' })
  })

  const bench = new Workbench({ engine: benchEngine(stage.engine), limits: LIMITS, now: () => performance.now() })
  before(async () => void (await ensureBase(new Docker(), 'busybox', AbortSignal.timeout(60_000))))
  after(() => stage.end())

  test("two tests of one task at once do not take each other's name", async () => {
    const options = { buildArgs: { BASE: 'meca-base/busybox' } }
    const reports = await Promise.all(
      [1, 2].map(() => bench.test(SHELL, options, () => undefined, AbortSignal.timeout(60_000))),
    )
    assert.deepEqual(
      reports.map(({ ok }) => ok),
      [true, true],
    )
  })

  test('a base image that cannot be had names the ones that are made here', async (t) => {
    const folder = folderOf(t)
    cpSync(SHELL, folder, { recursive: true })
    // Nothing listens on that port, on a machine with a network and on one without.
    const options = { buildArgs: { BASE: '127.0.0.1:1/nobody/nothing' } }
    await assert.rejects(
      bench.test(folder, options, () => undefined, NEVER),
      { code: 'invalid_task', cure: /npm run bases.*--build-arg BASE=meca-base/ },
    )
  })

  test('a build that fails by itself keeps its own words', async (t) => {
    const folder = folderOf(t)
    cpSync(SHELL, folder, { recursive: true })
    writeFileSync(join(folder, 'Dockerfile'), 'FROM meca-base/busybox\nRUN false\n')
    await assert.rejects(
      bench.test(folder, {}, () => undefined, NEVER),
      { code: 'invalid_task', cure: undefined },
    )
  })
})
