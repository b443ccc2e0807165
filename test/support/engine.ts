/** A Docker engine for one test file: an owner of its own, and proof at the end that nothing of it is left. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import Docker from 'dockerode'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { Plan } from '../../src/core/plan.ts'
import { DockerEngine } from '../../src/engine/docker.ts'
import type {
  CollectedEntry,
  FilesRun,
  Instance,
  Reply,
  RunOptions,
  StagedEntry,
  StartOptions,
} from '../../src/engine/engine.ts'
import { folderPrefix } from '../../src/engine/sweep.ts'

export const NEVER = new AbortController().signal
const LIMITS = { timeoutMs: 15_000, outputBytes: 2 ** 20 }

export class TestEngine {
  readonly owner: string
  readonly docker = new Docker()
  readonly engine: DockerEngine
  readonly #instances = new Set<Instance>()
  readonly #runs = new Set<FilesRun>()

  constructor(sidecars = 1, owner = `test-${randomBytes(6).toString('hex')}`, rootBytes = 2 ** 30) {
    this.owner = owner
    this.engine = new DockerEngine({ owner: this.owner, sidecars, rootBytes })
  }

  name(): string {
    return `meca-test-${randomBytes(6).toString('hex')}`
  }

  async start(
    image: string,
    plan: Plan,
    options: Partial<StartOptions> = {},
    signal: AbortSignal = NEVER,
  ): Promise<Instance> {
    const instance = await this.engine.start(image, plan, { name: this.name(), ...options }, signal)
    this.#instances.add(instance)
    return instance
  }

  /** Starts, asks once, stops. */
  async once(image: string, plan: Plan, body = '{}', limits = LIMITS): Promise<Reply> {
    const instance = await this.start(image, plan)
    try {
      return await ask(instance, body, limits)
    } finally {
      await instance.stop()
    }
  }

  /** A files plan to its end. The caller disposes of it, or `end` does. */
  async run(
    image: string,
    plan: Plan,
    staged: Iterable<StagedEntry> = [],
    options: Partial<RunOptions> = {},
    signal: AbortSignal = NEVER,
  ): Promise<FilesRun> {
    const run = await this.engine.run(image, plan, { name: this.name(), staged: each(staged), ...options }, signal)
    this.#runs.add(run)
    return run
  }

  /** Runs, takes what is left, disposes. */
  async files(image: string, plan: Plan, staged: Iterable<StagedEntry> = []): Promise<Left> {
    const run = await this.run(image, plan, staged)
    try {
      return await leftBy(run)
    } finally {
      await run.dispose()
    }
  }

  async volumes(): Promise<string[]> {
    const { Volumes } = await this.docker.listVolumes({ filters: { label: [`meca.owner=${this.owner}`] } })
    return Volumes.map((volume) => volume.Name)
  }

  /** Containers of this owner, in any state. */
  async containers(): Promise<Docker.ContainerInfo[]> {
    return this.docker.listContainers({ all: true, filters: { label: [`meca.owner=${this.owner}`] } })
  }

  /** Task containers alone. */
  async tasks(): Promise<string[]> {
    const all = await this.containers()
    return all.flatMap((c) => c.Names).filter((name) => !name.startsWith('/meca-sidecar-'))
  }

  async folders(): Promise<string[]> {
    return (await readdir(tmpdir())).filter((name) => name.startsWith(folderPrefix(this.owner)))
  }

  /** For `after`: ends everything and fails the file if something of it is left. */
  async end(): Promise<void> {
    await Promise.all([...this.#instances].map((instance) => instance.stop()))
    await Promise.all([...this.#runs].map((run) => run.dispose()))
    await this.engine.close()
    assert.deepEqual(await this.containers(), [], 'containers are left')
    assert.deepEqual(await this.volumes(), [], 'volumes are left')
    assert.deepEqual(await this.folders(), [], 'socket folders are left')
  }
}

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item)
}

/** `files` by `NAME` or `NAME/a/b`, as text; folders end in a slash; `left` says why. */
export type Left = { run: FilesRun; console: string; files: Record<string, string>; left: Record<string, string> }

export async function leftBy(run: FilesRun, signal: AbortSignal = NEVER): Promise<Left> {
  const files: Record<string, string> = {}
  const left: Record<string, string> = {}
  for await (const entry of run.outputs(signal)) {
    const path = entry.path === '' ? entry.name : `${entry.name}/${entry.path}`
    if (entry.kind === 'left') left[path] = entry.why
    else if (entry.kind === 'folder') files[`${path}/`] = ''
    else files[path] = await bodyText(entry)
  }
  return { run, console: Buffer.from(run.console).toString(), files, left }
}

async function bodyText(entry: CollectedEntry & { kind: 'file' }): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of entry.body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** A file to be staged. */
export function input(path: string, content: string | Uint8Array): StagedEntry {
  const body = Buffer.from(content)
  return { kind: 'file', path, bytes: body.length, body }
}

export async function ask(
  instance: Instance,
  body: string | Uint8Array = '{}',
  limits = LIMITS,
  signal: AbortSignal = NEVER,
): Promise<Reply> {
  return instance.request(Buffer.from(body), limits, signal)
}

export function text(reply: Reply): string {
  return Buffer.from(reply.body).toString()
}

/** The MecaError of a promise that must fail with this code. */
export async function failure(code: ErrorCode, promise: Promise<unknown>): Promise<MecaError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.ok(error instanceof MecaError, `expected ${code}, got ${String(error)}`)
  assert.equal(error.code, code, error.message)
  return error
}
