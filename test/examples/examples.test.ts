/**
 * Every example is what it says: its folder is complete, it builds on the local base image from `Dockerfile` and `src/`
 * alone, and its example request gives its example answer. The containers are plain ones under the hardening that a
 * host applies, so that an example shows what works there.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import type { BaseName } from '../../scripts/bases/recipes.ts'
import { dockerMissing } from '../support/images.ts'

const ROOT = join(import.meta.dirname, '..', '..', 'examples')
const ENTRIES = [
  'Dockerfile',
  'src',
  'name.txt',
  'description.txt',
  'example_input.bin',
  'example_output.bin',
  'config.json',
]
const BASES: Record<string, BaseName> = {
  'meca-image': 'node',
  'meca-python': 'python',
  'meca-shell': 'busybox',
  'meca-words': 'node',
}
const LABELS = { 'meca.test': 'examples' }
const START_TIMEOUT_MS = 20_000

const docker = new Docker()
const noDocker = await dockerMissing()
const noDebootstrap =
  existsSync('/usr/sbin/debootstrap') && process.getuid?.() === 0
    ? false
    : 'debootstrap as root is needed to make the Python base image (apt-get install debootstrap)'

before(sweep)
after(sweep)

test('every folder of a MECA example is known here', async () => {
  const folders = (await readdir(ROOT, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const names = folders.map(({ name }) => name).filter((name) => name.startsWith('meca-'))
  assert.deepEqual(names.sort(), Object.keys(BASES))
})

for (const [name, base] of Object.entries(BASES)) {
  test(`M-01 ${name} has all seven entries of a MECA task folder`, async () => {
    const there = await readdir(join(ROOT, name))
    assert.deepEqual(there.sort(), [...ENTRIES].sort())
    assert.ok((await readdir(join(ROOT, name, 'src'))).length > 0)
    const { resource } = JSON.parse(await readFile(join(ROOT, name, 'config.json'), 'utf8')) as {
      resource: { cpu: number; mem: number }
    }
    assert.ok(Number.isInteger(resource.cpu) && resource.cpu > 0 && Number.isInteger(resource.mem) && resource.mem > 0)
  })

  const skip = noDocker || (base === 'python' && noDebootstrap)
  test(`M-07 ${name} answers its example request with its example answer`, { skip }, async (t) => {
    const image = await build(name, base, t.signal)
    const container = await start(image)
    try {
      const input = await readFile(join(ROOT, name, 'example_input.bin'))
      const output = await readFile(join(ROOT, name, 'example_output.bin'))
      const port = await readyPort(container)
      // Twice: a warm container must not answer from what the first request left behind.
      for (const round of [1, 2]) {
        const reply = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: input })
        assert.equal(reply.status, 200)
        assert.deepEqual(Buffer.from(await reply.arrayBuffer()), output, `request ${round}`)
      }
    } finally {
      await container.remove({ force: true })
      await docker.getImage(image).remove()
    }
  })
}

async function build(name: string, base: BaseName, signal: AbortSignal): Promise<string> {
  const { tag } = await ensureBase(docker, base, signal)
  const image = `meca-test/example-${name}:latest`
  const stream = await docker.buildImage(
    { context: join(ROOT, name), src: ['Dockerfile', 'src'] },
    { t: image, buildargs: { BASE: tag }, labels: LABELS, rm: true, forcerm: true },
  )
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error: Error | null) => (error === null ? resolve() : reject(error)))
  })
  return image
}

async function start(image: string): Promise<Docker.Container> {
  const container = await docker.createContainer({
    Image: image,
    Labels: LABELS,
    ExposedPorts: { '8080/tcp': {} },
    HostConfig: {
      PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] },
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'size=16m' },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: 256 * 2 ** 20,
    },
  })
  await container.start()
  return container
}

/** Ready as a host sees it: the line on stdout and an open port. */
async function readyPort(container: Docker.Container): Promise<string> {
  for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end; await sleep(50)) {
    const log = (await container.logs({ stdout: true, stderr: false })).toString()
    const port = (await container.inspect()).NetworkSettings.Ports['8080/tcp']?.[0]?.HostPort
    if (log.includes('meca-init-done') && port !== undefined && (await isOpen(port))) return port
  }
  const said = (await container.logs({ stdout: true, stderr: true })).toString()
  throw new Error(`Not ready after ${START_TIMEOUT_MS} ms; it printed: ${said}`)
}

/** A published port accepts before the task listens, so only an answer to a GET, whatever it says, counts. */
async function isOpen(port: string): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/nothing-here`).then(
    () => true,
    () => false,
  )
}

async function sweep(): Promise<void> {
  if (noDocker) return
  const left = await docker.listContainers({ all: true, filters: { label: ['meca.test=examples'] } })
  for (const { Id } of left) await docker.getContainer(Id).remove({ force: true })
}
