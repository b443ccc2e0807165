/** Cases of Cytomine's App Engine (task-contracts.md 2.9). The images copy inputs to outputs, as the reference's dummy tasks do. */
import assert from 'node:assert/strict'
import { cytomine } from '../../src/task/cytomine.ts'
import { descriptor, folder } from '../task/cytomine-kit.ts'
import { loadImage } from '../../src/wiring/load-image.ts'
import { NEVER } from '../support/engine.ts'
import { refused } from './case.ts'
import type { Case } from './case.ts'
import type { Done, Stage, What } from './stage.ts'

const POLYGON = '{"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}'
const COLLECTION = '{"type": "FeatureCollection", "features": []}'
const PNG = Buffer.from('89504e470d0a1a0a0000000d4948445200000009000000070806000000ff00ff00', 'hex')

const IDENTITY = 'cp -r /inputs/input /outputs/output'

/** One input and one output of a type, copied; what the task saw of its input goes to the console. */
async function identity(stage: Stage, type: unknown, what: What): Promise<Done> {
  const image = await stage.script('identity', `${IDENTITY} && ls /inputs && wc -c < /inputs/input 2>/dev/null; exit 0`)
  return stage.run(cytomine, identityOf(type), image, what)
}

function identityOf(type: unknown): string {
  return descriptor({ input: type }, { output: type })
}

function answered(done: Done, outputs: Readonly<Record<string, string>>): void {
  assert.deepEqual(done.verdict.problem, undefined)
  assert.equal(done.verdict.status, 'answered')
  assert.deepEqual(withoutFolders(done), outputs)
}

function withoutFolders({ outputs }: Done): Record<string, string> {
  return Object.fromEntries(Object.entries(outputs).filter(([path]) => !path.endsWith('/')))
}

function failed(done: Done, words: RegExp): void {
  assert.equal(done.verdict.status, 'task_failed')
  assert.match(done.verdict.problem?.message ?? '', words)
}

/** A value that is not taken is refused before anything starts. */
function refusedValue(stage: Stage, text: string, what: What, words: RegExp): Promise<void> {
  return refused('bad_input', words, () => stage.plan(cytomine, text, what))
}

const INTEGERS = descriptor(
  {
    a: { type: { id: 'integer', lt: 0 } },
    b: { type: { id: 'integer', gt: -2 } },
    c: { type: { id: 'integer', geq: 2 } },
    d: { type: { id: 'integer', leq: 0 } },
  },
  { sum: 'integer' },
)
const NUMBERS = descriptor(
  {
    a: { type: { id: 'number', lt: 0, infinity_allowed: true } },
    b: { type: { id: 'number', gt: -2, infinity_allowed: true } },
    c: { type: { id: 'number' } },
    d: { type: { id: 'number', nan_allowed: true } },
  },
  { sum: 'number', undefined: { type: { id: 'number', nan_allowed: true } } },
)
const ADD = 'cd /inputs; expr $(cat a) + $(cat b) + $(cat c) + $(cat d) > /outputs/sum'
const ADD_NUMBERS =
  'cd /inputs; expr $(cat a) + $(cat b) > /outputs/sum; [ "$(cat d)" = nan ] && printf nan > /outputs/undefined'
const COLLECTION_TYPE = {
  type: { id: 'array', subtype: { id: 'integer', leq: 300 }, min_size: 1, max_size: 5 },
}
const OPTIONAL = descriptor(
  { string_input: 'string', geometry_input: { type: 'geometry', optional: true } },
  { string_output: 'string' },
)
const COPY_BOTH =
  'cp /inputs/string_input /outputs/string_output; ls /inputs; cp /inputs/geometry_input /outputs/geometry_output'

