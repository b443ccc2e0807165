/**
 * Container images for tests, made here from this machine's own files: no registry, nothing downloaded. An image is
 * named by the hash of what is in it, so that every test file shares one build and a changed file makes a new image.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, readFile, readdir, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import Docker from 'dockerode'
import { pack } from 'tar-stream'
import { Readable } from 'node:stream'

const run = promisify(execFile)
const docker = new Docker()

export const BUSYBOX_PATH = '/bin/busybox'
const TEST_LABEL = 'meca.test'

/** The reason to skip tests that need Docker, or false where a daemon answers. */
export async function dockerMissing(): Promise<string | false> {
  try {
    await docker.ping()
    return (await exists(BUSYBOX_PATH)) ? false : 'no /bin/busybox on this machine (apt-get install busybox-static)'
  } catch (error) {
    return `no Docker daemon answers (${error instanceof Error ? error.message : String(error)})`
  }
}

/** The reason to skip tests whose program is compiled here, or false. */
export async function compilerMissing(): Promise<string | false> {
  const found = await run('cc', ['--version']).then(
    () => true,
    () => false,
  )
  return found ? false : 'no C compiler on this machine (apt-get install gcc libc6-dev)'
}

/** A shell and the usual small programs, 2 MB. */
export async function busyboxImage(): Promise<string> {
  const bytes = await readFile(BUSYBOX_PATH)
  return image(
    'busybox',
    [{ path: 'bin/busybox', bytes }],
    [
      'COPY bin/busybox /bin/busybox',
      'RUN ["/bin/busybox", "--install", "/bin"]',
      'RUN mkdir -p /tmp /data && chmod 1777 /tmp && echo "root:x:0:0::/:/bin/sh" > /etc/passwd',
    ],
  )
}

/** Node with the libraries that it loads, and a shell; the base of `appImage`. */
async function nodeImage(): Promise<string> {
  const node = process.execPath
  const { stdout } = await run('ldd', [node])
  const libraries = [...stdout.matchAll(/(\/\S+)\s+\(0x[0-9a-f]+\)/g)].flatMap((m) => m[1] ?? [])
  const paths = [node, ...libraries]
  const marks = await Promise.all(paths.map(async (path) => `${path} ${(await stat(path)).size}`))
  const busybox = await busyboxImage()
  const read = async () => [
    { path: 'bin/node', bytes: await readFile(node) },
    ...(await Promise.all(libraries.map(async (path) => ({ path: `root${path}`, bytes: await readFile(path) })))),
  ]
  return image('node', read, ['COPY bin/node /bin/node', 'COPY root/ /'], { from: busybox, marks })
}

/** Node and every program of test/support/apps under /app; each test says in its plan which one runs. */
export async function appImage(): Promise<string> {
  const folder = fileURLToPath(new URL('apps/', import.meta.url))
  const names = (await readdir(folder)).sort()
  const files = await Promise.all(
    names.map(async (name) => ({ path: `app/${name}`, bytes: await readFile(folder + name) })),
  )
  return image('apps', files, ['COPY app/ /app/', 'EXPOSE 8080', 'CMD ["node", "/app/meca.mjs"]', 'ENV PATH=/bin'], {
    from: await nodeImage(),
  })
}

export type ImageFile = { path: string; bytes: Uint8Array; mode?: number }
type Extra = { from?: string; marks?: readonly string[] }

/** `files` may be a function where they are large: it is called only when the image has to be made. */
export async function image(
  name: string,
  files: readonly ImageFile[] | (() => Promise<ImageFile[]>),
  lines: readonly string[],
  extra: Extra = {},
): Promise<string> {
  const dockerfile = [`FROM ${extra.from ?? 'scratch'}`, `LABEL ${TEST_LABEL}=1`, ...lines, ''].join('\n')
  const hash = createHash('sha256')
    .update(dockerfile)
    .update((extra.marks ?? []).join('\n'))
  if (typeof files !== 'function') for (const { path, bytes } of files) hash.update(path).update(bytes)
  const tag = `meca-test/${name}:${hash.digest('hex').slice(0, 24)}`
  const known = await docker
    .getImage(tag)
    .inspect()
    .then(
      (found) => found.Id,
      () => undefined,
    )
  return known ?? build(tag, dockerfile, typeof files === 'function' ? await files() : files)
}

async function build(tag: string, dockerfile: string, files: readonly ImageFile[]): Promise<string> {
  const archive = pack()
  archive.entry({ name: 'Dockerfile' }, dockerfile)
  for (const { path, bytes, mode } of files) archive.entry({ name: path, mode: mode ?? 0o755 }, Buffer.from(bytes))
  archive.finalize()
  const stream = await docker.buildImage(Readable.from(archive), { t: tag, rm: true, forcerm: true })
  let log = ''
  for await (const chunk of stream) log += String(chunk)
  if (log.includes('"errorDetail"')) throw new Error(`the test image ${tag} was not built: ${log.slice(-2_000)}`)
  return (await docker.getImage(tag).inspect()).Id
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
