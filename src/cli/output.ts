/**
 * Where a command's words go: the result, and only the result, to stdout; everything else to stderr. With --json the
 * result is one JSON document, and a failure is one, too: `{"error": {code, message, cure, details, exit}}`.
 */
import { styleText } from 'node:util'
import { asMecaError, toProblem } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Terminal } from './world.ts'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'
export type Paint = (style: Style, text: string) => string

/** `text` is for people; `id` is what -q leaves of it, for pipes. */
export type Shown = { json: unknown; text: string; id?: string }

export type Output = {
  readonly json: boolean
  readonly quiet: boolean
  paint: Paint
  result(shown: Shown): void
  /** Bytes as they are. Resolves when the reader took them. */
  bytes(chunk: Uint8Array): Promise<void>
  /** For people, on stderr; nothing with -q. */
  say(text: string): void
  error(error: unknown): void
}

export type OutputOptions = { json: boolean; quiet: boolean; color: boolean }

export function makeOutput(
  { stdout, stderr }: Terminal,
  { json, quiet, color }: OutputOptions,
  secrets: readonly string[],
): Output {
  const paint: Paint = (style, text) => (color ? styleText(style, text, { stream: stderr }) : text)
  return {
    json,
    quiet,
    paint,
    result({ json: value, text, id }) {
      if (json) stdout.write(`${toJson(value)}\n`)
      else if (quiet && id !== undefined) stdout.write(`${id}\n`)
      else if (text !== '') stdout.write(`${text.trimEnd()}\n`)
    },
    async bytes(chunk) {
      if (!stdout.write(chunk)) await new Promise((resolve) => stdout.once('drain', resolve))
    },
    say(text) {
      if (!quiet) stderr.write(`${text}\n`)
    },
    error(error) {
      const known = asMecaError(error)
      if (json) stdout.write(`${toJson({ error: { ...toProblem(known), exit: known.exitCode } })}\n`)
      stderr.write(`${redact(explain(known, paint), secrets)}\n`)
    },
  }
}

/** Money is text in JSON, so that no reader rounds it. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? part.toString() : part))
}

/** What happened, why, what to do. */
function explain(
  error: Error & { cure?: string | undefined; details?: Readonly<Record<string, unknown>> | undefined },
  paint: Paint,
): string {
  const lines = [`${paint('red', 'error')}: ${printable(error.message)}`]
  const why = firstCause(error)
  if (why !== undefined && !error.message.includes(why)) lines.push(`  why: ${printable(why)}`)
  if (error.cure !== undefined) lines.push(`  do:  ${printable(error.cure)}`)
  const logTail = error.details?.['logTail']
  if (typeof logTail === 'string' && logTail !== '') lines.push('  its last words:', indent(lastLines(logTail, 20)))
  return lines.join('\n')
}

/** The first cause, not the last wrapper. */
function firstCause(error: Error): string | undefined {
  let cause = error.cause
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause
  return cause instanceof Error ? cause.message.split('\n')[0] : undefined
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n')
}

function indent(text: string): string {
  return printable(text).replace(/^/gm, '    ')
}

/** A cause may come from a library that quotes an address with a key in it. */
function redact(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret.length > 3)
    .reduce((left, secret) => left.replaceAll(secret, '[hidden]'), text)
}
