/**
 * `{{ env.NAME }}` in a task file, from a list that the caller wrote. The reference renders the file with a template engine that sees
 * the whole environment of its process and can run what a stranger wrote; this replaces names by texts, and that is all.
 */
import { MecaError } from '../../core/errors.ts'
import { quote } from '../../core/units.ts'

export const WHAT = 'The task file'

const EXPRESSION = /\{\{ *env\.([A-Za-z_][A-Za-z0-9_]*) *\}\}/g

/** Inside of strings only, so that no value can become structure. Throws `bad_input` for anything else of a template language. */
export function substitute(value: unknown, env: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') return filled(value, env)
  if (Array.isArray(value)) return value.map((item) => substitute(item, env))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, substitute(inner, env)]))
}

function filled(text: string, env: Readonly<Record<string, string>>): string {
  const foreign = /\{[{%]/.exec(text.replace(EXPRESSION, ''))
  if (foreign !== null)
    throw new MecaError('bad_input', `${WHAT} uses a template language in ${quote(text)}`, {
      cure: 'only {{ env.NAME }} is understood, for variables that you allow',
    })
  return text.replace(EXPRESSION, (_, name: string) => {
    const known = Object.hasOwn(env, name) ? env[name] : undefined
    if (known !== undefined) return known
    throw new MecaError('bad_input', `${WHAT} asks for the variable ${name}, which was not given to it`, {
      cure: `write its value into the file, or give it with --task-env ${name}=VALUE`,
    })
  })
}
