import assert from 'node:assert/strict'
import { chmod, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSecret, readOrMakeSecret, readSecret } from '../../src/store/secrets.ts'
import { tempFolder } from './support.ts'

test('a key file is private from its first byte and never written over', async (t) => {
  const folder = await tempFolder(t)
  const path = join(folder, 'main.json')
  assert.equal(await readSecret(path), undefined)
  await createSecret(path, 'first')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  await assert.rejects(createSecret(path, 'second'), { code: 'bad_input', message: /never written over/ })
  assert.equal(await readFile(path, 'utf8'), 'first')
  assert.deepEqual(await readdir(folder), ['main.json'])
})

test('a key file that others can read is refused with the cure', async (t) => {
  const path = join(await tempFolder(t), 'main.json')
  await createSecret(path, 'text')
  assert.equal(await readSecret(path), 'text')
  await chmod(path, 0o640)
  await assert.rejects(readSecret(path), { code: 'unauthorized', message: /mode 640/, cure: /chmod 600/ })
})

test('a secret that several make at once is one secret', async (t) => {
  const path = join(await tempFolder(t), 'token')
  const all = await Promise.all(Array.from({ length: 8 }, (_, i) => readOrMakeSecret(path, () => `token ${i}`)))
  assert.equal(new Set(all).size, 1)
  assert.equal(await readOrMakeSecret(path, () => 'other'), all[0])
})
