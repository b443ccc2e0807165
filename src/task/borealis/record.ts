/**
 * `docker-task.json`: the parameters of a DockerTask as a file. The names and meanings are the reference's, so that a record
 * taken from a workflow is a descriptor as it is; `resources` and `description` are ours, because a market must know what is rented.
 */
import { z } from 'zod'
import { MecaError } from '../../core/errors.ts'
import type { Resources } from '../../core/resources.ts'
import { noteIssues, openDescriptor, requireClean } from '../folder-facts.ts'
import type { Notes } from '../folder-facts.ts'
import type { Finding } from '../format.ts'
import { placeOf } from '../places.ts'
import { zLimits, readLimits } from '../quantities.ts'
import { readJson } from '../safe-text.ts'
import type { TaskPath } from './paths.ts'
import { MAX_PATHS, readPaths } from './paths.ts'
import { splitWords } from './words.ts'

export const RECORD = 'docker-task.json'
const DEFAULT_TIMEOUT_SECONDS = 3600
/** A simulation of weeks belongs into several tasks; a timer holds 24 days. */
const MAX_TIMEOUT_SECONDS = 2_000_000
/** The reference rents a machine of one core for each task; its memory is named here because a container must have a limit. */
const DEFAULT_RESOURCES: Resources = { cpuMillis: 1000, memoryBytes: 2 ** 30, gpus: 0 }

const zText = z.string().min(1).max(1000)
const zRecord = z.looseObject({
  name: z.string().min(1).max(200),
  image: zText,
  command: z.union([z.string().max(65_536), z.array(z.string().max(65_536)).max(1000)]),
  internal_prefix: zText,
  storage_prefix: zText,
  inputs: z.array(zText).max(MAX_PATHS).nullish(),
  outputs: z.array(zText).max(MAX_PATHS).nullish(),
  timeout: z.number().max(MAX_TIMEOUT_SECONDS).nullish(),
  description: z.string().max(10_000).optional(),
  resources: z.looseObject({ limits: zLimits.optional() }).optional(),
})
type Raw = z.infer<typeof zRecord>

const KNOWN = new Set([...Object.keys(zRecord.shape), '_fw_name'])

/** `command` absent: the image's own. `prefix` has no slash at its end. */
export type DockerTask = {
  name: string
  command?: readonly string[]
  prefix: string
  inputs: readonly TaskPath[]
  outputs: readonly TaskPath[]
  timeoutSeconds: number
  description: string
  resources: Resources
  /** As it was written, for the log. */
  record: Readonly<Record<string, unknown>>
}

/** Throws `invalid_task` with every finding. */
export function parseRecord(text: string): DockerTask {
  const { task, findings } = readRecord(text)
  requireClean(findings, `${RECORD} is not a DockerTask`)
  if (task === undefined) throw new MecaError('internal', `${RECORD} was read without a finding and without a task`)
  return task
}

export function readRecord(text: string): { task?: DockerTask; findings: Finding[] } {
  const opened = openDescriptor(text, RECORD, readJson)
  if (Array.isArray(opened)) return { findings: opened }
  const { read, notes } = opened
  const parsed = zRecord.safeParse(read.value)
  if (!parsed.success) {
    noteIssues(notes, parsed.error, 'name, image, command, internal_prefix and storage_prefix are required')
    return { findings: notes.findings }
  }
  return { task: readTask(parsed.data, notes), findings: notes.findings }
}

function readTask(raw: Raw, notes: Notes): DockerTask {
  noteHabits(raw, notes)
  const prefix = readPrefix(raw.internal_prefix, notes)
  const command = readCommand(raw.command, notes)
  return {
    name: raw.name,
    ...(command.length === 0 ? {} : { command }),
    prefix,
    inputs: readSide(raw, 'inputs', prefix, notes),
    outputs: readSide(raw, 'outputs', prefix, notes),
    timeoutSeconds: (raw.timeout ?? 0) > 0 ? (raw.timeout ?? 0) : DEFAULT_TIMEOUT_SECONDS,
    description: raw.description ?? '',
    resources: readLimits(raw.resources?.limits ?? {}, DEFAULT_RESOURCES, (name, what, cure) =>
      notes.error(['resources', 'limits', name], what, cure),
    ),
    record: raw,
  }
}

function noteHabits(raw: Raw, notes: Notes): void {
  for (const key of Object.keys(raw).filter((name) => !KNOWN.has(name)))
    notes.warn([key], 'is no parameter of a DockerTask and is ignored', 'take it out, or mend its spelling')
  if (!/^[a-z0-9_-]{3,63}(\/|$)/.test(raw.storage_prefix))
    notes.warn(['storage_prefix'], 'is no bucket with a path', 'it is not used here: outputs go by their names')
  if (Array.isArray(raw.command) ? raw.command.length === 0 : raw.command.trim() === '')
    notes.warn(['command'], 'is empty, so that the image decides what is run', 'write the command')
}

function readPrefix(text: string, notes: Notes): string {
  const read = placeOf(text)
  if ('place' in read) return read.place
  notes.error(['internal_prefix'], read.fault, 'name the folder of the container that holds inputs and outputs')
  return '/'
}

function readCommand(command: Raw['command'], notes: Notes): readonly string[] {
  if (Array.isArray(command)) return command
  try {
    return splitWords(command)
  } catch (error) {
    if (!(error instanceof MecaError)) throw error
    notes.error(['command'], `cannot be split: ${error.message}`, error.cure ?? '')
    return []
  }
}

function readSide(raw: Raw, side: 'inputs' | 'outputs', prefix: string, notes: Notes): TaskPath[] {
  const { paths, faults } = readPaths(raw[side] ?? [], prefix, side)
  for (const { at, what } of faults)
    notes.error([side, at], what, `name an absolute path below ${prefix}, with a slash at the end for a folder`)
  return paths
}
