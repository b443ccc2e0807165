/** What every files task's folder says in the same way, whatever its format: its image, its example and its findings. */
import type { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Finding, Folder, ImageOrigin } from './format.ts'
import type { Fault, Path, Reading, ReadText } from './safe-text.ts'

const DOCKERFILE = 'Dockerfile'
/** An archive of `docker save` or of an OCI layout, in the folder itself. */
const ARCHIVE = /^[^/]+\.(tar|tar\.gz|tgz)$/
const EXAMPLE = 'example'

/** Collects what is wrong with one descriptor, each with its line. */
export type Notes = {
  readonly findings: Finding[]
  error(path: Path, what: string, cure: string): void
  warn(path: Path, what: string, cure: string): void
}

function notesOn(file: string, read: ReadText): Notes {
  const findings: Finding[] = []
  const note = (level: Finding['level']) => (path: Path, what: string, cure: string) => {
    const field = path.length === 0 ? '' : `${path.join('.')} `
    findings.push({ level, where: `${file}:${read.placeOf(path).line}`, what: printable(field + what), cure })
  }
  return { findings, error: note('error'), warn: note('warning') }
}

type Descriptor = { read: ReadText; notes: Notes }

/** The text, or why it cannot be read, one finding for each fault. */
export function openDescriptor(
  text: string,
  file: string,
  read: (text: string, reading: Reading) => ReadText,
): Descriptor | Finding[] {
  try {
    const opened = read(text, { what: file })
    return { read: opened, notes: notesOn(file, opened) }
  } catch (error) {
    if (!(error instanceof MecaError)) throw error
    const cure = error.cure ?? `mend ${file}`
    const faults = error.details?.['faults']
    if (!isFaults(faults)) return [{ level: 'error', where: file, what: error.message, cure }]
    return faults.map(({ line, what }) => ({ level: 'error', where: `${file}:${line}`, what, cure }))
  }
}

function isFaults(value: unknown): value is Fault[] {
  return Array.isArray(value)
}

/** At most twenty: a wrong file of a thousand entries says the same thing a thousand times. */
export function noteIssues(notes: Notes, error: z.ZodError, cure: string): void {
  for (const issue of error.issues.slice(0, 20)) {
    notes.error(
      issue.path.filter((part) => typeof part !== 'symbol'),
      `is malformed: ${issue.message}`,
      cure,
    )
  }
}

/** Throws `invalid_task` with every error among the findings. */
export function requireClean(findings: readonly Finding[], what: string): void {
  const errors = findings.filter(({ level }) => level === 'error')
  if (errors.length === 0) return
  const told = errors.slice(0, 10).map((f) => `${f.where}: ${f.what}`)
  throw new MecaError('invalid_task', `${what}: ${told.join('; ').slice(0, 2000)}`, {
    cure: [...new Set(errors.slice(0, 10).map((f) => f.cure))].join('; '),
    details: { findings: errors.slice(0, 100) },
  })
}

/** Undefined where the folder has neither a Dockerfile nor exactly one archive. */
export function imageOf(folder: Folder): ImageOrigin | undefined {
  const paths = [...folder.files.keys()]
  if (folder.files.has(DOCKERFILE)) return { kind: 'build', context: paths }
  const archives = paths.filter((path) => ARCHIVE.test(path))
  return archives[0] !== undefined && archives.length === 1 ? { kind: 'archive', path: archives[0] } : undefined
}

/** What a folder without an image is told. */
export function imageFindings(folder: Folder): Finding[] {
  if (folder.imageGiven === true || imageOf(folder) !== undefined) return []
  const what = 'has neither a Dockerfile nor one archive of an image'
  return [{ level: 'error', where: '.', what, cure: 'add a Dockerfile, or run: docker save --output image.tar IMAGE' }]
}

/** Present where the folder holds example inputs and outputs, or a job that needs no inputs. */
export function exampleOf(folder: Folder): { input: string; output: string } | undefined {
  const has = (prefix: string) => [...folder.files.keys()].some((path) => path.startsWith(`${EXAMPLE}/${prefix}`))
  if (!has('outputs/') || (!has('inputs/') && !has('job.json'))) return undefined
  return { input: `${EXAMPLE}/inputs`, output: `${EXAMPLE}/outputs` }
}

/** What goes into the package beside the image: the descriptor and the example, untouched. */
export function packageFiles(folder: Folder, descriptor: string): string[] {
  return [descriptor, ...[...folder.files.keys()].filter((path) => path.startsWith(`${EXAMPLE}/`))]
}
