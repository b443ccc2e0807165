/**
 * The developer's bench: check a folder, build its image, and run the example behind the walls that a host puts up. It
 * needs an engine and nothing else: no wallet, no chain, no network.
 */
import { randomBytes } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { MecaError } from '../core/errors.ts'
import type { Engine, ImageId } from '../engine/engine.ts'
import { detectFormat, formatOf, requireHttp } from '../task/format.ts'
import type { Described, Finding, Folder, TaskFormat } from '../task/format.ts'
import type { CheckReport, OnProgress, Output, TestOptions, TestReport } from './api.ts'
import { readFolder } from './folder.ts'

export type WorkbenchComponents = {
  engine: Engine
  limits: { startTimeoutMs: number; maxSeconds: number; outputBytes: number }
  now(): number
}

/** A folder that was read and fits its format. */
export type Opened = { dir: string; folder: Folder; format: TaskFormat; described: Described }

/** Everything that is wrong with a folder, at once; needs no engine. */
export async function checkFolder(dir: string, options: { format?: string }): Promise<CheckReport> {
  const folder = await readFolder(resolve(dir))
  const format = options.format === undefined ? detectFormat(folder) : formatOf(options.format)
  const findings = format.check(folder)
  return { dir: resolve(dir), format: format.name, ok: !hasError(findings), findings }
}

export class Workbench {
  readonly #c: WorkbenchComponents

  constructor(c: WorkbenchComponents) {
    this.#c = c
  }

  async test(dir: string, options: TestOptions, onProgress: OnProgress, signal: AbortSignal): Promise<TestReport> {
    const opened = await this.open(dir, options.format)
    const began = this.#c.now()
    const image = await this.build(opened, options.buildArgs ?? {}, onProgress, signal)
    return this.#try(opened, image, this.#c.now() - began, options.input, onProgress, signal)
  }

  async open(dir: string, formatName: string | undefined): Promise<Opened> {
    const root = resolve(dir)
    const folder = await readFolder(root)
    const format = formatName === undefined ? detectFormat(folder) : formatOf(formatName)
    return { dir: root, folder, format, described: format.describe(folder) }
  }

  /** The engine sees only what the image is made of, so that a secret beside it stays here. */
  async build(
    { dir, described }: Opened,
    buildArgs: Readonly<Record<string, string>>,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<ImageId> {
    onProgress({ kind: 'step', step: 'build' })
    const context = await mkdtemp(join(tmpdir(), 'meca-build-'))
    try {
      for (const path of contextOf(described)) {
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
  async requireExample(
    opened: Opened,
    image: ImageId,
    buildMs: number,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const report = await this.#try(opened, image, buildMs, undefined, onProgress, signal)
    if (report.ok) return
    throw new MecaError(
      'invalid_task',
      `The example's output is not what the task answers: expected ${preview(report.expected)}, got ${preview(report.output)}`,
      {
        cure: 'correct example_output.bin or the task, then see meca task test; --skip-test publishes it anyway',
        details: { httpStatus: report.httpStatus },
      },
    )
  }

  async #try(
    opened: Opened,
    image: ImageId,
    buildMs: number,
    input: Uint8Array | undefined,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<TestReport> {
    const { dir, described, format, folder } = opened
    const { startTimeoutMs, maxSeconds, outputBytes } = this.#c.limits
    const descriptor = folder.texts.get(described.descriptor) ?? ''
    const http = requireHttp(format)
    const plan = http.plan(descriptor, { resources: described.resources, maxSeconds, startTimeoutMs, outputBytes })
    const body = input ?? (await this.#example(dir, described, 'input'))
    const expected = input === undefined ? await this.#example(dir, described, 'output') : undefined
    onProgress({ kind: 'step', step: 'start' })
    const began = this.#c.now()
    const instance = await this.#c.engine.start(
      image,
      plan,
      // Two tests at once on one engine each need a name of their own.
      { name: `test-${randomBytes(6).toString('hex')}`, onLog: (line) => onProgress({ kind: 'log', line }) },
      signal,
    )
    try {
      const started = this.#c.now()
      onProgress({ kind: 'step', step: 'run' })
      const reply = await instance.request(body, { timeoutMs: maxSeconds * 1000, outputBytes }, signal)
      const same = expected === undefined ? undefined : http.sameOutput(expected, reply.body)
      return {
        dir,
        format: format.name,
        ok: same ?? reply.status < 400,
        findings: format.check(folder),
        imageId: image,
        resources: described.resources,
        buildMs: Math.round(buildMs),
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

  async #example(dir: string, described: Described, which: 'input' | 'output'): Promise<Uint8Array> {
    const path = described.example?.[which]
    if (path === undefined)
      throw new MecaError('invalid_task', `The task has no example ${which}`, { cure: 'add one, or give an input' })
    return readFile(join(dir, path))
  }
}

/** Throws `bad_input` where there is nothing to build. */
function contextOf({ image }: Described): readonly string[] {
  if (image.kind === 'build') return image.context
  throw new MecaError('bad_input', `The image is finished already: ${image.path}`, { cure: 'publish it as it is' })
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
