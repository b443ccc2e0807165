/**
 * A command line taken apart as a POSIX shell would quote it, and never handed to one: nothing is expanded, joined or
 * run. A string command of a DockerTask means exactly this.
 */
import { MecaError } from '../../core/errors.ts'
import { quote } from '../../core/units.ts'

/** Throws `invalid_task` for a quotation that is not closed. */
export function splitWords(text: string): string[] {
  const words: string[] = []
  let at = skipSpace(text, 0)
  while (at < text.length) {
    const word = readWord(text, at)
    words.push(word.text)
    at = skipSpace(text, word.end)
  }
  return words
}

function isSpace(char: string | undefined): boolean {
  return char === ' ' || char === '\t' || char === '\n' || char === '\r'
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (isSpace(text[at])) at++
  return at
}

type Piece = { text: string; end: number }

/** One word: any row of bare characters, escapes and quotations without space between them. */
function readWord(text: string, from: number): Piece {
  const pieces: string[] = []
  let at = from
  while (at < text.length && !isSpace(text[at])) {
    const piece = readPiece(text, at)
    pieces.push(piece.text)
    at = piece.end
  }
  return { text: pieces.join(''), end: at }
}

function readPiece(text: string, at: number): Piece {
  const char = text[at]
  if (char === "'") return readSingle(text, at)
  if (char === '"') return readDouble(text, at)
  if (char !== '\\') return { text: char ?? '', end: at + 1 }
  const escaped = text[at + 1]
  if (escaped === undefined) throw broken(text, 'ends with a backslash')
  return { text: escaped, end: at + 2 }
}

function readSingle(text: string, at: number): Piece {
  const close = text.indexOf("'", at + 1)
  if (close < 0) throw broken(text, 'has a single quote that is not closed')
  return { text: text.slice(at + 1, close), end: close + 1 }
}

/** Between double quotes a backslash escapes only itself and the quote. */
function readDouble(text: string, from: number): Piece {
  const chars: string[] = []
  for (let at = from + 1; at < text.length; at++) {
    const [char, next] = [text[at], text[at + 1]]
    if (char === '"') return { text: chars.join(''), end: at + 1 }
    if (char === '\\' && (next === '"' || next === '\\')) at++
    chars.push(text[at] ?? '')
  }
  throw broken(text, 'has a double quote that is not closed')
}

function broken(text: string, what: string): MecaError {
  return new MecaError('invalid_task', `The command ${quote(text)} ${what}`, {
    cure: 'close the quotation, or write the command as a list of words',
  })
}
