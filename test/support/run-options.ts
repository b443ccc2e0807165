/**
 * The options of a long run: whole numbers by name, each with its default, and words. A number that is none would try
 * nothing and find nothing, so it ends the run at once, with exit code 2, as does an option that nobody knows.
 */
import { parseArgs } from 'node:util'

type Parsed<Number extends string, Word extends string> = Record<Number, number> & Partial<Record<Word, string>>

export function runOptions<Number extends string, Word extends string = never>(
  defaults: Readonly<Record<Number, number>>,
  words: readonly Word[] = [],
): Parsed<Number, Word> {
  try {
    return parse(defaults, words, process.argv.slice(2))
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error))
  }
}

/** Wrong usage, as everywhere: what is wrong on stderr, and exit code 2. */
export function refuse(why: string): never {
  process.stderr.write(`${why}\n`)
  process.exit(2)
}

/** A seed may be 0; everything else is counted from 1. Throws where an option does not fit. */
export function parse<Number extends string, Word extends string>(
  defaults: Readonly<Record<Number, number>>,
  words: readonly Word[],
  args: string[],
): Parsed<Number, Word> {
  const names = [...(Object.keys(defaults) as Number[]), ...words]
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({ args, options })
  const parsed = Object.entries<number>(defaults).map(([name, fallback]) => {
    const text = values[name]
    if (text === undefined) return [name, fallback]
    const least = name === 'seed' ? 0 : 1
    if (/^[0-9]{1,9}$/.test(text) && Number(text) >= least) return [name, Number(text)]
    const shown = JSON.stringify(text)
    throw new Error(`--${name} takes a whole number from ${least} to 999999999, got ${shown}`)
  })
  return { ...values, ...Object.fromEntries(parsed) } as Parsed<Number, Word>
}

/** Another one each time; runs print it, so that the next can take it. */
export function anySeed(): number {
  return Date.now() % 999_999_999
}
