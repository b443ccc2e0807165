/** Every case of the four contracts against a real engine; `npm run conformance` prints the same list as a table. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { dockerMissing } from '../support/images.ts'
import { CASES } from './cases.ts'
import { Stage } from './stage.ts'

const skip = await dockerMissing()

test('there are twenty cases of each contract, in order', () => {
  const numbers = Array.from({ length: 20 }, (_, i) => String(i + 1).padStart(2, '0'))
  const expected = ['M', 'C', 'K', 'B'].flatMap((letter) => numbers.map((number) => `${letter}-${number}`))
  assert.deepEqual(
    CASES.map(({ id }) => id),
    expected,
  )
})

describe('conformance', { skip }, () => {
  const stage = new Stage()
  after(() => stage.close())
  for (const { id, title, run } of CASES) test(`${id} ${title}`, () => run(stage))
})
