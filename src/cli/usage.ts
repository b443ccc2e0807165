/** What every command's definition shares: the shape of an action, and help that begins with examples. */
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Context } from './context.ts'

/** Wraps a command's work; what it resolves to is the exit code, 0 where it says nothing. */
export type Act = <A extends unknown[]>(
  work: (context: Context, ...args: A) => Promise<number | void>,
) => (...args: A) => Promise<void>

const EVERYWHERE =
  '\nEvery command also takes --json, -q, --home DIR, --timeout TIME and what else `meca --help` lists.'

/** Examples first, since they are what most readers came for. */
export function examples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  const width = Math.min(60, Math.max(...lines.map(([line]) => line.length)))
  const text = lines.map(([line, what]) => `  ${line.padEnd(width)}  ${what}`).join('\n')
  if (command.parent !== null) command.addHelpText('after', EVERYWHERE)
  return command.addHelpText('before', `Examples:\n${text}\n`)
}

/** A whole number on the command line. Throws `bad_input` with the option's name. */
export function wholeOf(text: string, what: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text)
  if (/^[0-9]{1,15}$/.test(text) && value <= max) return value
  throw new MecaError(
    'bad_input',
    `${what} must be a whole number up to ${max}, got ${JSON.stringify(printable(text))}`,
    {
      cure: 'write digits only',
    },
  )
}

/** `K=V` texts as an object. */
export function pairsOf(texts: readonly string[], what: string): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=')
      if (at < 1)
        throw new MecaError('bad_input', `${what} takes NAME=VALUE, got ${JSON.stringify(printable(text))}`, {
          cure: 'write an = between the two',
        })
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}

/** For options that may be repeated. */
export const collect = (text: string, all: string[] = []): string[] => [...all, text]
