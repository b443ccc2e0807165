/** What is left behind, and what is said, when the engine, a sidecar or we ourselves go away in the middle. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { DockerEngine } from '../../src/engine/docker.ts'
import { fragileDaemon } from '../support/daemon.ts'
import { NEVER, TestEngine, ask, failure, text } from '../support/engine.ts'
import { appImage, dockerMissing } from '../support/images.ts'
import { appPlan } from '../support/plans.ts'

const skip = await dockerMissing()
const t = new TestEngine(1)
let image = ''
let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meca-loss-'))
  if (skip === false) image = await appImage()
})
after(async () => {
  await rm(folder, { recursive: true, force: true })
  if (skip === false) await t.end()
})

test('an engine that is not there is engine_unavailable with a cure', { skip }, async () => {
  const engine = new DockerEngine({ owner: 'nobody', socketPath: join(folder, 'absent.sock') })
  const error = await failure('engine_unavailable', engine.probe(NEVER))
  assert.match(error.cure ?? '', /systemctl start docker/)
  await failure('engine_unavailable', engine.start(image, appPlan('echo'), { name: 'x' }, NEVER))
  await failure('engine_unavailable', engine.sweep(NEVER))
  await engine.close()
})

test(
  'an engine that dies while a container runs: later requests say so within 10 s, and a sweep finds what is left',
  { skip },
  async () => {
    const owner = `test-${randomBytes(6).toString('hex')}`
    const daemon = await fragileDaemon()
    const engine = new DockerEngine({ owner, socketPath: daemon.path, sidecars: 0 })
    const instance = await engine.start(
      image,
      appPlan('slow', { env: { SLEEP_MS: '1000' } }),
      { name: t.name() },
      NEVER,
    )
    daemon.die()
    await instance.ended
    const error = await failure('engine_unavailable', ask(instance))
    assert.match(error.message, /went away/)
    await instance.stop()
    await engine.close()
    await daemon.close()
    const next = new DockerEngine({ owner, sidecars: 0 })
    assert.ok((await next.sweep(NEVER)) >= 2, 'the task and its sidecar')
    assert.equal(await next.sweep(NEVER), 0, 'a second sweep finds nothing')
  },
)

test('a container whose end is told late is still the reason of its broken reply', { skip }, async () => {
  const daemon = await fragileDaemon(1_500)
  const owner = `test-${randomBytes(6).toString('hex')}`
  const engine = new DockerEngine({ owner, socketPath: daemon.path, sidecars: 0 })
  const instance = await engine.start(image, appPlan('crash'), { name: t.name() }, NEVER)
  const error = await failure('task_failed', ask(instance))
  assert.match(error.message, /exit code 7/)
  await instance.stop()
  await engine.close()
  await daemon.close()
})

test('a killed sidecar is the host’s failure and not the task’s', { skip }, async () => {
  const instance = await t.start(image, appPlan('slow', { env: { SLEEP_MS: '20000' } }))
  const { HostConfig } = await t.docker.getContainer(instance.id).inspect()
  const pending = failure('engine_unavailable', ask(instance))
  await new Promise((resolve) => setTimeout(resolve, 300))
  await t.docker.getContainer(String(HostConfig.NetworkMode).replace('container:', '')).kill()
  await pending
  await instance.stop()
})

test(
  'a sweep removes another session’s things of the same owner, and neither its own nor another owner’s',
  { skip },
  async () => {
    const old = new DockerEngine({ owner: t.owner, sidecars: 0 })
    const stranger = new TestEngine(0)
    const [left, mine, other] = await Promise.all([
      old.start(image, appPlan('echo'), { name: t.name() }, NEVER),
      t.start(image, appPlan('echo')),
      stranger.start(image, appPlan('echo')),
    ])
    const swept = await t.engine.sweep(NEVER)
    assert.equal(swept, 3, 'task, sidecar, folder')
    assert.equal((await left.ended).exitCode, 137)
    assert.equal(text(await ask(mine, '"mine"')), '"mine"')
    assert.equal(text(await ask(other, '"other"')), '"other"')
    await Promise.all([left.stop(), mine.stop()])
    await stranger.end()
  },
)

test(
  'a node that is killed in the middle of a job leaves nothing after its next start has swept',
  { skip },
  async () => {
    const owner = `test-${randomBytes(6).toString('hex')}`
    const program = `
    import { DockerEngine } from ${JSON.stringify(new URL('../../src/engine/docker.ts', import.meta.url).href)}
    const engine = new DockerEngine({ owner: ${JSON.stringify(owner)}, sidecars: 1 })
    const signal = new AbortController().signal
    await engine.probe(signal)
    const plan = ${JSON.stringify(appPlan('slow', { env: { SLEEP_MS: '60000' } }))}
    const instance = await engine.start(${JSON.stringify(image)}, plan, { name: ${JSON.stringify(t.name())} }, signal)
    console.log('running')
    await instance.request(Buffer.from('{}'), { timeoutMs: 60_000, outputBytes: 100 }, signal)
  `
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const next = new TestEngine(0, owner)
    assert.ok((await next.containers()).length >= 2)
    assert.ok((await next.engine.sweep(NEVER)) >= 3, 'the task, its sidecar, the folder')
    await next.end()
  },
)

test('a dead spare sidecar is not handed out', { skip }, async () => {
  await t.engine.probe(NEVER)
  for (const container of await t.containers()) await t.docker.getContainer(container.Id).kill()
  await new Promise((resolve) => setTimeout(resolve, 500))
  assert.equal(text(await t.once(image, appPlan('echo'), '1')), '1')
})

test(
  'two of one name stand side by side; a start that fails in every way leaves no container and no folder',
  { skip },
  async () => {
    const engine = new TestEngine(0)
    const name = engine.name()
    await engine.start(image, appPlan('echo'), { name })
    const twin = await engine.start(image, appPlan('echo'), { name })
    await twin.stop()
    await failure('start_failed', engine.start(image, { ...appPlan('echo'), command: ['/no'] }))
    await failure('start_failed', engine.start(image, appPlan('echo'), { runtime: 'no-such-runtime' }))
    await failure('start_failed', engine.start(image, appPlan('echo', { resources: { cpuMillis: 4_000_000 } })))
    await failure('start_failed', engine.start(image, appPlan('echo'), { gpuIds: ['77'] }))
    await failure('cancelled', engine.start(image, appPlan('echo'), {}, AbortSignal.timeout(60)))
    await failure('start_timeout', engine.start(image, appPlan('echo', { limits: { startTimeoutMs: 30 } })))
    assert.equal((await engine.containers()).length, 2, 'the first one and its sidecar')
    await engine.end()
  },
)

test('a missing sidecar image is told with its cure', { skip }, async () => {
  const engine = new DockerEngine({ owner: 'x', sidecarImage: 'no/such:image' })
  const error = await failure('bad_config', engine.probe(NEVER))
  assert.match(error.cure ?? '', /docker pull no\/such:image/)
  await engine.close()
})

test('too long a folder for sockets is told before anything is made', { skip }, async () => {
  const engine = new DockerEngine({ owner: 'x', socketFolder: join(folder, 'd'.repeat(80)), sidecars: 0 })
  const error = await failure('bad_config', engine.start(image, appPlan('echo'), { name: t.name() }, NEVER))
  assert.match(error.cure ?? '', /engine.socketFolder/)
})
