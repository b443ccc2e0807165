/**
 * The developer's bench: check a folder, build its image, and run the example behind the walls that a host puts up. It
 * needs an engine and nothing else: no wallet, no chain, no network.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { MecaError } from '../core/errors.ts'
import type { LogLine } from '../core/plan.ts'
import type { ImageId } from '../engine/engine.ts'
import { detectFormat, FORMAT_NAMES, formatOf } from '../task/format.ts'
import type { Described, FilesFormat, Finding, Folder, HttpFormat, TaskFormat } from '../task/format.ts'
import type { OnProgress, Output } from './api-common.ts'
import type { CheckReport, TestOptions, TestReport } from './api-developer.ts'
import { exampleIn, runExample } from './bench-files.ts'
import { openSource } from './bench-source.ts'
import type { BenchEngine, FinishedImage, TaskSource } from './bench-source.ts'
import { readFolder } from './folder.ts'

export type WorkbenchComponents = {
  engine: BenchEngine
  limits: { startTimeoutMs: number; maxSeconds: number; outputBytes: number }
  now(): number
}

/** Something that was read and fits its format. `dispose` removes what was unpacked for it. */
export type Opened = {
  dir: string
  folder: Folder
  format: TaskFormat
  described: Described
  /** Takes the place of what the folder would be built to. */
  image: FinishedImage | undefined
  /** Files of the package that are not in the folder, by path. */
  extra: ReadonlyMap<string, Uint8Array>
  dispose(): Promise<void>
}

/** The image, and the task as the image itself describes it. */
export type Built = { image: ImageId; opened: Opened }

/** What may be said of where a task comes from. */
export type SourceOptions = { format?: string; image?: string }

/** Everything that is wrong with a folder or bundle, at once; an engine is asked only for an image of its own. */
export async function checkFolder(
  place: string,
  options: SourceOptions,
  engine: () => Promise<BenchEngine>,
  signal: AbortSignal,
): Promise<CheckReport> {
  const source = await openSource(place, options.image, engine, signal)
  try {
    const { folder } = await readWith(source, engine, signal)
    const format = options.format === undefined ? detectFormat(folder) : formatOf(options.format)
    const findings = format.check(folder)
    return { dir: resolve(place), format: format.name, ok: !hasError(findings), findings }
  } finally {
    await source.dispose()
  }
}

/** A folder and, where the image is all there is, the descriptor that lies in it. */
async function readWith(
  source: TaskSource,
  engine: () => Promise<BenchEngine>,
  signal: AbortSignal,
): Promise<{ folder: Folder; image: FinishedImage | undefined; extra: Map<string, Uint8Array> }> {
  const read = await readFolder(source.folder)
  const extra = new Map<string, Uint8Array>()
  if (source.image === undefined) return { folder: read, image: undefined, extra }
  const folder = { ...read, imageGiven: true as const }
  if (read.files.size > 0) return { folder, image: source.image, extra }
  const image = await imageOf(source.image, await engine(), signal)
  for (const { descriptorInImage } of FILES_FORMATS) {
    const found =
      descriptorInImage && (await (await engine()).file(image, descriptorInImage, MAX_DESCRIPTOR_BYTES, signal))
    if (found && descriptorInImage) extra.set(basename(descriptorInImage), found)
  }
  return { folder: withFiles(folder, extra), image: { kind: 'engine', image }, extra }
}

function withFiles(folder: Folder, extra: ReadonlyMap<string, Uint8Array>): Folder {
  const files = new Map(folder.files)
  const texts = new Map(folder.texts)
  for (const [path, bytes] of extra) {
    files.set(path, { bytes: bytes.length })
    texts.set(path, Buffer.from(bytes).toString('utf8'))
  }
  return { ...folder, files, texts }
}

async function imageOf(origin: FinishedImage, engine: BenchEngine, signal: AbortSignal): Promise<ImageId> {
  return origin.kind === 'engine' ? origin.image : engine.load(createReadStream(origin.file), signal)
}

export class Workbench {
  readonly #c: WorkbenchComponents

  constructor(c: WorkbenchComponents) {
    this.#c = c
  }

  async test(place: string, options: TestOptions, onProgress: OnProgress, signal: AbortSignal): Promise<TestReport> {
    const opened = await this.open(place, options, signal)
    try {
      const began = this.#c.now()
      const built = await this.build(opened, options.buildArgs ?? {}, onProgress, signal)
      return await this.#try(built, this.#c.now() - began, options.input, onProgress, signal)
    } finally {
      await opened.dispose()
    }
  }

