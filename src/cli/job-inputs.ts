/**
 * The inputs of a files task from the command line: `--in NAME=VALUE`, `=@FILE`, `=@FOLDER`, `=ipfs://CID`, packed into one
 * bundle beside the home of the caller, never into its memory.
 */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { entriesOf } from '../bundle/local.ts'
import { packBundle } from '../bundle/write.ts'
import type { BundleEntry } from '../bundle/write.ts'
import { INPUTS, JOB_FILE, parseJobFile, zInputName } from '../core/bundle.ts'
import type { JobFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { bytesOfQuantity, millisOfQuantity } from '../core/quantity.ts'
import { quote } from '../core/units.ts'
import type { RunInput } from '../role/api-client.ts'
import { wholeOf } from './usage.ts'

export type InputFlags = {
  in?: string[]
  env?: string[]
  template?: string
  outIpfs?: boolean
  cpus?: string
  memory?: string
  gpus?: string
}

export type Packed = { input: Exclude<RunInput, Uint8Array>; dispose: () => Promise<void> }

export function addInputFlags(command: Command): Command {
  const many = (value: string, before: string[] = []) => [...before, value]
  return command
    .option(
      '--in <name=value>',
      'an input of a files task: name=VALUE, name=@FILE, name=@FOLDER or name=ipfs://CID',
      many,
    )
    .option('--env <name=value>', 'a variable, where the task takes them', many)
    .option('--template <name>', 'which of the templates of a Kaapana task')
    .option('--out-ipfs', 'leave the outputs on the IPFS of the host and tell their CIDs')
    .option('--cpus <n>', 'ask for more CPUs than the task does')
    .option('--memory <size>', 'ask for more memory, like 4Gi')
    .option('--gpus <n>', 'ask for more GPUs')
}

/** Whether any of these flags was given: then the task is asked with a bundle. */
export function hasInputs(flags: InputFlags): boolean {
  const { in: inputs, env, template, outIpfs, cpus, memory, gpus } = flags
  return [inputs, env, template, outIpfs, cpus, memory, gpus].some((flag) => flag !== undefined)
}

export async function packInputs(flags: InputFlags, signal: AbortSignal): Promise<Packed> {
  const { job, entries } = await readInputs(flags)
  return pack(job, entries, signal)
}

/** A finished job as one file; `dispose` removes it. */
export async function pack(job: JobFile, entries: readonly BundleEntry[], signal: AbortSignal): Promise<Packed> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-job-'))
  const dispose = () => rm(folder, { recursive: true, force: true })
  try {
    const file = join(folder, 'bundle')
    const text = JSON.stringify(job)
    parseJobFile(text)
    const packed = Readable.from(packBundle({ path: JOB_FILE, text }, entries), { objectMode: false })
    await pipeline(packed, createWriteStream(file, { mode: 0o600 }), { signal })
    return { input: { file, bytes: (await stat(file)).size }, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

async function readInputs(flags: InputFlags): Promise<{ job: JobFile; entries: BundleEntry[] }> {
  const entries: BundleEntry[] = []
  const parts = { values: {}, files: {}, links: {} } as Pick<JobFile, 'values' | 'files' | 'links'>
  for (const [name, given] of grouped(flags.in ?? [])) await readInput(name, given, parts, entries)
  const resources = resourcesOf(flags)
  const job: JobFile = {
    v: 1,
    ...parts,
    env: Object.fromEntries((flags.env ?? []).map((text) => pairOf(text, '--env'))),
    ...(flags.template === undefined ? {} : { template: flags.template }),
    ...(resources === undefined ? {} : { resources }),
    keepOnIpfs: flags.outIpfs === true,
  }
  return { job, entries }
}

/** Several files of one name are a list, in the order given. */
function grouped(texts: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const text of texts) {
    const [name, value] = pairOf(text, '--in')
    const checked = zInputName.safeParse(name)
    if (!checked.success)
      throw new MecaError('bad_input', `${quote(name)} cannot be the name of an input`, {
        cure: 'use letters, digits, underscore, dot and dash; meca task show lists the names of the inputs',
      })
    groups.set(name, [...(groups.get(name) ?? []), value])
  }
  return groups
}

function pairOf(text: string, flag: string): [string, string] {
  const at = text.indexOf('=')
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
  throw new MecaError('bad_input', `${flag} ${quote(text)} names nothing`, { cure: `write ${flag} NAME=VALUE` })
}

type Parts = Pick<JobFile, 'values' | 'files' | 'links'>

async function readInput(name: string, given: readonly string[], parts: Parts, entries: BundleEntry[]): Promise<void> {
  const [only = ''] = given
  const places = given.filter(isPlace)
  if (given.length > 1 && places.length < given.length)
    throw new MecaError('bad_input', `The input ${quote(name)} is given ${given.length} times`, {
      cure: 'give it once, or several files as NAME=@FILE each',
    })
  if (given.length > 1) return readList(name, places, parts, entries)
  if (only.startsWith('ipfs://')) parts.links[name] = { cid: only.slice('ipfs://'.length) }
  else if (isPlace(only)) await readPlace(name, only.slice(1), parts, entries)
  // `@@text` is a value that begins with an @.
  else parts.values[name] = only.startsWith('@@') ? only.slice(1) : only
}

function isPlace(value: string): boolean {
  return value.startsWith('@') && !value.startsWith('@@')
}

async function readList(name: string, places: readonly string[], parts: Parts, entries: BundleEntry[]): Promise<void> {
  parts.files[name] = 'list'
  entries.push({ path: `${INPUTS}/${name}`, folder: true })
  for (const [i, place] of places.entries())
    entries.push(...(await entriesOf(place.slice(1), `${INPUTS}/${name}/${i}`)))
}

async function readPlace(name: string, place: string, parts: Parts, entries: BundleEntry[]): Promise<void> {
  const found = await entriesOf(place, `${INPUTS}/${name}`)
  parts.files[name] = found.length === 1 && found[0] !== undefined && !('folder' in found[0]) ? 'file' : 'folder'
  entries.push(...found)
}

function resourcesOf({ cpus, memory, gpus }: InputFlags): JobFile['resources'] {
  if (cpus === undefined && memory === undefined && gpus === undefined) return undefined
  return {
    ...(cpus === undefined ? {} : { cpuMillis: millisOfQuantity(cpus, '--cpus') }),
    ...(memory === undefined ? {} : { memoryBytes: bytesOfQuantity(memory, '--memory') }),
    ...(gpus === undefined ? {} : { gpus: wholeOf(gpus, '--gpus') }),
  }
}
