/**
 * `--task-json FILE`: a job as the Kaapana Task API writes it. Its folders are of this machine, relative to the file; what
 * comes out goes where the file says. Which task runs is what was published, never the image that the file names.
 */
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { entriesOf } from '../bundle/local.ts'
import type { BundleEntry } from '../bundle/write.ts'
import { INPUTS } from '../core/bundle.ts'
import type { JobFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import { readTaskJson, requirePublished } from '../task/kaapana/task-json.ts'

export type TaskJsonJob = {
  job: JobFile
  entries: BundleEntry[]
  /** Where each output channel goes. */
  outputs: ReadonlyMap<string, string>
  image: string
  /** A template of the file's own, which must be the published one. */
  inline: string | undefined
}

/** `env` holds the variables that the file may use. Throws `bad_input`. */
export async function openTaskJson(
  file: string,
  env: Readonly<Record<string, string>>,
  keepOnIpfs: boolean,
): Promise<TaskJsonJob> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MecaError('bad_input', `The file ${file} cannot be read`, {
      cause,
      cure: 'check its name and permissions',
    })
  })
  const read = readTaskJson(text, { env })
  const place = (path: string) => resolve(dirname(resolve(file)), path)
  const entries: BundleEntry[] = []
  const files: JobFile['files'] = {}
  for (const [name, path] of Object.entries(read.inputs)) {
    entries.push(...(await entriesOf(place(path), `${INPUTS}/${name}`)))
    files[name] = 'folder'
  }
  return {
    job: { v: 1, files, links: {}, keepOnIpfs, ...read.job },
    entries,
    outputs: new Map(Object.entries(read.outputs).map(([name, path]) => [name, place(path)])),
    image: read.image,
    inline: read.inline,
  }
}

/** Throws `bad_input` where the file's inline template is not the one that was published. */
export async function requireSameTemplate(
  api: NodeApi,
  ref: string,
  { inline }: TaskJsonJob,
  signal: AbortSignal,
): Promise<void> {
  if (inline === undefined) return
  const { descriptor } = await api.developer.show(ref, signal)
  requirePublished(descriptor, inline)
}

/** Unpacked outputs, copied beside what the folders hold already, which is neither looked at nor wiped. */
export async function placeOutputs(
  unpack: (folder: string) => Promise<unknown>,
  outputs: ReadonlyMap<string, string>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-out-'))
  try {
    await unpack(folder)
    for (const [name, target] of outputs) {
      await mkdir(target, { recursive: true })
      await cp(join(folder, name), target, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error // The channel was left empty, or stayed on IPFS.
      })
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
