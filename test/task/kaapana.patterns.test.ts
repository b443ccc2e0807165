import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MecaError } from '../../src/core/errors.ts'
import { Budget } from '../../src/task/kaapana/budget.ts'
import { globOf } from '../../src/task/kaapana/glob.ts'
import { checkPattern, patternOf } from '../../src/task/kaapana/pattern.ts'

test('patterns match whole texts, as Python does', () => {
  const cases: [pattern: string, yes: string[], no: string[]][] = [
    ['.*', ['', 'a/b.dcm'], ['a\nb']],
    [String.raw`.*\.dcm`, ['x.dcm', 'a/b/x.dcm'], ['xdcm', 'x.dcm2', 'x.dcm/y']],
    ['(ct|mr)_[0-9]{3}', ['ct_001', 'mr_999'], ['ct_01', 'ct_0001', 'pt_001']],
    [String.raw`\d+\w*\s?[^a-c/]`, ['1x', '12_ä x'.replace(' ', '')], ['x1', '1a']],
    ['^a(b|)$', ['a', 'ab'], ['b', 'abb']],
    ['(?:ab){2,}', ['abab', 'ababab'], ['ab', 'aba']],
    ['a{2,3}?', ['aa', 'aaa'], ['a', 'aaaa']],
    ['a{,2}', ['', 'a', 'aa'], ['aaa']],
    ['x{y}', ['x{y}'], ['xy']],
    ['(?i)SCAN', ['scan', 'SCAN', 'sCaN'], ['scar']],
    ['(?P<name>a)b', ['ab'], ['a']],
    ['[]a-]+', [']', 'a-]'], ['b']],
    [String.raw`[\w.]+`, ['a.b_9'], ['a b']],
    ['a|b|', ['a', 'b', ''], ['ab']],
    ['a$b', [], ['a$b', 'ab']],
    ['😀.', ['😀😀', '😀a'], ['😀']],
  ]
  for (const [pattern, yes, no] of cases) {
    const { matches } = bound(pattern)
    for (const text of yes) assert.ok(matches(text), `${pattern} matches ${text}`)
    for (const text of no) assert.ok(!matches(text), `${pattern} does not match ${text}`)
  }
})

function bound(source: string): { matches(text: string): boolean } {
  const pattern = patternOf(source, new Budget())
  return { matches: (text) => pattern.matches(text) }
}

test('what is beyond the subset is refused and not guessed', () => {
  const wrong = [
    '(?=a)b',
    '(?!a)b',
    '(?<=a)b',
    String.raw`(a)\1`,
    String.raw`\bx`,
    '(?s).',
    'a**',
    'a++',
    '*a',
    '(a',
    'a)',
    '[a',
    'a\\',
  ]
  for (const pattern of [
    ...wrong,
    '[z-a]',
    'a{5,2}',
    'a{2000}',
    '^*',
    '('.repeat(400),
    'a'.repeat(501),
    '(((a{999}){999}){999}){999}',
  ]) {
    assert.throws(() => patternOf(pattern, new Budget()), isInvalid, pattern)
  }
})

function isInvalid(error: unknown): boolean {
  return error instanceof MecaError && error.code === 'invalid_task' && error.cure !== undefined
}

test('patterns that backtrack for ever elsewhere are done in milliseconds', () => {
  const text = `${'a'.repeat(900)}!`
  const started = performance.now()
  for (const source of [
    '(a+)+b',
    '(a|a)*b',
    '(a*)*b',
    '(.*)*.*=.*',
    '(a|aa)+$',
    '([a-z]+)*[0-9]',
    '(a?){200}a{200}',
    '((a*)*)*b',
  ]) {
    const pattern = patternOf(source, new Budget())
    assert.equal(pattern.matches(text), false, source)
  }
  const took = performance.now() - started
  assert.ok(took < 15_000, `${took} ms`)
})

test('a pattern that would need too long over too many names ends with a refusal', () => {
  const pattern = patternOf(`${'(a|b)*a'}${'(a|b)'.repeat(14)}`, new Budget())
  const started = performance.now()
  assert.throws(
    () => {
      for (let n = 0; n < 100_000; n++)
        pattern.matches((n * 2654435761).toString(2).replaceAll('0', 'a').replaceAll('1', 'b').repeat(20))
    },
    (error) => error instanceof MecaError && error.code === 'bad_input',
  )
  assert.ok(performance.now() - started < 10_000)
})

