/** Progress on stderr: bars on a terminal, a line for each step elsewhere, JSON lines for programs, or nothing. */
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { quote } from '../core/units.ts'
import type { OnProgress, Progress } from '../role/api-common.ts'
import { makeBars } from './bars.ts'
import { toJson } from './output.ts'
import { size } from './render.ts'
import type { Terminal } from './world.ts'

export type ProgressMode = 'auto' | 'tty' | 'plain' | 'json' | 'none'
const MODES: readonly string[] = ['auto', 'tty', 'plain', 'json', 'none']

export type Meter = { onProgress: OnProgress; end(): void }

export function readMode(text: string): ProgressMode {
  if (MODES.includes(text)) return text as ProgressMode
  throw new MecaError('bad_input', `There is no progress mode ${quote(text)}`, {
    cure: `use one of ${MODES.join(', ')}`,
  })
}

export function makeMeter({ stderr }: Pick<Terminal, 'stderr'>, mode: ProgressMode): Meter {
  const chosen = mode === 'auto' ? (stderr.isTTY === true ? 'tty' : 'plain') : mode
  if (chosen === 'tty') return makeBars(stderr)
  if (chosen === 'json')
    return { onProgress: (progress) => void stderr.write(`${toJson({ progress })}\n`), end: () => undefined }
  if (chosen === 'none') return { onProgress: () => undefined, end: () => undefined }
  return makeLines((line) => void stderr.write(`${line}\n`))
}

/** Bytes are told at each quarter, so that a log of a build server stays short. */
function makeLines(write: (line: string) => void): Meter {
  const quarters = new Map<string, number>()
  const onProgress: OnProgress = (progress) => {
    if (isBlank(progress)) return
    if (progress.kind === 'bytes') {
      const quarter = Math.floor((4 * progress.doneBytes) / Math.max(1, progress.totalBytes))
      if (quarters.get(progress.step) === quarter) return
      quarters.set(progress.step, quarter)
    }
    write(lineOf(progress))
  }
  return { onProgress, end: () => undefined }
}

/** Build tools print empty lines between their own. */
export function isBlank(progress: Progress): boolean {
  return progress.kind === 'log' && progress.line.text.trim() === ''
}

export function lineOf(progress: Progress): string {
  switch (progress.kind) {
    case 'step':
      return printable(progress.detail === undefined ? progress.step : `${progress.step}: ${progress.detail}`)
    case 'bytes':
      return `${printable(progress.step)}: ${bytesOf(progress.doneBytes, progress.totalBytes)}`
    case 'phase':
      return progress.totalBytes === undefined
        ? progress.phase
        : `${progress.phase}: ${bytesOf(progress.doneBytes ?? 0, progress.totalBytes)}`
    case 'log':
      return `${progress.line.stream === 'stderr' ? 'err' : 'out'} | ${printable(progress.line.text)}`
  }
}

export function bytesOf(done: number, total: number): string {
  return `${size(done)} of ${size(total)}`
}
