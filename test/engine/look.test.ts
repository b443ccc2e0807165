/** What can be learned of an image without running it: whether it is there, and one file in it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { NEVER, TestEngine, failure } from '../support/engine.ts'
import { busyboxImage, dockerMissing, image as makeImage } from '../support/images.ts'

const skip = await dockerMissing()
const t = new TestEngine(0)
const { engine } = t
let base = ''

before(async () => {
  if (skip === false) base = await busyboxImage()
})
after(async () => {
  if (skip === false) await t.end()
})

test('one file is read out of an image; links, folders, absent and large ones are not', { skip }, async () => {
  const id = await makeImage(
    'look',
    [{ path: 'd.json', bytes: Buffer.from('{"a":1}') }],
    ['COPY d.json /d.json', 'RUN ln -s /d.json /link && mkdir /folder && ln -s / /root', 'VOLUME /data'],
    { from: base },
  )
  const read = async (path: string, cap = 100) => {
    const bytes = await engine.file(id, path, cap, NEVER)
    return bytes === undefined ? undefined : Buffer.from(bytes).toString()
  }
  assert.equal(await read('/d.json'), '{"a":1}')
  for (const path of ['/link', '/folder', '/absent', '/no/such/file']) assert.equal(await read(path), undefined, path)
  await failure('too_large', read('/d.json', 6))
  assert.deepEqual([await t.containers(), await t.volumes()], [[], []])
})

test('an image is found by its id, and one that is not there is not', { skip }, async () => {
  assert.equal(await engine.resolve(base, NEVER), base)
  assert.equal(await engine.resolve('meca-test/no-such:image', NEVER), undefined)
})
