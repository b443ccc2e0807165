/**
 * The developer's story: check a folder, build its image, try the example inside the host's own walls, put everything
 * under one CID, and register it with its fee.
 */
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { taskIdOf } from '../core/cid.ts'
import { MecaError } from '../core/errors.ts'
import { keccakText } from '../core/typed.ts'
import { MAX_AMOUNT } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { Engine, ImageId } from '../engine/engine.ts'
import type { ImageLayout } from '../image/oci.ts'
import type { FileEntry, Ipfs } from '../ipfs/store.ts'
import { detectFormat, formatOf } from '../task/format.ts'
import type { Described, Finding, Folder, TaskFormat } from '../task/format.ts'
import { formatManifest, MANIFEST, parseManifest, zTaskName, zVersion } from '../task/package.ts'
import type { Manifest } from '../task/package.ts'
import type { CheckReport, OnProgress, Output, Published, PublishOptions, TestOptions, TestReport } from './api.ts'
import { readFolder } from './folder.ts'

export type DeveloperComponents = {
  address: Hex
  ipfs: Ipfs
  engine: Engine
  toLayout(
    archive: AsyncIterable<Uint8Array>,
    workFolder: string,
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void,
  ): Promise<ImageLayout>
  register(
    task: { taskId: Hex; fee: bigint; token: Hex; payee: Hex; name: string; version: string },
    signal: AbortSignal,
  ): Promise<{ hash: Hex; gasUsed: bigint }>
  /** Whether this developer has this version already, and under which CID. */
  version(name: string, version: string, signal: AbortSignal): Promise<Hex | undefined>
  defaultToken: Hex
  limits: { startTimeoutMs: number; maxSeconds: number; outputBytes: number }
  now(): number
}

type Opened = { dir: string; folder: Folder; format: TaskFormat; described: Described }

/** Everything that is wrong with a folder, at once; needs no engine. */
export async function checkFolder(dir: string, options: { format?: string }): Promise<CheckReport> {
  const folder = await readFolder(resolve(dir))
  const format = options.format === undefined ? detectFormat(folder) : formatOf(options.format)
  const findings = format.check(folder)
  return { dir: resolve(dir), format: format.name, ok: !hasError(findings), findings }
}

export class Developer {
  readonly #c: DeveloperComponents

  constructor(c: DeveloperComponents) {
    this.#c = c
  }

  async test(dir: string, options: TestOptions, onProgress: OnProgress, signal: AbortSignal): Promise<TestReport> {
    const opened = await this.#open(dir, options.format)
    const began = this.#c.now()
    const image = await this.#build(opened, options.buildArgs ?? {}, onProgress, signal)
    return this.#try(opened, image, this.#c.now() - began, options.input, onProgress, signal)
  }

  async publish(dir: string, options: PublishOptions, onProgress: OnProgress, signal: AbortSignal): Promise<Published> {
    const opened = await this.#open(dir, options.format)
    const names = await this.#names(opened, options, signal)
    const began = this.#c.now()
    const image = await this.#build(opened, options.buildArgs ?? {}, onProgress, signal)
    if (options.skipTest !== true) await this.#requireExample(opened, image, this.#c.now() - began, onProgress, signal)
    const work = await mkdtemp(join(tmpdir(), 'meca-publish-'))
    try {
      const manifestFor = (layout: ImageLayout) => this.#manifest(opened, layout, names, options)
      const added = await this.#add(opened, image, work, manifestFor, onProgress, signal)
      return await this.#register(added, names, options, opened.format.name, onProgress, signal)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  async #open(dir: string, formatName: string | undefined): Promise<Opened> {
    const root = resolve(dir)
    const folder = await readFolder(root)
    const format = formatName === undefined ? detectFormat(folder) : formatOf(formatName)
    return { dir: root, folder, format, described: format.describe(folder) }
  }

  /** The engine sees only what the image is made of, so that a secret beside it stays here. */
  async #build(
    { dir, described }: Opened,
    buildArgs: Readonly<Record<string, string>>,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<ImageId> {
    onProgress({ kind: 'step', step: 'build' })
    const context = await mkdtemp(join(tmpdir(), 'meca-build-'))
    try {
      for (const path of described.buildContext) {
        await mkdir(dirname(join(context, path)), { recursive: true })
        await cp(join(dir, path), join(context, path))
      }
      return await this.#c.engine.build(context, buildArgs, signal, (line) =>
        onProgress({ kind: 'log', line: { stream: 'stdout', text: line } }),
      )
    } finally {
      await rm(context, { recursive: true, force: true })
    }
  }

