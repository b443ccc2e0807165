/**
 * Tasks published from whatever they come in (a zip bundle, an archive of `docker save`, an OCI archive, an image of the
 * engine), by the real commands, and each then run as a paid job; and the same commands on what only looks like a task:
 * a typed error that names the part, nothing left running and nothing left on disk.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { unpackResult } from '../../src/bundle/local.ts'
import { packBundle } from '../../src/bundle/write.ts'
import { findAnvil } from '../../src/chain/anvil.ts'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import type { JobFile } from '../../src/core/bundle.ts'
import { archiveToLayout } from '../../src/image/oci.ts'
import { tar } from '../image/support.ts'
import type { Raw } from '../image/support.ts'
import { dockerMissing, image } from '../support/images.ts'
import { openWorld } from '../support/world.ts'
import type { World } from '../support/world.ts'
import { zipOf } from '../support/zip.ts'
import type { ZipEntry } from '../support/zip.ts'
import { descriptor } from '../task/cytomine-kit.ts'
import { commandOver } from './command.ts'
import type { Ended } from './command.ts'

const FEE = 1_000n
const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()
const { signal } = new AbortController()
const docker = new Docker()

const CYTOMINE = descriptor({ count: 'integer' }, { total: 'integer' })
const KAAPANA = JSON.stringify({
  name: 'greeter',
  description: 'greets',
  templates: [
    {
      identifier: 'greet',
      description: 'writes a greeting',
      inputs: [],
      outputs: [{ name: 'greetings', mounted_path: '/greetings' }],
      env: [{ name: 'WHOM', value: 'world' }],
      command: ['sh', '-c', 'mkdir -p /greetings/item && echo "hello $WHOM" > /greetings/item/hello.txt'],
    },
  ],
})

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const saved = async (id: string) => bytesOf((await docker.getImage(id).get()) as AsyncIterable<Buffer>)
const jobOf = (job: Partial<JobFile>) =>
  bytesOf(packBundle({ path: 'job.json', text: JSON.stringify({ ...NO_PARAMETERS, ...job }) }, []))

describe('publishing anything', { skip }, () => {
  const outside = process.env['TMPDIR']
  let own: string
  let work: string
  let world: World
  let meca: (argv: readonly string[]) => Promise<Ended>
  let cytomineImage: string
  let kaapanaImage: string

  before(async () => {
    // A folder for everything temporary of this process, so that what is left in it can be told.
    own = await mkdtemp(join(tmpdir(), 'meca-publish-test-'))
    process.env['TMPDIR'] = own
    work = join(own, 'work')
    await mkdir(join(work, 'home'), { recursive: true })
    await ensureBase(docker, 'busybox', AbortSignal.timeout(120_000))
    const from = 'meca-base/busybox'
    cytomineImage = await image('zip', [], ['CMD ["cp", "/inputs/count", "/outputs/total"]'], { from })
    const file = { path: 'processing-container.json', bytes: Buffer.from(KAAPANA), mode: 0o644 }
    kaapanaImage = await image('kaapana', [file], ['COPY processing-container.json /'], { from })
    world = await openWorld()
    meca = commandOver(world.developer, join(work, 'home'))
  })
  after(async () => {
    await world.close()
    if (outside === undefined) Reflect.deleteProperty(process.env, 'TMPDIR')
    else process.env['TMPDIR'] = outside
    await rm(own, { recursive: true, force: true })
  })

  const put = async (name: string, content: Uint8Array | string): Promise<string> => {
    const path = join(work, name)
    await writeFile(path, content)
    return path
  }

  /** From the file or image to the outputs of a paid job; resolves to their folder. */
  async function publishAndRun(place: string, name: string, format: string, job: Partial<JobFile>): Promise<string> {
    const published = await meca(['task', 'publish', place, '--fee', String(FEE), '--name', name, '--json'])
    assert.equal(published.exit, 0, published.stderr)
    const task = JSON.parse(published.stdout) as { cid: string; format: string }
    assert.equal(task.format, format)
    return run(task.cid, name, job)
  }

  async function run(task: string, name: string, job: Partial<JobFile>): Promise<string> {
    const result = await world.client.api.client.run(task, await jobOf(job), {}, () => undefined, signal)
    assert.equal(result.status, 'answered', result.problem?.message)
    assert.equal(result.price.developer, FEE.toString())
    const folder = join(work, `out-${name}`)
    await unpackResult(await world.client.api.client.output(result.job), folder)
    return folder
  }

  test('a Cytomine bundle as a zip', async () => {
    const entries = [
      { name: 'descriptor.yml', bytes: Buffer.from(CYTOMINE), method: 'deflated' as const },
      { name: 'image.tar', bytes: await saved(cytomineImage), method: 'deflated' as const },
    ]
    const outputs = await publishAndRun(await put('bundle.zip', zipOf(entries)), 'from-zip', 'cytomine', {
      values: { count: '42' },
    })
    assert.equal(await readFile(join(outputs, 'total'), 'utf8'), '42')
  })

  test('an archive of docker save with a processing container in it', async () => {
    const place = await put('saved.tar', await saved(kaapanaImage))
    const outputs = await publishAndRun(place, 'from-save', 'kaapana', { env: { WHOM: 'archive' } })
    assert.equal(await readFile(join(outputs, 'greetings/item/hello.txt'), 'utf8'), 'hello archive\n')
  })

  test('an OCI archive, gzipped', async () => {
    const workFolder = await mkdtemp(join(work, 'layout-'))
    const { files } = await archiveToLayout((await docker.getImage(kaapanaImage).get()) as AsyncIterable<Buffer>, {
      workFolder,
      signal,
    })
    const entries = await Promise.all(
      files.map(async ({ path, content }): Promise<Raw> => ({ name: path, content: await readFile(content.file) })),
    )
    const outputs = await publishAndRun(await put('oci.tar.gz', gzipSync(tar(...entries))), 'from-oci', 'kaapana', {})
    assert.equal(await readFile(join(outputs, 'greetings/item/hello.txt'), 'utf8'), 'hello world\n')
  })

  test('an image that the engine has', async () => {
    const outputs = await publishAndRun(kaapanaImage, 'from-engine', 'kaapana', {})
    assert.equal(await readFile(join(outputs, 'greetings/item/hello.txt'), 'utf8'), 'hello world\n')
  })

  test('all fees reach the developer, and every book agrees', async () => {
    const [host] = world.hosts
    assert.ok(host)
    let fees = 0n
    // The client's exact vouchers come a moment after the results.
    for (const until = Date.now() + 30_000; fees < 4n * FEE && Date.now() < until;)
      fees += BigInt((await host.api.money.claim({}, signal)).developer)
    assert.equal(fees, 4n * FEE)
    for (const node of [host, world.client]) {
      const { ok, lines } = await node.api.money.reconcile(signal)
      assert.ok(ok, JSON.stringify(lines))
    }
  })

  /** Containers of this process beside the sidecars that a host keeps ready, and everything temporary. */
  async function traces() {
    const all = await docker.listContainers({ all: true, filters: { label: [`meca.pid=${process.pid}`] } })
    const names = all.flatMap(({ Names }) => Names).filter((name) => /test|file/.test(name))
    return { names, temporary: (await readdir(own)).sort(), work: (await readdir(work)).sort() }
  }

  async function folder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
    await mkdir(join(work, name))
    for (const [path, content] of Object.entries(files)) await writeFile(join(work, name, path), content)
    return join(work, name)
  }

  const zip = (name: string, entries: readonly ZipEntry[], count?: number) => put(name, zipOf(entries, count))
  const fine: ZipEntry = { name: 'descriptor.yml', bytes: Buffer.from(CYTOMINE) }
  const entry = (name: string, more: Partial<ZipEntry> = {}): ZipEntry => ({ name, bytes: Buffer.from('x'), ...more })
  const bomb = `a: &a [1, 1]\n${Array.from({ length: 9 }, (_, i) => `b${i}: [*a, *a, *a, *a, *a]\n`).join('')}`

  const HOSTILE: readonly [string, () => Promise<string>, RegExp][] = [
    [
      'a path that climbs out',
      () => zip('up.zip', [fine, entry('../../evil')]),
      /invalid relative path: \.\.\/\.\.\/evil/,
    ],
    ['an absolute path', () => zip('root.zip', [fine, entry('/etc/evil')]), /absolute path: \/etc\/evil/],
    ['a link', () => zip('link.zip', [fine, entry('image.tar', { mode: 0o120777 })]), /"image\.tar".* is a link/],
    ['one name twice', () => zip('twice.zip', [fine, fine]), /"descriptor\.yml".* is there twice/],
    [
      'an entry larger than it says',
      () => zip('lies.zip', [entry('descriptor.yml', { lies: { size: 0 } })]),
      /lies\.zip .* size mismatch/,
    ],
    [
      'a megabyte out of every kilobyte',
      () => zip('bomb.zip', [entry('descriptor.yml', { bytes: Buffer.alloc(8 * 2 ** 20), method: 'deflated' })]),
      /descriptor\.yml: is too large for a descriptor/,
    ],
    [
      'two descriptors',
      () => zip('two.zip', [fine, { ...fine, name: 'descriptor.yaml' }, entry('image.tar')]),
      /descriptor\.yaml:? is a second descriptor/,
    ],
    [
      'a wrong descriptor',
      () => zip('wrong.zip', [{ ...fine, bytes: Buffer.from(CYTOMINE.replace('version: 1.0.0', 'version: 1.0')) }]),
      /version is the number 1, not a text/,
    ],
    ['aliases that swell', () => folder('alias', { 'descriptor.yml': bomb }), /an alias beyond the 32 .*\(13 times/],
    ['YAML that nests', () => folder('yaml', { 'descriptor.yml': `a: ${'['.repeat(1e5)}` }), /deeper than 64 levels/],
    ['JSON that nests', () => folder('json', { 'docker-task.json': '['.repeat(4e5) }), /deeper than 64 levels/],
    ['JSON of a million brackets', () => folder('long', { 'docker-task.json': '['.repeat(1e6) }), /too large/],
    [
      'an archive that is no image',
      () => put('not.tar', tar({ name: 'evil', content: 'x' })),
      /neither manifest\.json nor index\.json/,
    ],
    [
      'an archive whose manifest climbs out',
      () =>
        put(
          'climbs.tar',
          tar({ name: 'manifest.json', content: '[{"Config":"../../etc/passwd","Layers":["../../etc/passwd"]}]' }),
        ),
      /names "\.\.\/\.\.\/etc\/passwd"/,
    ],
  ]
  for (const [what, make, message] of HOSTILE) {
    test(`${what}: check and publish name it, and leave nothing`, async () => {
      const place = await make()
      const before = await traces()
      const checked = await meca(['task', 'check', place])
      const published = await meca(['task', 'publish', place, '--fee', '1', '--name', 'evil'])
      for (const { exit, stdout, stderr } of [checked, published]) {
        assert.equal(exit, 2, stdout + stderr)
        assert.match(stdout + stderr, message)
        assert.doesNotMatch(stdout + stderr, /internal|at .*\.ts:/)
      }
      assert.deepEqual(await traces(), before)
    })
  }

  test('after all that a sound task is checked and run', async () => {
    const checked = await meca(['task', 'check', kaapanaImage])
    assert.equal(checked.exit, 0, checked.stdout + checked.stderr)
    const task = `${(await world.developer.api.info()).address}/from-engine`
    const outputs = await run(task, 'afterwards', { env: { WHOM: 'again' } })
    assert.equal(await readFile(join(outputs, 'greetings/item/hello.txt'), 'utf8'), 'hello again\n')
  })
})
