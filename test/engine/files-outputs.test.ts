/** What a hostile task leaves and what a hostile job brings: only plain files come out, only into the mounts it goes in. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { MAX_BUNDLE_ENTRIES } from '../../src/core/bundle.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { FilesExchange } from '../../src/core/plan.ts'
import type { StagedEntry } from '../../src/engine/engine.ts'
import { NEVER, TestEngine, failure, input, leftBy } from '../support/engine.ts'
import { busyboxImage, compilerMissing, dockerMissing, image as makeImage } from '../support/images.ts'
import { filesPlan } from '../support/plans.ts'

const skip = await dockerMissing()
const skipNative = skip || (await compilerMissing())
const MIB = 2 ** 20
const t = new TestEngine(0)
let image = ''

before(async () => {
  if (skip === false) image = await busyboxImage()
})
after(async () => {
  if (skip === false) await t.end()
})

test('links, pipes and odd names are told and left, plain files beside them are taken', { skip }, async () => {
  const script = [
    'cd /outputs; echo good > good; mkdir d; echo deep > d/deep',
    'ln -s /etc/passwd d/absolute; ln -s ../../../../etc/passwd up; ln -s /nowhere dangling; ln -s . loop',
    'mkfifo pipe; ln good hard',
    'echo x > "$(printf "line\\nbreak")"; echo x > "$(printf "bad\\377name")"; echo x > "$(printf "esc\\033[2J")"; echo x > "back\\\\slash"',
    'echo x > "..."; echo x > " space "; echo x > "-rf"',
    'echo x > "$(printf "%0250d" 0)"; p=$(printf "%0200d" 1); mkdir -p $p/$p/$p/$p; cd $p/$p/$p/$p; mkdir $p; cd $p; echo x > far',
  ].join('\n')
  const { files, left } = await t.files(image, filesPlan(script))
  const long = '0'.repeat(250)
  const taken = Object.entries(files).filter(([, content]) => content !== '')
  assert.deepEqual(Object.fromEntries(taken), {
    'out/good': 'good\n',
    'out/d/deep': 'deep\n',
    'out/...': 'x\n',
    'out/ space ': 'x\n',
    'out/-rf': 'x\n',
    [`out/${long}`]: 'x\n',
  })
  const whys = Object.entries(left).map(([path, why]) => [path.slice(0, 20), why])
  assert.deepEqual(Object.fromEntries(whys.filter(([path]) => !path?.includes('0000'))), {
    'out/back\\slash': 'a name with a backslash',
    'out/bad\uFFFDname': 'a name that is not UTF-8',
    'out/d/absolute': 'a symbolic link',
    'out/dangling': 'a symbolic link',
    'out/esc?[2J': 'a name with control characters',
    'out/hard': 'a second name of another file (hard link)',
    'out/line?break': 'a name with control characters',
    'out/loop': 'a symbolic link',
    'out/pipe': 'a named pipe',
    'out/up': 'a symbolic link',
  })
  assert.ok(whys.some(([, why]) => why === 'a name of more than 1000 bytes'))
})

test(
  'probe 50 a collected path that is a link, or leads through one, gives nothing of what it points to',
  { skip },
  async () => {
    const collect: FilesExchange['collect'] = [
      { name: 'link', path: '/outputs/link', folder: false },
      { name: 'through', path: '/outputs/folder/hosts', folder: false },
      { name: 'inside', path: '/outputs/inside/x', folder: false },
      { name: 'absent', path: '/outputs/no/such', folder: false },
      { name: 'below', path: '/outputs/file/x', folder: false },
      { name: 'file', path: '/outputs/file', folder: true },
      { name: 'folder', path: '/outputs/real', folder: false },
      { name: 'pipe', path: '/outputs/pipe', folder: false },
    ]
    const script =
      'cd /outputs; ln -s /etc/hosts link; ln -s /etc folder; mkdir real; echo x > real/x; ln -s real inside; echo f > file; mkfifo pipe'
    for (const writableInputs of [false, true]) {
      // The second form reads through the layered mount, which has a reader of its own.
      const stage: FilesExchange['stage'] = writableInputs ? [{ kind: 'folder', path: '/outputs', from: 'a' }] : []
      const got = await t.files(image, filesPlan(script, { exchange: { collect, stage } }))
      assert.deepEqual(got.files, { file: 'f\n', 'folder/': '', 'folder/x': 'x\n' })
      assert.deepEqual(got.left, {
        link: 'a symbolic link',
        through: 'a symbolic link',
        inside: 'a symbolic link',
        pipe: 'a named pipe',
      })
    }
  },
)

test('a device in the image is no output either', { skip }, async () => {
  const withDevice = await makeImage('device', [], ['RUN mkdir /d && mknod -m 666 /d/null c 1 3'], { from: image })
  const got = await t.files(
    withDevice,
    filesPlan('cp -a /d/null /outputs/ 2>/dev/null; mknod /outputs/n c 1 3 2>/dev/null; ls /outputs'),
  )
  assert.deepEqual([got.console, Object.keys(got.files)], ['', ['out/']])
})

test(
  'probe 63 a file full of holes counts as what it seems to be: too large, soon, and without our memory',
  { skip },
  async () => {
    const run = await t.run(
      image,
      filesPlan('truncate -s 1T /outputs/x || dd if=/dev/zero of=/outputs/x bs=1 count=1 seek=1000000000000'),
    )
    const rss = process.memoryUsage.rss()
    const began = Date.now()
    const error = await failure('too_large', leftBy(run))
    assert.match(error.message, /1048576 bytes/)
    assert.ok(Date.now() - began < 20_000, `it took ${Date.now() - began} ms`)
    assert.ok(process.memoryUsage.rss() - rss < 64 * MIB)
    await run.dispose()
  },
)

test('outputs are counted together, over every collected path', { skip }, async () => {
  const collect = ['a', 'b', 'c'].map((name) => ({ name, path: `/outputs/${name}`, folder: false }))
  const script = 'for n in a b c; do dd if=/dev/zero of=/outputs/$n bs=1000 count=400 2>/dev/null; done'
  const run = await t.run(image, filesPlan(script, { exchange: { collect } }))
  const names: string[] = []
  const error = await failure(
    'too_large',
    (async () => {
      for await (const entry of run.outputs(NEVER)) names.push(entry.name)
    })(),
  )
  assert.deepEqual(names, ['a', 'b'])
  assert.match(error.cure ?? '', /archive/)
  await run.dispose()
})

test('a million files end inside the task, and more than are taken are too large', { skip: skipNative }, async () => {
  const many = await manyFilesImage()
  const run = await t.run(many, {
    ...filesPlan(''),
    command: ['/many'],
    resources: { cpuMillis: 2000, memoryBytes: 512 * MIB, gpus: 0 },
  })
  assert.match(Buffer.from(run.console).toString(), /^No space left on device after 11[0-9]{4}\n$/)
  const rss = process.memoryUsage.rss()
  const error = await failure(
    'too_large',
    (async () => {
      for await (const entry of run.outputs(NEVER)) assert.notEqual(entry.kind, 'left')
    })(),
  )
  assert.match(error.message, new RegExp(String(MAX_BUNDLE_ENTRIES)))
  assert.ok(process.memoryUsage.rss() - rss < 128 * MIB)
  await run.dispose()
})

const MANY = `#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
int main() {
  char name[64];
  for (int i = 0; i < 1000000; i++) {
    sprintf(name, "/outputs/%d", i);
    int file = open(name, O_CREAT | O_WRONLY, 0666);
    if (file < 0) { fprintf(stderr, "%m after %d\\n", i); return 0; }
    close(file);
  }
  return 1;
}`

async function manyFilesImage(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-many-'))
  try {
    await writeFile(join(folder, 'many.c'), MANY)
    await promisify(execFile)('cc', ['-static', '-O1', '-w', '-o', join(folder, 'many'), join(folder, 'many.c')])
    return await makeImage('many', [{ path: 'many', bytes: await readFile(join(folder, 'many')) }], ['COPY many /many'])
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('128 MiB go in and come back in pieces, without lying in our memory', { skip }, async () => {
  const bytes = 128 * MIB
  const piece = Buffer.alloc(MIB, 7)
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < bytes / MIB; i++) yield await Promise.resolve(piece)
  }
  const plan = filesPlan('cat /inputs/big > /outputs/big', {
    resources: { memoryBytes: 512 * MIB },
    limits: { outputBytes: bytes },
    exchange: {
      mounts: [
        { path: '/inputs', writable: false, sizeBytes: 0 },
        { path: '/outputs', writable: true, sizeBytes: bytes },
      ],
      collect: [{ name: 'big', path: '/outputs/big', folder: false }],
    },
  })
  const rss = process.memoryUsage.rss()
  const run = await t.run(image, plan, [{ kind: 'file', path: '/inputs/big', bytes, body: body() }])
  let read = 0
  let highest = 0
  for await (const entry of run.outputs(NEVER)) {
    if (entry.kind !== 'file') continue
    for await (const chunk of entry.body) {
      read += chunk.length
      highest = Math.max(highest, process.memoryUsage.rss())
    }
  }
  assert.deepEqual([run.end.exitCode, read], [0, bytes])
  assert.ok(highest - rss < 96 * MIB, `${(highest - rss) / MIB} MiB more`)
  await run.dispose()
})

test('an output that nobody reads does not stop the next one', { skip }, async () => {
  const run = await t.run(
    image,
    filesPlan('cd /outputs; for n in 1 2 3; do dd if=/dev/zero of=$n bs=1000 count=300 2>/dev/null; done'),
  )
  const seen: string[] = []
  for await (const entry of run.outputs(NEVER)) {
    seen.push(entry.path)
    if (entry.kind === 'file' && entry.path === '2') await entry.body[Symbol.asyncIterator]().next()
  }
  assert.deepEqual(seen, ['', '1', '2', '3'])
  await run.dispose()
})

const STRAY = ['/elsewhere/x', '/inputs/../etc/x', '/inputs']

test('what would be staged outside the mounts is refused by its name, and nothing is left', { skip }, async () => {
  for (const path of STRAY) {
    await failure('bad_input', t.run(image, filesPlan('true'), [input('/inputs/ok', ''), input(path, 'x')]))
  }
  assert.deepEqual([await t.containers(), await t.volumes()], [[], []])
})

test('mounts that cannot be given are refused before anything is made', { skip }, async () => {
  for (const path of ['/', '/proc', '/sys/x', '/dev', 'relative', '/a/../b', '/a:b', '/a,b', '/a/']) {
    const mounts = [{ path, writable: true, sizeBytes: MIB }]
    await failure('invalid_task', t.run(image, filesPlan('true', { exchange: { mounts } })))
  }
  const twice = { path: '/a', writable: true, sizeBytes: MIB }
  await failure('invalid_task', t.run(image, filesPlan('true', { exchange: { mounts: [twice, twice] } })))
})

test(
  'a source that fails, or gives other bytes than it announced, ends the run before it starts',
  { skip },
  async () => {
    let started = false
    const options = { onStarted: () => void (started = true) }
    async function* broken(): AsyncGenerator<StagedEntry> {
      yield await Promise.resolve(input('/inputs/ok', 'x'))
      throw new MecaError('ipfs_unreachable', 'the content is gone')
    }
    await failure('ipfs_unreachable', t.run(image, filesPlan('true'), [], { ...options, staged: broken() }))
    for (const bytes of [1, 3]) {
      const entry: StagedEntry = { kind: 'file', path: '/inputs/x', bytes, body: Buffer.from('ab') }
      await failure('bad_input', t.run(image, filesPlan('true'), [entry], options))
    }
    assert.equal(started, false)
    assert.deepEqual([await t.containers(), await t.volumes()], [[], []])
  },
)