  async #requireExample(
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
    const plan = format.plan(descriptor, { resources: described.resources, maxSeconds, startTimeoutMs, outputBytes })
    const body = input ?? (await this.#example(dir, described, 'input'))
    const expected = input === undefined ? await this.#example(dir, described, 'output') : undefined
    onProgress({ kind: 'step', step: 'start' })
    const began = this.#c.now()
    const instance = await this.#c.engine.start(
      image,
      plan,
      { name: 'test', onLog: (line) => onProgress({ kind: 'log', line }) },
      signal,
    )
    try {
      const started = this.#c.now()
      onProgress({ kind: 'step', step: 'run' })
      const reply = await instance.request(body, { timeoutMs: maxSeconds * 1000, outputBytes }, signal)
      const same = expected === undefined ? undefined : format.sameOutput(expected, reply.body)
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

  async #names(
    opened: Opened,
    options: PublishOptions,
    signal: AbortSignal,
  ): Promise<{ name: string; version: string }> {
    const name = options.name ?? slug(opened.described.title)
    const version = options.version ?? '1.0.0'
    if (!zTaskName.safeParse(name).success)
      throw new MecaError('bad_input', `The name ${JSON.stringify(name)} is not usable`, {
        cure: 'give --name with 1 to 63 of a-z, 0-9 and dash',
      })
    if (!zVersion.safeParse(version).success)
      throw new MecaError('bad_input', `The version ${JSON.stringify(version)} is not usable`, {
        cure: 'give --version like 1.2.0',
      })
    if (options.fee < 0n || options.fee > MAX_AMOUNT)
      throw new MecaError('bad_input', `The fee ${options.fee} is out of range`, {
        cure: `give a fee between 0 and ${MAX_AMOUNT}`,
      })
    if ((await this.#c.version(name, version, signal)) !== undefined) {
      throw new MecaError('bad_input', `${this.#c.address}/${name}@${version} is published already`, {
        cure: 'give another --version',
      })
    }
    return { name, version }
  }

  #manifest(
    { described, format }: Opened,
    layout: ImageLayout,
    names: { name: string; version: string },
    options: PublishOptions,
  ): Manifest {
    return {
      schemaVersion: 1,
      ...names,
      title: described.title,
      description: described.description,
      format: format.name,
      developer: this.#c.address,
      fee: options.fee,
      token: options.token ?? this.#c.defaultToken,
      image: {
        manifest: layout.manifestDigest,
        id: layout.imageId,
        platform: `${layout.platform.os}/${layout.platform.architecture}`,
        bytes: layout.bytes,
      },
      resources: described.resources,
      determinism: options.determinism ?? 'none',
      needsNetwork: described.needsNetwork,
      descriptor: described.descriptor,
      ...(described.example === undefined ? {} : { example: described.example }),
    }
  }

  async #add(
    { dir, described }: Opened,
    image: ImageId,
    work: string,
    manifestFor: (layout: ImageLayout) => Manifest,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<{ cid: string; bytes: number; newBytes: number }> {
    onProgress({ kind: 'step', step: 'pack' })
    const archive: AsyncIterable<Uint8Array> = await this.#c.engine.save(image, signal)
    const layout = await this.#c.toLayout(archive, work, signal, (done, total) =>
      onProgress({ kind: 'step', step: 'pack', detail: `layer ${done} of ${total}` }),
    )
    const entries: FileEntry[] = [
      { path: MANIFEST, content: Buffer.from(manifestText(manifestFor(layout))) },
      ...described.files.map((path) => ({ path, content: { file: join(dir, path) } })),
      ...layout.files.map(({ path, content }) => ({ path: `image/${path}`, content })),
    ]
    onProgress({ kind: 'step', step: 'add' })
    return this.#c.ipfs.addFolder(entries, {
      signal,
      onProgress: (doneBytes) => onProgress({ kind: 'bytes', step: 'add', doneBytes, totalBytes: layout.bytes }),
    })
  }

  async #register(
    { cid, bytes, newBytes }: { cid: string; bytes: number; newBytes: number },
    { name, version }: { name: string; version: string },
    options: PublishOptions,
    format: string,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Published> {
    const { address, defaultToken } = this.#c
    const task = taskIdOf(cid)
    const token = options.token ?? defaultToken
    onProgress({ kind: 'step', step: 'register', detail: cid })
    // Told to the network's routing beside the transaction; peers that are connected are asked anyway.
    void this.#c.ipfs.provide(cid, signal).catch(() => undefined)
    const { hash, gasUsed } = await this.#c.register(
      { taskId: task, fee: options.fee, token, payee: options.payee ?? address, name, version },
      signal,
    )
    return {
      task,
      cid,
      name,
      version,
      format,
      fee: options.fee.toString(),
      token,
      developer: address,
      tx: hash,
      gas: gasUsed.toString(),
      bytes,
      newBytes,
    }
  }
}

/** Read back before it is published: a manifest that hosts refuse must not become a CID. */
function manifestText(manifest: Manifest): string {
  const text = formatManifest(manifest)
  parseManifest(text)
  return text
}

function hasError(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === 'error')
}

/** `My Task!` → `my-task`. A title without a usable letter gives a name made of its hash. */
function slug(title: string): string {
  const name = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return name === '' ? `task-${keccakText(title).slice(2, 10)}` : name
}

/** Bytes for JSON: text where they are UTF-8. */
export function toOutput(bytes: Uint8Array): Output {
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