export const CYTOMINE: readonly Case[] = [
  {
    id: 'C-01',
    title: 'a string with accents and lines comes back byte for byte',
    async run(stage) {
      const value = 'héllo\nx'
      answered(await identity(stage, 'string', { values: { input: value } }), { output: value })
    },
  },
  {
    id: 'C-02',
    title: 'the integer 42 is a file of two bytes',
    async run(stage) {
      const done = await identity(stage, 'integer', { values: { input: '42' } })
      answered(done, { output: '42' })
      assert.equal(done.console, 'input\n2\n')
    },
  },
  {
    id: 'C-03',
    title: 'a boolean is the text false',
    run: async (stage) =>
      answered(await identity(stage, 'boolean', { values: { input: 'false' } }), { output: 'false' }),
  },
  {
    id: 'C-04',
    title: 'integers within their limits are added; one outside is refused before the start',
    async run(stage) {
      const values = { a: '-1', b: '0', c: '2', d: '0' }
      answered(await stage.run(cytomine, INTEGERS, await stage.script('add', ADD), { values }), { sum: '1\n' })
      await refusedValue(stage, INTEGERS, { values: { ...values, a: '0' } }, /\ba\b.*\b0\b/)
    },
  },
  {
    id: 'C-05',
    title: 'numbers are written in the form that the caller gave',
    async run(stage) {
      const values = { a: '-1', b: '3', c: '2', d: 'nan' }
      const image = await stage.script('add-numbers', ADD_NUMBERS)
      answered(await stage.run(cytomine, NUMBERS, image, { values }), { sum: '2\n', undefined: 'nan' })
    },
  },
  {
    id: 'C-06',
    title: 'nan where it is not allowed is refused before the start',
    run: (stage) => refusedValue(stage, NUMBERS, { values: { a: '-1', b: '3', c: 'nan', d: 'nan' } }, /\bc\b/),
  },
  {
    id: 'C-07',
    title: 'an array is a folder with array.yml and numbered files; its size and items are checked before the start',
    async run(stage) {
      const text = descriptor({ input: COLLECTION_TYPE }, { output: COLLECTION_TYPE })
      const image = await stage.script(
        'identity-array',
        `${IDENTITY}; cd /inputs/input; for f in *; do echo "$f $(cat $f)"; done`,
      )
      const done = await stage.run(cytomine, text, image, { values: { input: '[4, 1, 300]' } })
      assert.equal(done.console, '0 4\n1 1\n2 300\narray.yml size: 3\n')
      answered(done, { 'output/0': '4', 'output/1': '1', 'output/2': '300', 'output/array.yml': 'size: 3\n' })
      for (const input of ['[]', '[1, 2, 3, 4, 5, 6]', '[301]']) {
        await refusedValue(stage, text, { values: { input } }, /input/)
      }
    },
  },
  {
    id: 'C-08',
    title: 'two binary files keep their bytes and their order',
    async run(stage) {
      const text = identityOf({ id: 'array', subtype: 'file' })
      const [first, second] = [Buffer.from([0, 255, 10, 13]), Buffer.from([200, 0])]
      const image = await stage.script('copy', IDENTITY)
      const what = { files: { 'input/0': first, 'input/1': second }, kinds: { input: 'list' as const } }
      const done = await stage.run(cytomine, text, image, what)
      assert.equal(done.verdict.status, 'answered', done.verdict.problem?.message)
      assert.deepEqual([done.bytes.get('output/0'), done.bytes.get('output/1')], [first, second])
    },
  },
  {
    id: 'C-09',
    title: 'a polygon passes; a FeatureCollection is refused before the start',
    async run(stage) {
      answered(await identity(stage, 'geometry', { values: { input: POLYGON } }), { output: POLYGON })
      await refusedValue(stage, identityOf('geometry'), { values: { input: COLLECTION } }, /input/)
    },
  },
  {
    id: 'C-10',
    title: 'a choice that is not offered is refused before the start',
    run: (stage) =>
      refusedValue(
        stage,
        identityOf({ id: 'enumeration', values: ['A', 'B', 'C'] }),
        { values: { input: 'D' } },
        /input.*"?D/,
      ),
  },
  {
    id: 'C-11',
    title: 'an instant comes back as it was given',
    async run(stage) {
      const value = '2024-01-01T00:00:00Z'
      answered(await identity(stage, 'datetime', { values: { input: value } }), { output: value })
    },
  },
  {
    id: 'C-12',
    title: 'an image keeps its bytes and has no extension',
    async run(stage) {
      const done = await identity(stage, 'image', { files: { input: PNG } })
      assert.equal(done.verdict.status, 'answered', done.verdict.problem?.message)
      assert.deepEqual(done.bytes.get('output'), PNG)
      assert.match(done.console, /^input\n/)
    },
  },
  {
    id: 'C-13',
    title: 'a declared output that is missing fails the run; a stray file is ignored',
    async run(stage) {
      const text = descriptor({ a: 'integer', b: 'integer' }, { out: 'integer' })
      const image = await stage.script('stray', 'expr $(cat /inputs/a) + $(cat /inputs/b) > /outputs/sum')
      const done = await stage.run(cytomine, text, image, { values: { a: '1', b: '2' } })
      failed(done, /\bout\b/)
      assert.deepEqual([done.end.exitCode, done.outputs], [0, {}])
    },
  },
  {
    id: 'C-14',
    title: 'an optional input that was not given has no file, and the exit code of a task that misses it counts',
    differs:
      'the App Engine does not look at exit codes, and may say FINISHED; its own documentation says that they count',
    async run(stage) {
      const image = await stage.script('copy-both', COPY_BOTH)
      const done = await stage.run(cytomine, OPTIONAL, image, { values: { string_input: 'x' } })
      assert.match(done.console, /^string_input$/m, 'in whatever order the engine hands on the two streams')
      failed(done, /exit code 1/)
    },
  },
  {
    id: 'C-15',
    title: 'an optional input that was given is there; a file that is no output is tolerated',
    async run(stage) {
      const image = await stage.script('copy-both', COPY_BOTH)
      const done = await stage.run(cytomine, OPTIONAL, image, {
        values: { string_input: 'x', geometry_input: POLYGON },
      })
      answered(done, { string_output: 'x' })
    },
  },
  {
    id: 'C-16',
    title: 'of two bundles whose images carry one tag, each runs its own',
    run: twoOfOneTag,
  },
  {
    id: 'C-17',
    title: 'image.tar is found without being named, and where it is',
    run: async () => {
      for (const file of [undefined, '/image.tar']) {
        const found = cytomine.describe(
          bundle({ ...(file === undefined ? {} : { image: { file } }) }, ['image.tar']),
        ).image
        assert.deepEqual(found, { kind: 'archive', path: 'image.tar' })
      }
      await Promise.resolve()
    },
  },
  {
    id: 'C-18',
    title: 'the archive is found through image.file, and the descriptor may be a .yaml',
    run: async () => {
      const files = ['app_engine_valis_exp-0.1.4.tar', 'other.tar']
      const described = cytomine.describe(bundle({ image: { file: `/${files[0]}` } }, files, 'descriptor.yaml'))
      assert.deepEqual(
        [described.image, described.descriptor],
        [{ kind: 'archive', path: files[0] }, 'descriptor.yaml'],
      )
      await Promise.resolve()
    },
  },
  {
    id: 'C-19',
    title:
      'an output that is no integer, a blank text, an array without array.yml, a folder for a file: each fails by its name',
    async run(stage) {
      const rows = [
        ['integer', 'printf abc > /outputs/output'],
        ['string', ': > /outputs/output'],
        [{ id: 'array', subtype: 'integer' }, 'mkdir /outputs/output; printf 1 > /outputs/output/0'],
        ['integer', 'mkdir /outputs/output'],
      ] as const
      for (const [at, [type, script]] of rows.entries()) {
        const image = await stage.script(`bad-output-${at}`, script)
        const done = await stage.run(cytomine, descriptor({ a: 'integer' }, { output: type }), image, {
          values: { a: '1' },
        })
        failed(done, /\boutput\b/)
        assert.deepEqual(done.outputs, {})
      }
    },
  },
  {
    id: 'C-20',
    title:
      'a bundle without descriptor, without image, with a version that is none: each is refused with its own words',
    differs:
      'a second bundle of one name and version is refused by the registry when it is published, not when it is read',
    run: async () => {
      const rows: [Parameters<typeof cytomine.check>[0], RegExp][] = [
        [folder({ 'image.tar': 'x' }), /descriptor\.yml/],
        [folder({ 'descriptor.yml': descriptor({ a: 'integer' }, { b: 'integer' }) }), /tar|image/],
        [
          folder({
            'descriptor.yml': descriptor({ a: 'integer' }, { b: 'integer' }, { version: 1.0 }),
            'image.tar': 'x',
          }),
          /version/,
        ],
      ]
      const told = rows.map(([bad, words]) => {
        const [finding] = cytomine.check(bad).filter(({ level }) => level === 'error')
        assert.match(`${finding?.where} ${finding?.what} ${finding?.cure}`, words)
        return `${finding?.where} ${finding?.what}`
      })
      assert.equal(new Set(told).size, 3)
      await Promise.resolve()
    },
  },
]