  async open(place: string, options: SourceOptions, signal: AbortSignal): Promise<Opened> {
    const engine = () => Promise.resolve(this.#c.engine)
    const source = await openSource(place, options.image, engine, signal)
    try {
      const { folder, image, extra } = await readWith(source, engine, signal)
      const format = options.format === undefined ? detectFormat(folder) : formatOf(options.format)
      return {
        dir: source.folder,
        folder,
        format,
        described: format.describe(folder),
        image,
        extra,
        dispose: () => source.dispose(),
      }
    } catch (error) {
      await source.dispose()
      throw error
    }
  }

  /** Makes or loads the image; a descriptor that lies in it takes the place of the folder's copy. */
  async build(
    opened: Opened,
    buildArgs: Readonly<Record<string, string>>,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Built> {
    const origin = opened.image ?? archiveIn(opened)
    onProgress({ kind: 'step', step: origin === undefined ? 'build' : 'load' })
    const image =
      origin === undefined
        ? await this.#buildFolder(opened, buildArgs, onProgress, signal)
        : await imageOf(origin, this.#c.engine, signal)
    return { image, opened: await this.#asInImage({ ...opened, image: origin }, image, signal) }
  }

  async #asInImage(opened: Opened, image: ImageId, signal: AbortSignal): Promise<Opened> {
    const { format } = opened
    if (format.kind === 'http' || format.descriptorInImage === undefined) return opened
    const path = format.descriptorInImage
    const bytes = await this.#c.engine.file(image, path, MAX_DESCRIPTOR_BYTES, signal)
    if (bytes === undefined) {
      throw new MecaError('invalid_task', `The image has no ${path}, which a ${format.name} task must hold`, {
        cure: `add to its Dockerfile: COPY ${basename(path)} ${path}`,
      })
    }
    const extra = new Map([[opened.described.descriptor, bytes]])
    const folder = withFiles(opened.folder, extra)
    return { ...opened, folder, extra, described: format.describe(folder) }
  }

  /** The engine sees only what the image is made of, so that a secret beside it stays here. */
  async #buildFolder(
    { dir, described }: Opened,
    buildArgs: Readonly<Record<string, string>>,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<ImageId> {
    const context = await mkdtemp(join(tmpdir(), 'meca-build-'))
    try {
      for (const path of described.image.kind === 'build' ? described.image.context : []) {
        await mkdir(dirname(join(context, path)), { recursive: true })
        await cp(join(dir, path), join(context, path))
      }
      return await this.#c.engine.build(context, buildArgs, signal, (line) =>
        onProgress({ kind: 'log', line: { stream: 'stdout', text: line } }),
      )
    } catch (error) {
      throw withoutRegistry(error)
    } finally {
      await rm(context, { recursive: true, force: true })
    }
  }

  /** Throws `invalid_task` where the example does not come out. */
  async requireExample(built: Built, buildMs: number, onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    const { format, described } = built.opened
    // A files task without an example cannot be tried: its inputs are nobody's to invent.
    if (format.kind === 'files' && described.example === undefined) return
    const report = await this.#try(built, buildMs, undefined, onProgress, signal)
    if (report.ok) return
    throw new MecaError('invalid_task', `The example does not come out: ${whyNot(report)}`, {
      cure: 'correct the example or the task, then see meca task test; --no-test publishes it anyway',
      details: { httpStatus: report.httpStatus, exitCode: report.exitCode, logTail: report.logTail },
    })
  }

  #try(
    built: Built,
    buildMs: number,
    input: Uint8Array | undefined,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<TestReport> {
    const { format } = built.opened
    return format.kind === 'http'
      ? this.#ask(built, format, buildMs, input, onProgress, signal)
      : this.#run(built, format, buildMs, onProgress, signal)
  }

  async #ask(
    { image, opened }: Built,
    format: HttpFormat,
    buildMs: number,
    input: Uint8Array | undefined,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<TestReport> {
    const { dir, described, folder } = opened
    const { startTimeoutMs, maxSeconds, outputBytes } = this.#c.limits
    const descriptor = folder.texts.get(described.descriptor) ?? ''
    const plan = format.plan(descriptor, { resources: described.resources, maxSeconds, startTimeoutMs, outputBytes })
    const body = input ?? (await this.#example(dir, described, 'input'))
    const expected = input === undefined ? await this.#example(dir, described, 'output') : undefined
    onProgress({ kind: 'step', step: 'start' })
    const began = this.#c.now()
    const instance = await this.#c.engine.start(image, plan, trial(onProgress), signal)
    try {
      const started = this.#c.now()
      onProgress({ kind: 'step', step: 'run' })
      const reply = await instance.request(body, { timeoutMs: maxSeconds * 1000, outputBytes }, signal)
      const same = expected === undefined ? undefined : format.sameOutput(expected, reply.body)
      return {
        ...reportOf(opened, image, buildMs),
        ok: same ?? reply.status < 400,
        startMs: Math.round(started - began),
        runMs: Math.round(this.#c.now() - started),
        httpStatus: reply.status,
        output: toOutput(reply.body),
        ...(same === undefined ? {} : { sameAsExample: same }),
        ...(expected === undefined ? {} : { expected: toOutput(expected) }),
        logTail: '',
      }
    } finally {
      await instance.stop()
    }
  }

  async #run(
    { image, opened }: Built,
    format: FilesFormat,
    buildMs: number,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<TestReport> {
    const { dir, described, folder } = opened
    const descriptor = folder.texts.get(described.descriptor) ?? ''
    onProgress({ kind: 'step', step: 'run' })
    const task = { format, descriptor, resources: described.resources, image, dir, folder }
    const ran = await runExample(this.#c, task, await exampleIn(dir, folder), trial(onProgress), signal).catch(
      (error: unknown) => {
        throw described.example === undefined ? withoutExample(error) : error
      },
    )
    const { verdict, differences, outputs, exitCode, logTail } = ran
    const problem = verdict.problem?.message ?? (differences?.length ? differences.join(', ') : undefined)
    return {
      ...reportOf(opened, image, buildMs),
      ok: verdict.status === 'answered' && (differences ?? []).length === 0,
      startMs: Math.round(ran.startMs),
      runMs: Math.round(ran.runMs),
      exitCode,
      outputs,
      warnings: [...verdict.warnings],
      ...(problem === undefined ? {} : { problem }),
      ...(differences === undefined ? {} : { sameAsExample: differences.length === 0 }),
      logTail,
    }
  }

  async #example(dir: string, described: Described, which: 'input' | 'output'): Promise<Uint8Array> {
    const path = described.example?.[which]
    if (path === undefined)
      throw new MecaError('invalid_task', `The task has no example ${which}`, { cure: 'add one, or give an input' })
    return readFile(join(dir, path))
  }
}

/** The package's descriptor is read by hosts with the same ceiling. */
const MAX_DESCRIPTOR_BYTES = 512 * 1024

const FILES_FORMATS = FORMAT_NAMES.map(formatOf).filter((format) => format.kind === 'files')

function archiveIn({ dir, described }: Opened): FinishedImage | undefined {
  const { image } = described
  return image.kind === 'archive' ? { kind: 'archive', file: join(dir, image.path) } : undefined
}

/** Two tests at once on one engine each need a name of their own. */
function trial(onProgress: OnProgress) {
  return {
    name: `test-${randomBytes(6).toString('hex')}`,
    onLog: (line: LogLine) => onProgress({ kind: 'log', line }),
  }
}

function reportOf({ dir, folder, format, described }: Opened, image: ImageId, buildMs: number) {
  return {
    dir,
    format: format.name,
    findings: format.check(folder),
    imageId: image,
    resources: described.resources,
    buildMs: Math.round(buildMs),
  }
}

function whyNot({ problem, expected, output }: TestReport): string {
  return problem ?? `expected ${preview(expected)}, got ${preview(output)}`
}

function hasError(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === 'error')
}

/** What Docker says where a base image is neither here nor to be had. */
const NO_BASE = /pull access denied|manifest unknown|dial tcp|lookup \S+( on|:)|request canceled while waiting/i

/** A machine without a registry is no fault of the task: the cure is a base image made here. */
function withoutRegistry(error: unknown): unknown {
  if (!(error instanceof MecaError) || error.code !== 'invalid_task' || !NO_BASE.test(error.message)) return error
  return new MecaError('invalid_task', error.message, {
    cause: error.cause,
    cure: 'check the name after FROM and the network; without a registry make a base image here with npm run bases node (or python, busybox) in the checkout of MECA Node, and name it: --build-arg BASE=meca-base/node',
  })
}

/** What a job without inputs is refused for is what an example would have to give. */
function withoutExample(error: unknown): unknown {
  if (!(error instanceof MecaError) || error.code !== 'bad_input') return error
  return new MecaError('invalid_task', `There is no example to run, and the task needs inputs: ${error.message}`, {
    cause: error,
    cure: 'add example/job.json with {"values": {"NAME": "text"}} and files as example/inputs/NAME; it can be published untried',
  })
}

/** Bytes for JSON: text where they are UTF-8. */
function toOutput(bytes: Uint8Array): Output {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') }
  }
}

function preview(output: Output | undefined): string {
  if (output === undefined) return 'nothing'
  return 'text' in output ? JSON.stringify(output.text.slice(0, 200)) : `base64 ${output.base64.slice(0, 80)}`
}