const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '(a|b)', '(ab|)', String.raw`\.`)
const times = fc.constantFrom('', '*', '+', '?', '{2}', '{1,2}')
const simple = fc
  .array(
    fc.tuple(atom, times).map((parts) => parts.join('')),
    { maxLength: 4 },
  )
  .map((parts) => parts.join(''))

test('the automaton agrees with the platform on patterns of our own making', () => {
  fc.assert(
    fc.property(
      fc.array(simple, { minLength: 1, maxLength: 2 }),
      fc.array(fc.stringMatching(/^[ab.]{0,6}$/), { minLength: 1, maxLength: 5 }),
      (sides, texts) => {
        const source = sides.join('|')
        const [ours, theirs] = [patternOf(source, new Budget()), new RegExp(`^(?:${source})$`)]
        for (const text of texts) assert.equal(ours.matches(text), theirs.test(text), `${source} on ${text}`)
      },
    ),
    { numRuns: 2000 },
  )
})

test('any text is a pattern or a refusal', () => {
  const piece = fc.oneof(
    fc.constantFrom('(', ')', '[', ']', '{', '}', '*', '+', '?', '|', '\\', '^', '$', '-', ',', '1', 'a'),
    fc.string({ maxLength: 1 }),
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 20 }).map((p) => p.join('')),
      fc.string({ maxLength: 10 }),
      (source, text) => {
        try {
          patternOf(source, new Budget()).matches(text)
        } catch (error) {
          assert.ok(isInvalid(error), String(error))
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test('file patterns find a file at any depth, as rglob does', () => {
  const cases: [glob: string, yes: string[], no: string[]][] = [
    ['*', ['a', 'a/b/c.txt', '.hidden'], []],
    ['*.nrrd', ['x.nrrd', 'a/b/x.nrrd', '.nrrd'], ['x.nrrd.gz', 'x.nrrd/y']],
    ['seg/*.nii', ['seg/a.nii', 'x/seg/a.nii'], ['seg/x/a.nii', 'a.nii']],
    ['seg/**/*.nii', ['seg/a.nii', 'seg/x/y/a.nii'], ['a.nii']],
    ['im[0-9][!a]?.dcm', ['im1bc.dcm'], ['im1ac.dcm', 'imxbc.dcm', 'im1b.dcm']],
    ['[a', ['[a'], ['a']],
    ['[]]x', [']x'], ['x']],
    ['[^a]', ['^', 'a'], ['b']],
    ['', ['anything', 'a/b'], []],
  ]
  for (const [glob, yes, no] of cases) {
    const matches = globOf(glob, new Budget())
    for (const path of yes) assert.ok(matches(path), `${glob} matches ${path}`)
    for (const path of no) assert.ok(!matches(path), `${glob} does not match ${path}`)
  }
})

test('a file pattern of many stars is done in milliseconds', () => {
  const started = performance.now()
  const matches = globOf(`${'*a'.repeat(100)}b`, new Budget())
  for (let n = 0; n < 100; n++) assert.equal(matches(`${'a'.repeat(250)}/`.repeat(4) + 'a'.repeat(250)), false)
  assert.ok(performance.now() - started < 15_000)
})

test('expensive file patterns over many long names end with a refusal in about a second', () => {
  const matches = globOf('a*b*/'.repeat(150), new Budget())
  const path = Array.from({ length: 400 }, () => 'ab').join('/')
  const started = performance.now()
  assert.throws(
    () => {
      for (let n = 0; n < 100_000; n++) matches(path)
    },
    (error) => error instanceof MecaError && error.code === 'bad_input',
  )
  assert.ok(performance.now() - started < 15_000)
})

test('looking at a pattern is cheap however large its automaton would be', () => {
  const started = performance.now()
  for (let n = 0; n < 5000; n++) checkPattern('(((a{99}){5}){10})')
  assert.throws(() => checkPattern('((((((a{999}){999}){999}){999}){999}){999})'), isInvalid)
  assert.ok(performance.now() - started < 15_000)
})
