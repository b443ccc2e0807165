/** What a workflow keeps beside its outputs. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { openState } from '../../src/cli/flow-state.ts'

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-flow-state-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

test('steps that start in one moment do not lose each other the file', async (t) => {
  const out = await folderOf(t)
  const { state, save } = await openState(out, undefined)
  const steps = Array.from({ length: 50 }, (_, i) => `step${i}`)
  await Promise.all(
    steps.map((step) => {
      state.attempts[step] = 1
      return save()
    }),
  )
  assert.deepEqual(await readdir(out), ['.meca-flow.json'])
  const again = await openState(out, undefined)
  assert.deepEqual(Object.keys(again.state.attempts).sort(), steps.sort())
  assert.equal(again.state.id, state.id)
})

test('a write that failed is told to who asked, and the next is tried', async (t) => {
  const out = join(await folderOf(t), 'out')
  const { save } = await openState(out, 'mine')
  await rm(out, { recursive: true })
  await assert.rejects(save(), /ENOENT/)
  await openState(out, 'mine')
  await save()
  assert.match(await readFile(join(out, '.meca-flow.json'), 'utf8'), /"mine"/)
})

test('another name starts afresh, and a file of something else is refused', async (t) => {
  const out = await folderOf(t)
  const { state, save } = await openState(out, 'first')
  state.attempts['a'] = 2
  await save()
  assert.deepEqual((await openState(out, 'second')).state, { id: 'second', attempts: {} })
  for (const text of ['{"id": 5}', 'no json']) {
    await writeFile(join(out, '.meca-flow.json'), text)
    await assert.rejects(openState(out, undefined), { code: 'bad_input' })
  }
})
