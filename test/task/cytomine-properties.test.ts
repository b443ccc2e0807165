/** Whatever a developer or a caller writes: a typed error or a plan that stages inside the input folder only. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import { MecaError } from '../../src/core/errors.ts'
import { cytomine } from '../../src/task/cytomine.ts'
import { descriptor, folder, given, jobOf, plan, staged, tree } from './cytomine-kit.ts'

/** Types with a value that each takes, or nearly takes. */
const GOOD: readonly (readonly [unknown, string])[] = [
  ['boolean', 'true'],
  ['integer', '0x1F'],
  [{ id: 'integer', gt: -5, leq: 300 }, '300'],
  ['number', '-1.50'],
  ['string', '../../x'],
  [{ id: 'enumeration', values: ['A', '../x'] }, '../x'],
  ['datetime', '2024-01-01T00:00:00Z'],
  ['geometry', '{"type": "Point", "coordinates": [1, 2]}'],
  [{ id: 'array', max_size: 5, subtype: 'string' }, '["../x", "y"]'],
  [{ id: 'array', subtype: { id: 'array', subtype: 'number' } }, '[[1], [2.0, "5"], []]'],
  ['file', 'x'],
  ['image', 'x'],
]
const param = fc.constantFrom(...GOOD)
const noise = fc.oneof(
  fc.constantFrom('1', 'nan', '[1, 2]', '[[1]]', 'null', '["../../x"]'),
  fc.string({ unit: 'binary' }),
  fc.jsonValue().map((v) => JSON.stringify(v)),
)
/** A parameter, whether it may be missing, and what is given for it: its value, noise, files, or nothing. */
const asked = fc.record({
  param,
  optional: fc.boolean(),
  how: fc.constantFrom('good', 'good', 'noise', 'file', 'folder', 'no'),
  noise,
})
const inputs = fc.dictionary(fc.constantFrom('a', 'b', 'c'), asked, { minKeys: 1 })
const path = fc.constantFrom('/0', '/1', '/array.yml', '/0/0', '/../../x', '/x y', '/0/array.yml')
const files = fc.dictionary(path, fc.oneof(fc.constantFrom('1', 'size: 2\n', 'size: 1', '\u0000'), noise))

test('plan gives a plan inside the input folder or a typed error, and judge a verdict', () => {
  let [placed, refused] = [0, 0]
  fc.assert(
    fc.property(inputs, files, (all, there) => {
      const text = descriptor(
        Object.fromEntries(Object.entries(all).map(([name, a]) => [name, { type: a.param[0], optional: a.optional }])),
        Object.fromEntries(Object.entries(all).map(([name, a]) => [name, a.param[0]])),
      )
      const what = givenOf(all, there)
      try {
        for (const at of Object.keys(staged(text, what))) {
          placed++
          assert.match(at, /^\/inputs\/[abc](\/(0|[1-9][0-9]*|array\.yml))*$/)
        }
      } catch (error) {
        refused++
        assert.ok(error instanceof MecaError, String(error))
        assert.equal(error.code, 'bad_input', error.message)
      }
      const verdict = cytomine.judge(text, jobOf(what), ran(filesOf('a', there)))
      assert.ok(verdict.status === 'answered' || (verdict.problem?.message ?? '') !== '')
    }),
    { numRuns: 200 },
  )
  assert.ok(placed > 50 && refused > 50, `${placed} things were staged and ${refused} jobs refused`)
})

type Asked = Readonly<Record<string, { param: readonly [unknown, string]; how: string; noise: string }>>

function givenOf(all: Asked, there: Record<string, string>) {
  const values: Record<string, string> = {}
  const content: Record<string, string> = {}
  for (const [name, { param, how, noise }] of Object.entries(all)) {
    if (how === 'good') values[name] = param[1]
    if (how === 'noise') values[name] = noise
    if (how === 'file') content[name] = noise
    if (how === 'folder') Object.assign(content, filesOf(name, there))
  }
  return given(values, content)
}

function filesOf(name: string, there: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(there).map(([below, content]) => [name + below, content]))
}

function ran(left: Record<string, string>) {
  const end = { exitCode: 0, outOfMemory: false, logTail: '' }
  return {
    end,
    startedAt: 0,
    endedAt: 1,
    image: '',
    console: new Uint8Array(0),
    leftOut: [],
    folders: new Set<string>(),
    noted: new Map(),
    files: tree(left),
  }
}

test('no text is a descriptor that breaks more than itself', () => {
  const lines = fc.array(
    fc.constantFrom(
      'name: x',
      'inputs:',
      '  a:',
      '    type: array',
      '    type: {id: array, subtype: {id: array}}',
      'outputs: [',
      '- &a *a',
      'configuration: {resources: {ram: 1Gi}}',
      '\t',
      '"',
      'version: 1.0.0',
      'inputs: {a: {default: {}}}',
      'authors: [1, {}]',
      'external: 1',
    ),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(
      fc.oneof(
        lines.map((all) => all.join('\n')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => {
        const findings = cytomine.check(folder({ 'descriptor.yml': text, 'image.tar': 'x' }))
        assert.ok(findings.some(({ level }) => level === 'error'))
        assert.throws(() => cytomine.plan(text, jobOf(given({}))), MecaError)
      },
    ),
    { numRuns: 400 },
  )
})

test('names that leave the folder are no parameters, in a descriptor or in a job', () => {
  for (const name of ['..', '../x', 'a/b', '/etc/passwd', '', 'a.b', 'a b', '__proto__', 'x'.repeat(101)]) {
    const text = descriptor({ [name]: 'string' }, { [name]: 'string' })
    const values = Object.fromEntries([[name, 'x']])
    assert.throws(() => plan(text, { job: { ...NO_PARAMETERS, values }, files: new Map() }), MecaError, name)
  }
  const text = descriptor({ a: 'string' }, {})
  for (const name of ['..', '../a', 'a/../b', 'constructor', 'toString', 'A'])
    assert.throws(() => plan(text, given({ a: 'x', [name]: 'y' })), /has no input/, name)
})

test('texts made for backtracking take no time', () => {
  const number = descriptor({ a: 'number', b: 'integer', c: 'datetime' }, {})
  const began = performance.now()
  for (const piece of ['1', '0', '_', '.', '1e', '-', '0b', '0x_', '1.', ' ', '\n', '2024-']) {
    const text = piece.repeat(200_000)
    assert.throws(() => plan(number, given({ a: text, b: text, c: text })), MecaError)
  }
  for (const piece of ['1.0.0-', '-a', '.a', '0', 'a-'])
    cytomine.check(
      folder({ 'descriptor.yml': descriptor({}, {}, { version: piece.repeat(5000), namespace: piece.repeat(5000) }) }),
    )
  assert.ok(performance.now() - began < 20_000, `took ${performance.now() - began} ms`)
})
