/** A files plan's whole life in real containers: what goes in, what may be done to it, what comes out, how it ends. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TestEngine, input } from '../support/engine.ts'
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

test(
  'what is staged is read, what is written comes back, the console in order, and nothing is left',
  { skip },
  async () => {
    const script =
      'echo begin; cat /inputs/a/b.txt > /outputs/copy; mkdir /outputs/d; echo x > /outputs/d/y; sleep 0.2; echo end >&2'
    const got = await t.files(image, filesPlan(script), [input('/inputs/a/b.txt', 'hello')])
    assert.deepEqual(got.files, { 'out/': '', 'out/copy': 'hello', 'out/d/': '', 'out/d/y': 'x\n' })
    assert.deepEqual([got.run.end.exitCode, got.run.end.outOfMemory, got.run.end.killedFor], [0, false, undefined])
    assert.equal(got.console, 'begin\nend\n')
    assert.deepEqual([await t.containers(), await t.volumes()], [[], []])
  },
)
