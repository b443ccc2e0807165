/** Every case of the four contracts against a real engine; `npm run conformance` prints the same list as a table. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { dockerMissing } from '../support/images.ts'
import { CASES } from './cases.ts'
import { Stage } from './stage.ts'

const SCRIPT = join(import.meta.dirname, '..', '..', 'scripts', 'conformance.ts')
const skip = await dockerMissing()

test('there are twenty cases of each contract, in order', () => {
  const numbers = Array.from({ length: 20 }, (_, i) => String(i + 1).padStart(2, '0'))
  const expected = ['M', 'C', 'K', 'B'].flatMap((letter) => numbers.map((number) => `${letter}-${number}`))
  assert.deepEqual(
    CASES.map(({ id }) => id),
    expected,
  )
})

test('a slip in the words of the command is wrong use, and no table in which nothing failed', () => {
  for (const words of [['--bogus'], ['--format', 'foo'], ['--case', 'Z-99'], ['--format', 'meca', '--case', 'C-01']]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...words], { encoding: 'utf8' })
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, /^.*(bogus|foo|Z-99|C-01).*\nWhat to do: /)
  }
})

describe('conformance', { skip }, () => {
  const stage = new Stage()
  after(() => stage.close())
  for (const { id, title, run } of CASES) test(`${id} ${title}`, () => run(stage))
})
