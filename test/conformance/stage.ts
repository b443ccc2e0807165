/**
 * Where cases are played: an engine of their own, and the road that a host takes with a files job: bundle, plan, run, collect,
 * verdict. Images are made here, of busybox and a script each, to behave as the tasks that the reference names.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packBundle } from '../../src/bundle/write.ts'
import type { BundleEntry } from '../../src/bundle/write.ts'
import { INPUTS, JOB_FILE, NO_PARAMETERS } from '../../src/core/bundle.ts'
import type { JobFile } from '../../src/core/bundle.ts'
import type { ContainerEnd, Plan } from '../../src/core/plan.ts'
import type { Resources } from '../../src/core/resources.ts'
import type { RunOptions } from '../../src/engine/engine.ts'
import { openGiven, stagedEntries } from '../../src/role/files-given.ts'
import type { LinkedContent, OpenGiven, Source } from '../../src/role/files-given.ts'
import { gather, look, outputEntries } from '../../src/role/files-result.ts'
import type { FilesFormat, FilesJob, Verdict } from '../../src/task/format.ts'
import { NEVER, TestEngine } from '../support/engine.ts'
import { busyboxImage, image } from '../support/images.ts'

const MIB = 2 ** 20

/** Files by their path among the inputs; null is an empty folder. What is not named in `kinds` is a file, or a folder where it has a slash. */
export type What = Partial<Omit<JobFile, 'files'>> & {
  files?: Readonly<Record<string, string | Uint8Array | null>>
  kinds?: JobFile['files']
}

export type Settings = { resources?: Partial<Resources>; maxSeconds?: number; worker?: FilesJob['worker'] } & Partial<
  Pick<RunOptions, 'onStarted'>
>

export type Done = {
  verdict: Verdict
  end: ContainerEnd
  plan: Plan
  console: string
  /** By path; a folder ends in a slash and is empty. */
  outputs: Readonly<Record<string, string>>
  /** The same, as bytes. */
  bytes: ReadonlyMap<string, Buffer>
}

const NO_LINKS = () => {
  throw new Error('cases have no links')
}
const NO_CONTENT: LinkedContent = { fetch: NO_LINKS, list: NO_LINKS, stat: NO_LINKS, cat: NO_LINKS }

export class Stage {
  readonly t = new TestEngine(1)
  readonly #images = new Map<string, Promise<string>>()

  /** Busybox with one script, which the image runs by itself. */
  script(name: string, text: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
    const known = this.#images.get(name)
    if (known !== undefined) return known
    const all = Object.entries({ ...files, 'run.sh': text })
    const lines = [...all.map(([path]) => `COPY ${path} /${path}`), 'ENTRYPOINT ["sh", "/run.sh"]']
    return this.#make(name, all, lines)
  }

  /** Busybox with these files and lines of a Dockerfile. */
  image(name: string, files: Readonly<Record<string, string>>, lines: readonly string[]): Promise<string> {
    const all = Object.entries(files)
    return this.#images.get(name) ?? this.#make(name, all, [...all.map(([path]) => `COPY ${path} /${path}`), ...lines])
  }

  #make(name: string, files: readonly (readonly [string, string])[], lines: readonly string[]): Promise<string> {
    const made = busyboxImage().then((from) =>
      image(
        `case-${name}`,
        files.map(([path, text]) => ({ path, bytes: Buffer.from(text) })),
        lines,
        { from },
      ),
    )
    this.#images.set(name, made)
    return made
  }

  /** What a host would plan; throws what it would refuse. */
  async plan(format: FilesFormat, descriptor: string, what: What = {}, settings: Settings = {}): Promise<Plan> {
    return (await ready(format, descriptor, what, settings)).plan
  }

  /** The whole job. Throws what a host would refuse. */
  async run(
    format: FilesFormat,
    descriptor: string,
    image: string,
    what: What = {},
    settings: Settings = {},
  ): Promise<Done> {
    const { plan, job, given, source } = await ready(format, descriptor, what, settings)
    const stage = plan.exchange.kind === 'files' ? plan.exchange.stage : []
    const staged = stagedEntries(stage, given, source, NO_CONTENT, NEVER)
    const startedAt = Date.now()
    const { onStarted } = settings
    const options = { name: this.t.name(), staged, ...(onStarted === undefined ? {} : { onStarted }) }
    const run = await this.t.engine.run(image, plan, options, NEVER)
    const scratch = await mkdtemp(join(tmpdir(), 'meca-case-'))
    try {
      const gathered = await gather(run, scratch, NEVER)
      const { end, console } = run
      const noted = await look(format.looks?.(descriptor, gathered), gathered, NEVER)
      const verdict = format.judge(descriptor, job, {
        end,
        startedAt,
        endedAt: Date.now(),
        image,
        console,
        noted,
        ...gathered,
      })
      const bytes = new Map<string, Buffer>()
      for (const entry of outputEntries(gathered, verdict)) {
        if ('folder' in entry) bytes.set(`${entry.path}/`, Buffer.alloc(0))
        else
          bytes.set(
            entry.path,
            typeof entry.place === 'string' ? await readFile(entry.place) : Buffer.from(entry.place),
          )
      }
      const outputs = Object.fromEntries([...bytes].map(([path, content]) => [path, content.toString()]))
      return { verdict, end, plan, console: Buffer.from(console).toString(), outputs, bytes }
    } finally {
      await run.dispose()
      await rm(scratch, { recursive: true, force: true })
    }
  }

  /** Containers of tasks and volumes that are left. */
  async left(): Promise<string[]> {
    return [...(await this.t.tasks()), ...(await this.t.volumes())]
  }

  close(): Promise<void> {
    return this.t.end()
  }
}

type Ready = { plan: Plan; job: FilesJob; given: OpenGiven; source: Source }

async function ready(format: FilesFormat, descriptor: string, what: What, settings: Settings): Promise<Ready> {
  const { files = {}, kinds = {}, ...said } = what
  const named = Object.keys(files).map((path) => [path.split('/', 1)[0] ?? '', kindOf(path, files[path])] as const)
  const jobFile: JobFile = { ...NO_PARAMETERS, ...said, files: { ...Object.fromEntries(named), ...kinds } }
  const entries = Object.entries(files).map(([path, content]): BundleEntry => {
    const at = `${INPUTS}/${path}`
    if (content === null) return { path: at, folder: true }
    const body = Buffer.from(content)
    return { path: at, bytes: body.length, body: () => [body] }
  })
  const source: Source = () => packBundle({ path: JOB_FILE, text: JSON.stringify(jobFile) }, entries)
  const given = await openGiven(source)
  const base = { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0, ...settings.resources }
  const job: FilesJob = {
    ...given,
    resources: format.resources(descriptor, base, given),
    maxSeconds: settings.maxSeconds ?? 30,
    startTimeoutMs: 30_000,
    outputBytes: 16 * MIB,
    worker: settings.worker ?? { uid: 1234, gid: 2345 },
  }
  return { plan: format.plan(descriptor, job), job, given, source }
}

function kindOf(path: string, content: string | Uint8Array | null | undefined): 'file' | 'folder' {
  return path.includes('/') || content === null ? 'folder' : 'file'
}
