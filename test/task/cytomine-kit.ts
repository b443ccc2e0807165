/** A Cytomine task for tests: a descriptor around given parameters, what a caller gives, and what a run leaves. */
import { stringify } from 'yaml'
import type { FileTree, JobFile } from '../../src/core/bundle.ts'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import type { Plan, Staged } from '../../src/core/plan.ts'
import { cytomine } from '../../src/task/cytomine.ts'
import type { FilesJob, Folder, Given, Look, Noted, Ran, Verdict } from '../../src/task/format.ts'

const MIB = 2 ** 20

/** A parameter by its type alone, or with further fields. */
export type Params = Readonly<Record<string, unknown>>

export function descriptor(inputs: Params, outputs: Params, change: Readonly<Record<string, unknown>> = {}): string {
  const all = {
    $schema: 'https://cytomine.com/schema-store/tasks/task.v0.json',
    name: 'Test task',
    name_short: 'test',
    namespace: 'com.example.test',
    version: '1.0.0',
    description: 'A task for tests',
    authors: [{ first_name: 'A', last_name: 'B', organization: 'C', email: 'a@example.com' }],
    configuration: { input_folder: '/inputs', output_folder: '/outputs', resources: { ram: '256Mi' } },
    inputs: params(inputs),
    outputs: params(outputs),
    ...change,
  }
  return stringify(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))
}

function params(all: Params): Params {
  return Object.fromEntries(
    Object.entries(all).map(([name, given]) => {
      const isWhole = typeof given === 'object' && given !== null && 'type' in given
      return [name, { display_name: name, description: `the ${name}`, ...(isWhole ? given : { type: given }) }]
    }),
  )
}

export type Content = string | Uint8Array

export function tree(files: Readonly<Record<string, Content>>, headBytes = 64 * 1024): FileTree {
  return new Map(
    Object.entries(files).map(([path, content]) => {
      const bytes = Buffer.from(content)
      return [path, { bytes: bytes.length, head: new Uint8Array(bytes.subarray(0, headBytes)) }]
    }),
  )
}

/** Files are given by their path in the bundle; how a name was given follows from them unless `job` says it. */
export function given(
  values: Readonly<Record<string, string>>,
  files: Readonly<Record<string, Content>> = {},
  job: Partial<JobFile> = {},
): Given {
  const kinds: JobFile['files'] = {}
  for (const path of Object.keys(files)) {
    const name = path.split('/')[0] ?? ''
    kinds[name] = path.includes('/') ? 'folder' : 'file'
  }
  return { job: { ...NO_PARAMETERS, values: { ...values }, files: kinds, ...job }, files: tree(files) }
}

export function jobOf(what: Given): FilesJob {
  return {
    ...what,
    resources: { cpuMillis: 1000, memoryBytes: 256 * MIB, gpus: 0 },
    maxSeconds: 60,
    startTimeoutMs: 20_000,
    outputBytes: 10 * MIB,
    worker: { uid: 1000, gid: 1000 },
  }
}

export function plan(text: string, what: Given): Plan {
  return cytomine.plan(text, jobOf(what))
}

/** What lies in the container before the start: texts as they are, files as `<where they come from>`. */
export function staged(text: string, what: Given): Record<string, string> {
  const { exchange } = plan(text, what)
  const items: readonly Staged[] = exchange.kind === 'files' ? exchange.stage : []
  return Object.fromEntries(
    items.map((item) => [
      item.path,
      item.kind === 'text' ? item.text : item.from === undefined ? '<empty>' : `<${item.from}>`,
    ]),
  )
}

type Change = {
  end?: Partial<Ran['end']>
  leftOut?: Ran['leftOut']
  folders?: readonly string[]
  /** What is kept of each file's beginning. */
  headBytes?: number
  /** The pieces that a look is given a file in. */
  pieceBytes?: number
}

/** As a host does it: what the format wants to see whole is read to it first. */
export function judge(
  text: string,
  what: Given,
  files: Readonly<Record<string, Content>>,
  { end, leftOut = [], folders = [], headBytes, pieceBytes = 1000 }: Change = {},
): Verdict {
  const left = { files: tree(files, headBytes), folders: new Set(folders) }
  const looks = [...(cytomine.looks?.(text, left) ?? [])]
  return cytomine.judge(text, jobOf(what), {
    ...left,
    end: { exitCode: 0, outOfMemory: false, logTail: '', ...end },
    startedAt: 0,
    endedAt: 1,
    image: `sha256:${'0'.repeat(64)}`,
    console: new Uint8Array(0),
    leftOut,
    noted: new Map(looks.map(([path, look]) => [path, read(look, Buffer.from(files[path] ?? ''), pieceBytes)])),
  })
}

/** What a look says of content that comes in pieces. */
export function read({ take, end }: Look, content: Uint8Array, pieceBytes: number): Noted {
  for (let at = 0; at < content.length; at += pieceBytes) if (!take(content.subarray(at, at + pieceBytes))) break
  return end()
}

export function folder(files: Readonly<Record<string, Content>>): Folder {
  const all = Object.entries(files)
  return {
    files: new Map(all.map(([path, content]) => [path, { bytes: Buffer.byteLength(content) }])),
    texts: new Map(
      all
        .filter(([path]) => cytomine.reads.includes(path))
        .map(([path, content]) => [path, Buffer.from(content).toString()]),
    ),
  }
}
