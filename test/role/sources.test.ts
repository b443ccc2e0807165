/** Tasks from whatever a developer has: bundles, archives of every kind, images of the engine; checked and tried as they lie. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import Docker from 'dockerode'
import { checkFolder, Workbench } from '../../src/role/workbench.ts'
import { benchEngine } from '../../src/wiring/developer-side.ts'
import { NEVER, TestEngine } from '../support/engine.ts'
import { busyboxImage, dockerMissing, image } from '../support/images.ts'
import { zipOf } from '../support/zip.ts'

const LIMITS = { startTimeoutMs: 30_000, maxSeconds: 30, outputBytes: 2 ** 20 }
const quiet = () => undefined

const DESCRIPTOR = (version = '1.0.0') => `$schema: https://cytomine.com/schema-store/tasks/task.v0.json
name: Count
name_short: count
version: ${version}
namespace: org.example.count
authors:
  - first_name: Ann
    last_name: Example
    organization: Example
    email: ann@example.org
    is_contact: true
configuration:
  input_folder: /inputs
  output_folder: /outputs
  image:
    file: /count.tar
  resources:
    ram: 64Mi
    cpus: 1
inputs:
  value:
    display_name: A value
    description: a number
    type: integer
outputs:
  sum:
    display_name: The sum
    description: one more
    type: integer
`
const KAAPANA = {
  schema_version: 1,
  kind: 'ProcessingContainer',
  name: 'count',
  description: 'counts',
  templates: [
    {
      identifier: 'default',
      description: 'counts',
      env: [],
      command: ['sh', '-c', 'echo 3 > /out/count.txt'],
      inputs: [],
      outputs: [{ name: 'out', mounted_path: '/out' }],
    },
  ],
}

describe('a task from anything', { skip: await dockerMissing() }, () => {
  const docker = new Docker()
  const stage = new TestEngine()
  const engine = () => Promise.resolve(benchEngine(stage.engine))
  const bench = new Workbench({ engine: benchEngine(stage.engine), limits: LIMITS, now: () => performance.now() })
  let root = ''
  let cytomine = ''
  let kaapana = ''
  const leftovers = () => readdirSync(tmpdir()).filter((name) => /^meca-(task|load|build|test)-/.test(name))

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'meca-sources-'))
    const from = await busyboxImage()
    cytomine = await image(
      'cytomine-count',
      [],
      ['CMD ["sh", "-c", "printf $(($(cat /inputs/value) + 1)) > /outputs/sum"]'],
      { from },
    )
    const text = Buffer.from(JSON.stringify(KAAPANA))
    kaapana = await image(
      'kaapana-count',
      [{ path: 'processing-container.json', bytes: text, mode: 0o644 }],
      ['COPY processing-container.json /processing-container.json'],
      { from },
    )
  })
  after(async () => {
    rmSync(root, { recursive: true, force: true })
    await stage.end()
  })

  const saved = async (id: string): Promise<Buffer> => buffer(await docker.getImage(id).get())
  const place = (name: string, bytes: Uint8Array | string): string => {
    writeFileSync(join(root, name), bytes)
    return join(root, name)
  }
  const example = [
    { name: 'example/job.json', bytes: Buffer.from('{"values": {"value": "2"}}') },
    { name: 'example/outputs/sum', bytes: Buffer.from('3') },
  ]
  const descriptor = (version?: string) => ({
    name: 'descriptor.yml',
    bytes: Buffer.from(DESCRIPTOR(version)),
    method: 'deflated' as const,
  })

  async function comesOut(of: string, options: { image?: string } = {}): Promise<void> {
    const before = leftovers()
    const checked = await checkFolder(of, options, engine, NEVER)
    assert.deepEqual(
      checked.findings.filter(({ level }) => level === 'error'),
      [],
    )
    const report = await bench.test(of, options, quiet, AbortSignal.timeout(60_000))
    assert.ok(report.ok, report.problem)
    assert.deepEqual(
      leftovers().filter((name) => !before.includes(name)),
      [],
    )
  }

  test('a Cytomine bundle: descriptor and docker save in one zip', async () => {
    const tar = await saved(cytomine)
    await comesOut(
      place('count.zip', zipOf([descriptor(), { name: 'count.tar', bytes: tar, method: 'deflated' }, ...example])),
    )
  })

  test('a descriptor alone, with its image in an archive, zipped or not, by name and by id', async () => {
    const folder = join(root, 'alone')
    mkdirSync(join(folder, 'example/outputs'), { recursive: true })
    for (const { name, bytes } of [descriptor(), ...example]) writeFileSync(join(folder, name), bytes)
    const tar = await saved(cytomine)
    const [tag = ''] = (await docker.getImage(cytomine).inspect()).RepoTags
    const images = [place('saved.tar', tar), place('saved.tar.gz', gzipSync(tar, { level: 1 })), tag, cytomine]
    for (const name of images) await comesOut(folder, { image: name })
  })

  test('a Kaapana image without any folder: as an archive, and out of the engine', async () => {
    await comesOut(place('kaapana.tar', await saved(kaapana)))
    await comesOut(kaapana)
  })

  test('an image that says of itself nothing is told what is missing', async () => {
    const archive = place('plain.tar', await saved(await busyboxImage()))
    await assert.rejects(checkFolder(archive, {}, engine, NEVER), {
      code: 'invalid_task',
      message: /marks of no task format/,
    })
    const { ok } = await checkFolder(archive, { format: 'borealis' }, engine, NEVER)
    assert.equal(ok, false)
  })

  test('bundles with two descriptors, none, no image, or a version that is a number', async () => {
    const tar = { name: 'count.tar', bytes: Buffer.from('unread') }
    const two = zipOf([descriptor(), { name: 'descriptor.yaml', bytes: Buffer.from(DESCRIPTOR()) }, tar])
    const cases: [string, Buffer, RegExp][] = [
      ['two', two, /descriptor/],
      ['number', zipOf([descriptor('1.0'), tar]), /version/],
      ['no-image', zipOf([descriptor()]), /image/],
    ]
    for (const [name, zip, what] of cases) {
      const { ok, findings } = await checkFolder(place(`${name}.zip`, zip), {}, engine, NEVER)
      assert.equal(ok, false, name)
      const told = findings.filter(({ level }) => level === 'error').map((f) => `${f.where} ${f.what}`)
      assert.ok(told.length === 1 && what.test(told.join()), `${name}: ${told.join('; ')}`)
    }
    await assert.rejects(checkFolder(place('none.zip', zipOf([tar])), {}, engine, NEVER), { code: 'invalid_task' })
  })

  test('a place that is nothing, or no kind of archive, is told by its path; a pipe or device is not waited for', async () => {
    const cases: [string, string, RegExp][] = [
      [join(root, 'mistyped.zip'), 'not_found', /no folder or file \/.*mistyped\.zip$/],
      ['Not/../An Image', 'not_found', /no folder, file or image Not/],
      [place('text.zip', 'no zip at all'), 'invalid_task', /text\.zip is neither a zip nor a tar/],
      [place('none.tar', ''), 'invalid_task', /none\.tar is an empty file/],
      ['/dev/zero', 'invalid_task', /\/dev\/zero is no regular file/],
    ]
    for (const [of, code, message] of cases) await assert.rejects(checkFolder(of, {}, engine, NEVER), { code, message })
  })

  test('a bundle zipped with its folder is told which folder it is', async () => {
    const deep = { ...descriptor(), name: 'count/descriptor.yml' }
    const zip = place('deep.zip', zipOf([deep, { name: 'count/count.tar', bytes: Buffer.from('unread') }]))
    await assert.rejects(checkFolder(zip, {}, engine, NEVER), {
      code: 'invalid_task',
      message: /no task format, but there is "count\/descriptor\.yml"/,
      cure: /give the folder "count" itself/,
    })
  })

  test('a bundle without an example is told so where its inputs are missing', async () => {
    const zip = zipOf([descriptor(), { name: 'count.tar', bytes: await saved(cytomine), method: 'deflated' }])
    await assert.rejects(bench.test(place('untried.zip', zip), {}, quiet, AbortSignal.timeout(60_000)), {
      code: 'invalid_task',
      message: /no example to run, and the task needs inputs: .*value is missing/,
    })
  })
})
