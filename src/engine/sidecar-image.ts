/**
 * The image of the sidecar: this machine's own `socat` and shell with the libraries they load, imported into the
 * engine under a name made of their contents. Nothing is downloaded, and a new socat of the distribution makes a new
 * image by itself. A host without socat can name an image that has both instead.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { promisify } from 'node:util'
import type Docker from 'dockerode'
import { pack } from 'tar-stream'
import { MecaError } from '../core/errors.ts'
import { call, statusOf } from './client.ts'

const SOCAT_PATHS = ['/usr/bin/socat', '/usr/local/bin/socat', '/bin/socat']
const SHELL = '/bin/sh'
const REPOSITORY = 'meca-sidecar'

/** Resolves to the engine's image id. `reference` is the setting engine.sidecarImage; empty to make our own. */
export async function sidecarImage(docker: Docker, reference: string, signal: AbortSignal): Promise<string> {
  if (reference !== '') return named(docker, reference, signal)
  const files = await ownFiles()
  const tag = contentTag(files)
  return (await idOf(docker, `${REPOSITORY}:${tag}`, signal)) ?? importImage(docker, files, tag, signal)
}

async function named(docker: Docker, reference: string, signal: AbortSignal): Promise<string> {
  const id = await idOf(docker, reference, signal)
  if (id !== undefined) return id
  throw new MecaError('bad_config', `The sidecar image ${reference} is not in the engine`, {
    cure: `Pull it (\`docker pull ${reference}\`), or empty engine.sidecarImage to use this machine's own socat.`,
  })
}

async function idOf(docker: Docker, reference: string, signal: AbortSignal): Promise<string | undefined> {
  return call(
    'look for the sidecar image',
    async () => {
      try {
        return (await docker.getImage(reference).inspect()).Id
      } catch (error) {
        if (statusOf(error) === 404) return undefined
        throw error
      }
    },
    signal,
  )
}

type Files = readonly { path: string; bytes: Buffer }[]

async function ownFiles(): Promise<Files> {
  const programs = [await findSocat(), SHELL]
  const libraries = await Promise.all(programs.map(librariesOf))
  const paths = [...new Set([...programs, ...libraries.flat()])].sort()
  return Promise.all(paths.map(async (path) => ({ path, bytes: await readFile(path) })))
}

async function findSocat(): Promise<string> {
  for (const path of SOCAT_PATHS) {
    const found = await access(path).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  throw new MecaError('engine_unavailable', `socat is not installed (looked for ${SOCAT_PATHS.join(', ')})`, {
    cure: 'Install it (`apt-get install socat`), or name an image that has socat and sh in engine.sidecarImage.',
  })
}

/** A static program has none: ldd says so and fails, which is an answer and not a fault. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ldd', [program], { timeout: 10_000 }).catch(() => ({ stdout: '' }))
  return [...stdout.matchAll(/(\/\S+)\s+\(0x[0-9a-f]+\)/g)].flatMap((match) => match[1] ?? [])
}

function contentTag(files: Files): string {
  const hash = createHash('sha256')
  for (const { path, bytes } of files) hash.update(`${path}\0${bytes.length}\0`).update(bytes)
  return hash.digest('hex').slice(0, 32)
}

async function importImage(docker: Docker, files: Files, tag: string, signal: AbortSignal): Promise<string> {
  const archive = pack()
  for (const { path, bytes } of files) archive.entry({ name: path.slice(1), mode: 0o755 }, bytes)
  archive.finalize()
  await call(
    'import the sidecar image',
    async () => {
      const answer = await docker.importImage(Readable.from(archive), { repo: REPOSITORY, tag })
      await finished(answer.resume())
    },
    signal,
  )
  const id = await idOf(docker, `${REPOSITORY}:${tag}`, signal)
  if (id === undefined)
    throw new MecaError('engine_unavailable', 'The engine did not keep the sidecar image that it was given')
  return id
}
