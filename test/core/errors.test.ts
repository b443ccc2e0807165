import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { asMecaError, ERRORS, fromProblem, MecaError, toProblem } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'

const CODES = Object.keys(ERRORS) as ErrorCode[]
/** design.md 8; 70 is sysexits' EX_SOFTWARE, for a fault of the program. */
const EXITS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 70, 130]

test('every code has an exit code of the documented set, an HTTP status of an error and a title of its own', () => {
  for (const code of CODES) {
    const { exit, http, title } = ERRORS[code]
    assert.match(code, /^[a-z]+(_[a-z]+)*$/)
    assert.ok(code.length <= 40, `${code} does not fit in a problem on the wire`)
    assert.ok(EXITS.includes(exit), `${code} exits with ${exit}`)
    assert.ok(http >= 400 && http <= 599, `${code} answers ${http}`)
    assert.ok(title.length > 10 && !title.endsWith('.'), title)
  }
  assert.equal(new Set(CODES.map((code) => ERRORS[code].title)).size, CODES.length)
  assert.deepEqual(
    EXITS.filter((exit) => !CODES.some((code) => ERRORS[code].exit === exit)),
    [],
    'every documented exit code is used',
  )
})

test('what a caller can mend is a 4xx or says when to come back, and each kind has its exit code', () => {
  const rows: [ErrorCode, number, number][] = [
    ['bad_input', 2, 400],
    ['unauthorized', 2, 401],
    ['payment', 5, 402],
    ['insufficient_funds', 5, 402],
    ['not_allowed', 4, 403],
    ['not_found', 3, 404],
    ['job_conflict', 2, 409],
    ['too_large', 2, 413],
    ['busy', 4, 503],
    ['peer_unreachable', 6, 502],
    ['engine_unavailable', 7, 503],
    ['run_timeout', 8, 504],
    ['not_verified', 9, 502],
    ['would_ask', 10, 409],
    ['cancelled', 130, 499],
    ['task_failed', 1, 502],
  ]
  for (const [code, exit, http] of rows) assert.deepEqual([ERRORS[code].exit, ERRORS[code].http], [exit, http], code)
})

test('an error is the same after it crossed a process boundary', () => {
  const text = fc.string({ unit: 'grapheme' }).map((t) => t.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, ''))
  const details = fc.dictionary(
    fc.string().filter((k) => k !== '__proto__'),
    fc.jsonValue({ noUnicodeString: false }),
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...CODES),
      text,
      fc.option(text, { nil: undefined }),
      fc.option(details, { nil: undefined }),
      (code, message, cure, extra) => {
        const error = new MecaError(code, message, {
          ...(cure === undefined ? {} : { cure }),
          ...(extra === undefined ? {} : { details: JSON.parse(JSON.stringify(extra)) as Record<string, unknown> }),
        })
        const problem = toProblem(error)
        const back = fromProblem(JSON.parse(JSON.stringify(problem)) as typeof problem)
        assert.deepEqual(toProblem(back), problem)
        assert.equal(back.exitCode, ERRORS[code].exit)
      },
    ),
  )
})

test('a code that is not ours, were it the name of something every object has, becomes internal', () => {
  for (const code of ['nonsense', 'constructor', '__proto__', 'toString', '']) {
    assert.equal(fromProblem({ code: code as ErrorCode, message: 'm' }).code, 'internal')
  }
})

test("a stranger's problem cannot steer the terminal it is shown on", () => {
  const error = fromProblem({ code: 'refused', message: '\u001b[2Jall good\u202e', cure: 'run\u0007 this' })
  assert.equal(error.message, '\\u{1b}[2Jall good\\u{202e}')
  assert.equal(error.cure, 'run\\u{7} this')
})

test('anything thrown becomes one of ours, with its cause', () => {
  const ours = new MecaError('busy', 'full')
  assert.equal(asMecaError(ours), ours)
  const abort = new DOMException('stop', 'AbortError')
  assert.deepEqual([asMecaError(abort).code, asMecaError(abort).cause], ['cancelled', abort])
  const fault = new TypeError('x is not a function')
  assert.deepEqual(
    [asMecaError(fault).code, asMecaError(fault).message, asMecaError(fault).cause],
    ['internal', 'x is not a function', fault],
  )
  for (const odd of ['text', 7, null, undefined, { a: 1 }]) assert.equal(asMecaError(odd).code, 'internal')
})

test('a problem says no more than was said: no cause, no stack', () => {
  const error = new MecaError('internal', 'm', { cause: new Error('the password is hunter2') })
  assert.deepEqual(toProblem(error), { code: 'internal', message: 'm' })
})
