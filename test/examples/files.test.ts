/**
 * Every example that runs over files is what it says: its folder has no finding, it builds on the local base images, and its
 * example inputs give its example outputs behind a host's own walls. What one step puts out is what the next takes in.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import type { BaseName } from '../../scripts/bases/recipes.ts'
import { MecaError } from '../../src/core/errors.ts'
import { checkFolder, Workbench } from '../../src/role/workbench.ts'
import { benchEngine } from '../../src/wiring/developer-side.ts'
import { NEVER, TestEngine } from '../support/engine.ts'
import { dockerMissing } from '../support/images.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '..', '..', 'examples')
const BASES: Record<string, BaseName> = {
  'borealis-analysis': 'python',
  'borealis-gillespie': 'busybox',
  'cytomine-nuclei': 'python',
  'cytomine-tiles': 'busybox',
  'kaapana-normalize': 'python',
  'kaapana-report': 'node',
}
const LIMITS = { startTimeoutMs: 30_000, maxSeconds: 60, outputBytes: 16 * 2 ** 20 }

const noDocker = await dockerMissing()
const noDebootstrap =
  existsSync('/usr/sbin/debootstrap') && process.getuid?.() === 0
    ? false
    : 'debootstrap as root is needed to make the Python base image (apt-get install debootstrap)'
const noCompiler = await run('cc', ['--version']).then(
  () => false as const,
  () => 'a C compiler (cc) is needed to compile the program beforehand',
)
const noEngine = () => Promise.reject(new MecaError('engine_unavailable', 'There is no engine'))

test('every folder of examples that is no MECA task is known here', async () => {
  const folders = (await readdir(ROOT, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const names = folders.map(({ name }) => name).filter((name) => !name.startsWith('meca-'))
  assert.deepEqual(names.sort(), Object.keys(BASES))
})

for (const name of Object.keys(BASES)) {
  test(`${name} has no finding, and an example`, async () => {
    const report = await checkFolder(join(ROOT, name), {}, noEngine, NEVER)
    assert.deepEqual(report.findings, [])
    assert.equal(report.format, name.split('-')[0])
  })
}

for (const [first, output, second, input] of [
  ['kaapana-normalize', 'normalized', 'kaapana-report', 'normalized'],
  ['borealis-gillespie', 'simulation', 'borealis-analysis', 'simulation'],
] as const) {
  test(`what ${first} puts out is what ${second} takes in`, async () => {
    const [made, taken] = [join(ROOT, first, 'example/outputs', output), join(ROOT, second, 'example/inputs', input)]
    const files = (await readdir(made, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
    assert.ok(files.length > 0)
    for (const { parentPath, name } of files) {
      const path = join(parentPath, name)
      assert.deepEqual(await readFile(join(taken, path.slice(made.length))), await readFile(path))
    }
  })
}

describe('with an engine', { skip: noDocker }, () => {
  const stage = new TestEngine()
  const bench = new Workbench({ engine: benchEngine(stage.engine), limits: LIMITS, now: () => performance.now() })
  before(async () => {
    if (!noCompiler) await run('make', ['-C', join(ROOT, 'borealis-gillespie', 'src')])
    await ensureBase(new Docker(), 'busybox', AbortSignal.timeout(60_000))
  })
  after(() => stage.end())

  for (const [name, base] of Object.entries(BASES)) {
    const skip = (base === 'python' && noDebootstrap) || (name === 'borealis-gillespie' && noCompiler)
    test(`${name} gives its example outputs for its example inputs`, { skip, timeout: 300_000 }, async () => {
      const { tag } = await ensureBase(new Docker(), base, AbortSignal.timeout(240_000))
      const buildArgs = { BASE: tag, BUILDER: 'meca-base/busybox:latest' }
      const report = await bench.test(join(ROOT, name), { buildArgs }, () => undefined, AbortSignal.timeout(120_000))
      assert.ok(report.ok, report.problem ?? report.logTail)
      assert.equal(report.sameAsExample, true)
      assert.deepEqual(report.warnings ?? [], [])
    })
  }
})
