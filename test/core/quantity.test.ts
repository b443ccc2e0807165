import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MecaError } from '../../src/core/errors.ts'
import { bytesOfQuantity, millisOfQuantity } from '../../src/core/quantity.ts'

const GIB = 2 ** 30

test('memory is read with every suffix of Kubernetes, and rounded up', () => {
  const cases: [string | number, number][] = [
    ['1Gi', GIB],
    ['1.5Gi', 1.5 * GIB],
    ['2G', 2e9],
    ['500M', 5e8],
    ['1024', 1024],
    [1024, 1024],
    ['10B', 10],
    ['1Ki', 1024],
    ['1k', 1000],
    ['1e3', 1000],
    ['1E3', 1000],
    ['12e-1', 2],
    ['1E', 1e18],
    ['.5Mi', 524_288],
    ['5.', 5],
    ['+1Mi', 2 ** 20],
    ['0', 0],
    ['100m', 1],
    ['1n', 1],
    [1e21, -1],
  ]
  for (const [text, bytes] of cases) {
    if (bytes > Number.MAX_SAFE_INTEGER || bytes < 0) assert.throws(() => bytesOfQuantity(text), isBadInput)
    else assert.equal(bytesOfQuantity(text), bytes, String(text))
  }
})

test('cores are counted in thousandths', () => {
  assert.equal(millisOfQuantity('500m'), 500)
  assert.equal(millisOfQuantity(2), 2000)
  assert.equal(millisOfQuantity('0.1'), 100)
  assert.equal(millisOfQuantity('1u'), 1)
  assert.equal(millisOfQuantity('1.0001'), 1001)
})

test('what is no quantity is refused with its name, its value and an example', () => {
  const wrong = ['', ' ', '1 Gi', '-1', '-1Gi', '2GiB', '2GiBxyz', 'Gi', '.', '1ki', '1K', '1Z', '0x10', 'NaN', '1e3Gi']
  for (const text of [...wrong, '1e999', '9'.repeat(60), '1Yi', Infinity, NaN, -2]) {
    assert.throws(
      () => bytesOfQuantity(text, 'limits.memory'),
      (error) => isBadInput(error) && error.message.includes('limits.memory') && error.cure !== undefined,
      String(text),
    )
  }
})

test('a larger quantity never counts less, whatever its suffix', () => {
  const suffix = fc.constantFrom('', 'm', 'k', 'M', 'Ki', 'Mi', 'Gi')
  fc.assert(
    fc.property(fc.nat(100_000), fc.nat(100_000), suffix, (a, b, unit) => {
      const [small, large] = [Math.min(a, b), Math.max(a, b)]
      assert.ok(bytesOfQuantity(`${small}${unit}`) <= bytesOfQuantity(`${large}${unit}`))
    }),
  )
})

test('any text at all is a quantity or a refusal', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      try {
        assert.ok(Number.isSafeInteger(bytesOfQuantity(text)))
      } catch (error) {
        assert.ok(isBadInput(error))
      }
    }),
  )
})

function isBadInput(error: unknown): error is MecaError {
  return error instanceof MecaError && error.code === 'bad_input'
}
