/**
 * The developer's story: build the image and try the example at the bench, put everything under one CID, and register it
 * with its fee.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { taskIdOf } from '../core/cid.ts'
import { MecaError } from '../core/errors.ts'
import { keccakText } from '../core/typed.ts'
import { MAX_AMOUNT } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { Engine } from '../engine/engine.ts'
import type { ImageLayout } from '../image/oci.ts'
import type { FileEntry, Ipfs } from '../ipfs/store.ts'
import { formatManifest, MANIFEST, parseManifest, zTaskName, zVersion } from '../task/package.ts'
import type { Manifest } from '../task/package.ts'
import type { OnProgress } from './api-common.ts'
import type { Published, PublishOptions } from './api-developer.ts'
import { archiveOf } from './bench-source.ts'
import type { Built, Opened, Workbench } from './workbench.ts'

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
  bench: Workbench
  now(): number
}

export class Developer {
  readonly #c: DeveloperComponents
  readonly #bench: Workbench

  constructor(c: DeveloperComponents) {
    this.#c = c
    this.#bench = c.bench
  }

  async publish(dir: string, options: PublishOptions, onProgress: OnProgress, signal: AbortSignal): Promise<Published> {
    const opened = await this.#bench.open(dir, options, signal)
    try {
      return await this.#publishOpened(opened, options, onProgress, signal)
    } finally {
      await opened.dispose()
    }
  }

  async #publishOpened(
    opened: Opened,
    options: PublishOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Published> {
    const names = await this.#names(opened, options, signal)
    const began = this.#c.now()
    const built = await this.#bench.build(opened, options.buildArgs ?? {}, onProgress, signal)
    if (options.skipTest !== true) await this.#bench.requireExample(built, this.#c.now() - began, onProgress, signal)
    const work = await mkdtemp(join(tmpdir(), 'meca-publish-'))
    try {
      const manifestFor = (layout: ImageLayout) => this.#manifest(built.opened, layout, names, options)
      const added = await this.#add(built, work, manifestFor, onProgress, signal)
      return await this.#register(added, names, options, opened.format.name, onProgress, signal)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  async #names(
    opened: Opened,
    options: PublishOptions,
    signal: AbortSignal,
  ): Promise<{ name: string; version: string }> {
    const name = options.name ?? slug(opened.described.title)
    const version = options.version ?? opened.described.version ?? '1.0.0'
    if (!zTaskName.safeParse(name).success)
      throw new MecaError('bad_input', `The name ${JSON.stringify(name)} is not usable`, {
        cure: 'give --name with 1 to 63 of a-z, 0-9 and dash',
      })
    if (!zVersion.safeParse(version).success)
      throw new MecaError('bad_input', `The version ${JSON.stringify(version)} is not usable`, {
        cure: 'give --version like 1.2.0',
      })
    if (options.fee < 0n || options.fee > MAX_AMOUNT)
      throw new MecaError('bad_input', `The fee, ${options.fee} of the smallest unit, is out of range`, {
        cure: `give a fee between 0 and ${MAX_AMOUNT} of the smallest unit`,
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
    { image, opened }: Built,
    work: string,
    manifestFor: (layout: ImageLayout) => Manifest,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<{ cid: string; bytes: number; newBytes: number }> {
    onProgress({ kind: 'step', step: 'pack' })
    const { dir, described, extra } = opened
    const archive = await archiveOf(opened.image, image, this.#c.engine, signal)
    const layout = await this.#c.toLayout(archive, work, signal, (done, total) =>
      onProgress({ kind: 'step', step: 'pack', detail: `layer ${done} of ${total}` }),
    )
    const entries: FileEntry[] = [
      { path: MANIFEST, content: Buffer.from(manifestText(manifestFor(layout))) },
      ...described.files.map((path) => ({ path, content: extra.get(path) ?? { file: join(dir, path) } })),
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

/** `My Task!` → `my-task`. A title without a usable letter gives a name made of its hash. */
function slug(title: string): string {
  const name = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return name === '' ? `task-${keccakText(title).slice(2, 10)}` : name
}