/** A folder with a descriptor and archives, as a bundle unpacks to. */
function bundle(configuration: object, archives: readonly string[], name = 'descriptor.yml') {
  const text = descriptor({ a: 'integer' }, { b: 'integer' }, { configuration: { ...CONFIGURATION, ...configuration } })
  return folder({ [name]: text, ...Object.fromEntries(archives.map((path) => [path, 'x'])) })
}

const CONFIGURATION = { input_folder: '/inputs', output_folder: '/outputs', resources: { ram: '256Mi' } }
const TAG = { repo: 'local-image-name', tag: 'latest' }

async function twoOfOneTag(stage: Stage): Promise<void> {
  const { docker, engine } = stage.t
  const first = await stage.script('identity-of-one', IDENTITY)
  const second = await stage.script('subtraction', 'echo 99 > /outputs/output')
  const archives = []
  for (const id of [first, second]) {
    await docker.getImage(id).tag(TAG)
    const chunks: Uint8Array[] = []
    for await (const chunk of await docker.getImage('local-image-name:latest').get())
      chunks.push(Buffer.from(chunk as Uint8Array))
    archives.push(chunks)
  }
  await docker.getImage('local-image-name:latest').remove()
  const ids = []
  for (const chunks of archives) ids.push(await loadImage(engine, asStream(chunks), NEVER))
  assert.equal(await engine.resolve('local-image-name:latest', NEVER), undefined, 'no tag is made')
  const [own = ''] = ids
  const done = await stage.run(cytomine, identityOf('string'), own, { values: { input: 'hello' } })
  answered(done, { output: 'hello' })
}

async function* asStream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}
