/** A files run that is cancelled, or whose engine, holder or node goes away at any moment: what is said, and that nothing is left. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import { DockerEngine } from '../../src/engine/docker.ts'
import type { FilesRun, StagedEntry } from '../../src/engine/engine.ts'
import { eventually } from '../support/eventually.ts'
import { fragileDaemon } from '../support/daemon.ts'
import type { FragileDaemon } from '../support/daemon.ts'
import { NEVER, TestEngine, failure, input, leftBy } from '../support/engine.ts'
import { busyboxImage, dockerMissing } from '../support/images.ts'
import { filesPlan } from '../support/plans.ts'

const skip = await dockerMissing()
const t = new TestEngine(0)
let image = ''

before(async () => {
  if (skip === false) image = await busyboxImage()
})
after(async () => {
  if (skip === false) await t.end()
})

/** A layered mount, so that everything there is to make is made. */
const LAYERED = filesPlan('echo x > /outputs/x; sleep 1', {
  exchange: { stage: [{ kind: 'folder', path: '/outputs', from: 'a' }] },
})

const LONG = { ...LAYERED, command: ['sleep', '60'] }

async function* slowly(): AsyncGenerator<StagedEntry> {
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    yield input(`/outputs/${i}`, 'x')
  }
}

async function toTheEnd(engine: DockerEngine, signal: AbortSignal, plan = LAYERED): Promise<void> {
  const run = await engine.run(image, plan, { name: t.name(), staged: slowly() }, signal)
  try {
    await leftBy(run, signal)
  } finally {
    await run.dispose()
  }
}

test('cancelled at any of ten moments, a run says so and leaves nothing', { skip }, async () => {
  const timed = async (signal: AbortSignal) => {
    const began = performance.now()
    const outcome = await toTheEnd(t.engine, signal).then(
      () => 'done',
      (error: unknown) => (error instanceof MecaError ? error.code : String(error)),
    )
    return { outcome, ms: performance.now() - began }
  }
  let wholeMs = (await timed(NEVER)).ms
  let cancelled = 0
  for (let i = 0; i < 10; i++) {
    const afterMs = Math.floor((wholeMs * (i + Math.random())) / 10)
    const { outcome, ms } = await timed(AbortSignal.timeout(afterMs))
    assert.match(outcome, /^(cancelled|done)$/, `after ${afterMs} ms`)
    if (outcome === 'cancelled') cancelled += 1
    // The machine is less busy than it was: the moments move with it.
    else wholeMs = ms
    assert.deepEqual([await t.containers(), await t.volumes()], [[], []], `cancelled after ${afterMs} of ${wholeMs} ms`)
  }
  assert.ok(cancelled >= 3, `only ${cancelled} were cancelled`)
  await failure('cancelled', toTheEnd(t.engine, AbortSignal.abort()))
})

test(
  'an engine that goes away at any of six moments is told as the host’s failure, and a sweep finds what is left',
  { skip },
  async () => {
    for (let i = 0; i < 6; i++) {
      const owner = `test-${randomBytes(6).toString('hex')}`
      const daemon: FragileDaemon = await fragileDaemon()
      const engine = new DockerEngine({ owner, socketPath: daemon.path, sidecars: 0 })
      const timer = setTimeout(daemon.die, i * 350)
      await failure('engine_unavailable', toTheEnd(engine, NEVER, LONG))
      clearTimeout(timer)
      await daemon.close()
      const next = new TestEngine(0, owner)
      await new Promise((resolve) => setTimeout(resolve, 500))
      await next.engine.sweep(NEVER)
      assert.equal(await next.engine.sweep(NEVER), 0, 'a second sweep finds nothing')
      await next.end()
    }
  },
)

test('what an engine still has of a run when it comes back goes without a sweep, volumes too', { skip }, async (at) => {
  const owner = `test-${randomBytes(6).toString('hex')}`
  const daemon = await fragileDaemon()
  const engine = new DockerEngine({ owner, socketPath: daemon.path, sidecars: 0 })
  const watcher = new TestEngine(0, owner)
  at.after(async () => {
    await engine.close()
    await daemon.close()
    await watcher.end()
  })
  const options = { name: t.name(), staged: slowly(), onStarted: () => daemon.die() }
  await failure('engine_unavailable', engine.run(image, LONG, options, NEVER))
  assert.ok((await watcher.volumes()).length > 0)
  await daemon.comeBack()
  await eventually('containers and volumes are gone', async () => {
    return (await watcher.containers()).length + (await watcher.volumes()).length === 0
  })
})

test(
  'a holder that ends while the task runs, or before the outputs are taken, is the host’s failure',
  { skip },
  async () => {
    const kill = async () => {
      const holder = (await t.containers()).find((c) => c.Names.some((name) => name.endsWith('-holder')))
      assert.ok(holder !== undefined)
      await t.docker.getContainer(holder.Id).kill()
    }
    let killing: Promise<void> | undefined
    const onStarted = () => {
      killing = kill()
    }
    const run: FilesRun = await t.run(image, filesPlan('echo x > /outputs/x; sleep 1'), [], { onStarted })
    await killing
    assert.equal(run.end.exitCode, 0)
    const error = await failure('engine_unavailable', leftBy(run))
    assert.match(error.message, /holder/)
    await run.dispose()
  },
)

test(
  'a node that is killed in the middle of a run leaves nothing after its next start has swept',
  { skip },
  async () => {
    const owner = `test-${randomBytes(6).toString('hex')}`
    const program = `
    import { DockerEngine } from ${JSON.stringify(new URL('../../src/engine/docker.ts', import.meta.url).href)}
    const engine = new DockerEngine({ owner: ${JSON.stringify(owner)}, sidecars: 0 })
    const plan = ${JSON.stringify(filesPlan('sleep 60', { exchange: LAYERED.exchange }))}
    const options = { name: 'killed', staged: (async function* () {})(), onStarted: () => console.log('running') }
    await engine.run(${JSON.stringify(image)}, plan, options, new AbortController().signal)
  `
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const next = new TestEngine(0, owner)
    assert.deepEqual([(await next.containers()).length, (await next.volumes()).length], [2, 4])
    assert.equal(await next.engine.sweep(NEVER), 6)
    await next.end()
  },
)

test('a sweep leaves the volumes of its own session and of another owner alone', { skip }, async () => {
  const stranger = new TestEngine(0)
  const [mine, other] = await Promise.all([
    t.run(image, filesPlan('echo 1 > /outputs/x')),
    stranger.run(image, filesPlan('true')),
  ])
  assert.equal(await t.engine.sweep(NEVER), 0)
  assert.equal((await leftBy(mine)).files['out/x'], '1\n')
  await Promise.all([mine.dispose(), other.dispose()])
  await stranger.end()
})
