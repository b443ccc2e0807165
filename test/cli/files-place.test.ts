/** Where the outputs of a files task would go is looked at before anything is paid. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { requireFolder } from '../../src/cli/files-output.ts'
import { CID } from '../support/fake-api.ts'
import { makeBench } from './support.ts'

test('--out of a files task is refused before it is sent where no folder can be', async (t) => {
  const bench = makeBench(t)
  const file = join(bench.home, 'file')
  await writeFile(file, 'mine')
  for (const out of ['-', file, join(file, 'below')]) {
    const { exit, stderr } = await bench.run(['run', CID, '--in', 'a=1', '--out', out])
    assert.equal(exit, 2, out)
    assert.match(stderr, /nothing was sent or paid/)
  }
  assert.equal(bench.calls.filter(({ name }) => name === 'run').length, 0)
})

test('a folder that is there, and one that is to be made, are both fine and stay as they are', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meca-place-'))
  try {
    await requireFolder(folder)
    await requireFolder(join(folder, 'a', 'b'))
    assert.deepEqual(await readdir(folder), [])
  } finally {
    await rm(folder, { recursive: true })
  }
})
