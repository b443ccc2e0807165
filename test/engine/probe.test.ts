/** What the engine says of itself, and the self-test that a sandbox runtime must pass before it is offered. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { selfTest } from '../../src/engine/probe.ts'
import { sidecarImage } from '../../src/engine/sidecar-image.ts'
import { NEVER, TestEngine } from '../support/engine.ts'
import { busyboxImage, dockerMissing } from '../support/images.ts'

const skip = await dockerMissing()
const t = new TestEngine(2)
let sidecar = ''

before(async () => {
  if (skip === false) sidecar = await sidecarImage(t.docker, '', NEVER)
})
after(async () => {
  if (skip === false) await t.end()
})

test('the engine is probed: its version, its size, runc first, and spare sidecars are ready', { skip }, async () => {
  const info = await t.engine.probe(NEVER)
  const daemon = (await t.docker.info()) as { ServerVersion: string; NCPU: number; Runtimes: Record<string, unknown> }
  assert.equal(info.version, daemon.ServerVersion)
  assert.equal(info.cpuMillis, daemon.NCPU * 1000)
  assert.ok(info.memoryBytes > 2 ** 27)
  assert.equal(info.runtimes[0], 'runc')
  assert.equal(info.runtimes.includes('runsc'), Object.hasOwn(daemon.Runtimes, 'runsc'))
  assert.equal((await t.containers()).length, 2)
})

test('the self-test passes under runc and fails where it must', { skip }, async () => {
  assert.equal(await selfTest(t.engine, sidecar, 'runc', NEVER), true)
  assert.equal(await selfTest(t.engine, sidecar, 'no-such-runtime', NEVER), false)
  assert.equal(await selfTest(t.engine, await busyboxImage(), 'runc', NEVER), false, 'an image that cannot answer')
  assert.deepEqual(await t.tasks(), [])
})

test('the sidecar’s image is made once of the same files', { skip }, async () => {
  assert.equal(await sidecarImage(t.docker, '', NEVER), sidecar)
  assert.equal(await sidecarImage(t.docker, sidecar, NEVER), sidecar, 'a named image is taken as it is')
})
