/** The table of failpoints and the program say the same, so that `npm run crash:points` visits every place there is. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FAILPOINTS } from '../../src/failpoint.ts'
import { VISITS } from './visits.ts'

const SRC = join(import.meta.dirname, '../../src')

test('4.5 every failpoint in the table stands in the program once, and the other way round; there are at least 25', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const named = files.flatMap((file) =>
    [...readFileSync(join(SRC, file), 'utf8').matchAll(/\bfailpoint\('([^']+)'\)/g)].map(([, name = '']) => name),
  )
  assert.deepEqual(named.toSorted(), Object.keys(FAILPOINTS).toSorted())
  assert.ok(named.length >= 25)
})

test('4.5 every failpoint has a way to be reached', () => {
  assert.deepEqual(Object.keys(VISITS).toSorted(), Object.keys(FAILPOINTS).toSorted())
})
