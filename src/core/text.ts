/**
 * A stranger's text, made fit for a screen, a log and an error: control characters, direction marks and half
 * characters are shown as escapes, so that whoever names a thing cannot steer the terminal it is read on.
 */
import type { z } from 'zod'

const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Lines and tabs stay; everything else that draws nothing is escaped. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (c) => (c === '\n' || c === '\t' ? c : escape(c)))
}

/** What a schema found, on one line of at most 500 characters: the places, and what is wrong with each. */
export function findingsOf(error: z.ZodError): string {
  const all = error.issues.slice(0, 10).map((issue) => {
    const where = issue.path.map(String).join('.')
    return `${where === '' ? '' : `${where.slice(0, 100)}: `}${issue.message.slice(0, 200)}`
  })
  return printable(all.join('; ').replaceAll('\n', ' ')).slice(0, 500)
}

function escape(c: string): string {
  return `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`
}
