/**
 * Hand-made images for the tests of this room: tar entries byte by byte, layouts out of layers, and real images built
 * by the engine of this machine.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import Docker from 'dockerode'
import { pack } from 'tar-stream'
import { blobPath, describeImage, digestOf, MEDIA, thisPlatform, type Descriptor } from '../../src/image/layout.ts'
import type { ImageLayout } from '../../src/image/oci.ts'
import type { ReadFile } from '../../src/image/layer.ts'

export const soon = (ms = 20_000): AbortSignal => AbortSignal.timeout(ms)

/** A folder that is removed at the end of the block. */
export function tempFolder(): AsyncDisposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'meca-image-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Fields of one tar header; what is not given is as an ordinary file has it. */
export type Raw = {
  name: string
  type?: string
  link?: string
  content?: Uint8Array | string
  /** Where the header shall say another size than the content has. */
  size?: number
  prefix?: string
  magic?: string
  breakChecksum?: boolean
}

export function header(raw: Raw): Buffer {
  const block = Buffer.alloc(512)
  const size = raw.size ?? Buffer.from(raw.content ?? '').length
  block.write(raw.name, 0, 100, 'latin1')
  block.write('0000644\0', 100, 'latin1')
  block.write('0000000\0'.repeat(2), 108, 'latin1')
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  block.write('00000000000\0', 136, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write(raw.type ?? '0', 156, 'latin1')
  block.write(raw.link ?? '', 157, 100, 'latin1')
  block.write(raw.magic ?? 'ustar\x0000', 257, 'latin1')
  block.write(raw.prefix ?? '', 345, 155, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, raw.breakChecksum === true ? 1 : 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

export function entry(raw: Raw): Buffer {
  const content = Buffer.from(raw.content ?? '')
  return Buffer.concat([header(raw), content, Buffer.alloc((512 - (content.length % 512)) % 512)])
}

export const END = Buffer.alloc(1024)

export function tar(...entries: (Raw | Buffer)[]): Buffer {
  return Buffer.concat([...entries.map((e) => (Buffer.isBuffer(e) ? e : entry(e))), END])
}

/** A PAX extension header with these records. */
export function pax(records: Readonly<Record<string, string>>, type = 'x'): Buffer {
  const text = Object.entries(records).map(([key, value]) => paxRecord(key, value))
  return entry({ name: 'PaxHeaders/x', type, content: Buffer.from(text.join(''), 'latin1') })
}

function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  const length = (n: number): number =>
    String(n).length + rest.length === n ? n : length(String(n).length + rest.length)
  return length(rest.length) + rest
}

export async function* stream(bytes: Uint8Array, chunk = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk)
}

/** A layout in memory: path → bytes. */
export type Files = Map<string, Uint8Array>

export type Change = {
  config?: (config: Record<string, unknown>) => unknown
  manifest?: (manifest: Record<string, unknown>) => unknown
  index?: (index: Record<string, unknown>) => unknown
  layers?: readonly { packed: Uint8Array; mediaType?: string; diffId?: string }[]
}

/** A right image of these layers (plain tars), then changed. Digests of changed documents are made right again. */
export function layoutOf(tars: readonly Uint8Array[], change: Change = {}): Files {
  const files: Files = new Map([['oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')]])
  const put = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const digest = digestOf(bytes)
    files.set(blobPath(digest), bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const packed = change.layers ?? tars.map((t) => ({ packed: gzipSync(t) }))
  const layers = packed.map((layer) => put(layer.packed, ('mediaType' in layer && layer.mediaType) || MEDIA.layerGzip))
  const diffIds = packed.map((layer, i) => ('diffId' in layer && layer.diffId) || digestOf(tars[i] ?? new Uint8Array()))
  const platform = thisPlatform()
  const config = { ...platform, config: { Cmd: ['/a'] }, rootfs: { type: 'layers', diff_ids: diffIds } }
  const configBlob = put(Buffer.from(JSON.stringify(change.config?.(config) ?? config)), MEDIA.config)
  const right = describeImage(configBlob, layers, platform)
  const manifest = parse(right.manifest)
  const manifestBlob = put(Buffer.from(JSON.stringify(change.manifest?.(manifest) ?? manifest)), MEDIA.manifest)
  const index = { ...parse(right.index), manifests: [{ ...manifestBlob, platform }] }
  files.set('index.json', Buffer.from(JSON.stringify(change.index?.(index) ?? index)))
  return files
}

function parse(json: Uint8Array): Record<string, unknown> {
  return JSON.parse(Buffer.from(json).toString()) as Record<string, unknown>
}

export function reader(files: Files): ReadFile {
  return async function* (path) {
    const bytes = files.get(path)
    if (bytes === undefined) throw new Error(`no file ${path}`)
    yield* stream(bytes)
  }
}

/** Reads a layout that lies on disk. */
export function readerOf(layout: ImageLayout): ReadFile {
  const files = new Map(layout.files.map(({ path, content }) => [path, content.file]))
  return async function* (path) {
    yield* stream(await readFile(files.get(path) ?? path))
  }
}

const docker = new Docker()

/** Why tests with the engine cannot run here; false where they can. */
export const noDocker: string | false = await docker
  .ping()
  .then(() => (existsSync('/bin/busybox') ? false : '/bin/busybox is missing (apt install busybox-static)'))
  .catch((error: unknown) => `no Docker engine: ${error instanceof Error ? error.message : String(error)}`)

export const LABEL = 'org.meca.test.image'

/** Builds an image `FROM scratch` with busybox and one layer for each file; resolves to its id. */
export async function buildImage(files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const names = Object.keys(files)
  const lines = [
    'FROM scratch',
    `LABEL ${LABEL}=1`,
    'COPY busybox /bin/busybox',
    ...names.map((n) => `COPY ${n} /data/${n}`),
  ]
  const context = pack()
  context.entry({ name: 'Dockerfile' }, [...lines, 'CMD ["/bin/busybox", "cat", "/data/greeting"]'].join('\n'))
  context.entry({ name: 'busybox', mode: 0o755, mtime: new Date(0) }, await readFile('/bin/busybox'))
  for (const name of names) context.entry({ name, mtime: new Date(0) }, Buffer.from(files[name] ?? []))
  context.finalize()
  const events = await follow(await docker.buildImage(Readable.from(context), { forcerm: true }))
  const id = events.map((event) => event.aux?.ID).findLast((value) => value !== undefined)
  if (id === undefined) throw new Error(`the build failed: ${JSON.stringify(events.at(-1))}`)
  return id
}

export async function save(image: string): Promise<AsyncIterable<Uint8Array>> {
  return (await docker.getImage(image).get()) as AsyncIterable<Buffer>
}

/** What `docker pull` prints, one line for each event. Throws where the pull failed. */
export async function pull(reference: string): Promise<string[]> {
  const events = await follow(await docker.pull(reference))
  const failed = events.find((event) => event.error !== undefined)
  if (failed !== undefined) throw new Error(failed.error)
  return events.map((event) => `${event.id ?? ''} ${event.status ?? ''}`)
}

export async function imageId(reference: string): Promise<string> {
  return (await docker.getImage(reference).inspect()).Id
}

export async function run(image: string): Promise<string> {
  const container = await docker.createContainer({
    Image: image,
    Labels: { [LABEL]: '1' },
    HostConfig: { NetworkMode: 'none' },
  })
  try {
    await container.start()
    await container.wait()
    const logs = await container.logs({ stdout: true, stderr: true })
    return logs.subarray(8).toString()
  } finally {
    await container.remove({ force: true })
  }
}

/** Removes an image whatever refers to it; one that is gone already is as wanted. */
export async function forget(image: string): Promise<void> {
  await docker
    .getImage(image)
    .remove({ force: true })
    .catch(() => {})
}

type BuildEvent = { id?: string; status?: string; error?: string; aux?: { ID?: string } }

function follow(progress: NodeJS.ReadableStream): Promise<BuildEvent[]> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, events: BuildEvent[]): void => (error === null ? resolve(events) : reject(error))
    docker.modem.followProgress(progress, done)
  })
}

export function random(bytes: number): Uint8Array {
  return randomBytes(bytes)
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
