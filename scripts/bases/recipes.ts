/**
 * What each base image is made of. `busybox` is this machine's own busybox and its names; `node` adds the Node binary
 * of the packages with the libraries that it loads; `python` is a small Debian with Flask, made by debootstrap.
 */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { MecaError } from '../../src/core/errors.ts'
import { packTree, type Archive, type Entry } from './tree.ts'

export type BaseName = 'busybox' | 'node' | 'python'

type Recipe = {
  /** Changes exactly when the image would. */
  fingerprint(): Promise<string>
  /** Dockerfile lines that the image carries. */
  changes: readonly string[]
  /** The root file system as a tar stream. */
  archive(signal: AbortSignal): Promise<Archive>
}

const run = promisify(execFile)

const PATH = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const BUSYBOX = '/bin/busybox'
const DEBIAN = 'bookworm'
const PACKAGES = 'python3,python3-flask'

export const RECIPES: Record<BaseName, Recipe> = {
  busybox: fromFiles([BUSYBOX], []),
  node: fromFiles([BUSYBOX], [{ path: '/usr/local/bin/node', source: process.execPath }]),
  python: {
    fingerprint: async () => sha256([DEBIAN, PACKAGES, TIDY]),
    changes: [PATH, 'ENV PYTHONUNBUFFERED=1', 'CMD ["python3"]'],
    archive: debian,
  },
}

function fromFiles(programs: readonly string[], renamed: readonly { path: string; source: string }[]): Recipe {
  const all = [...programs.map((path) => ({ path, source: path })), ...renamed]
  return {
    fingerprint: async () => sha256(await Promise.all(all.map(({ source }) => bytesOf(source)))),
    changes: [PATH, `CMD ["${all.length > 1 ? 'node' : 'sh'}"]`],
    archive: async () => {
      const libraries = await Promise.all(all.map(({ source }) => librariesOf(source)))
      const files = [...all, ...[...new Set(libraries.flat())].map((path) => ({ path, source: path }))]
      const entries = await Promise.all(files.map(async ({ path, source }) => ({ path, bytes: await bytesOf(source) })))
      return packTree([...skeleton(), ...entries, ...(await appletLinks())])
    },
  }
}

/** What programs expect of any system: a root, a nobody and a place for scratch. */
function skeleton(): Entry[] {
  const text = (path: string, lines: string): Entry => ({ path, bytes: Buffer.from(lines), mode: 0o644 })
  return [
    { path: '/tmp', folder: true, mode: 0o1777 },
    { path: '/root', folder: true, mode: 0o700 },
    text('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n'),
    text('/etc/group', 'root:x:0:\nnogroup:x:65534:\n'),
  ]
}

async function appletLinks(): Promise<Entry[]> {
  const { stdout } = await run(BUSYBOX, ['--list'])
  const names = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox')
  return names.map((name) => ({ path: `/bin/${name}`, link: BUSYBOX }))
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new MecaError('bad_config', `${path} cannot be read, and base images are made of it`, {
      cause: error,
      cure: 'As root: apt-get install -y busybox-static',
    })
  }
}

/** The shared libraries that a program loads; none for a static one. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run('ldd', [program]).catch(() => ({ stdout: '' })) // ldd fails for a static program
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '')
}

/** What an image does not need of an installed Debian: lists, caches, documentation, messages. */
const TIDY = 'var/lib/apt/lists var/cache var/log usr/share/doc usr/share/man usr/share/locale usr/share/info'

async function debian(signal: AbortSignal): Promise<Archive> {
  await access('/usr/sbin/debootstrap').catch((error: unknown) => {
    throw new MecaError('bad_config', 'debootstrap is not installed, and it makes the Python base image', {
      cause: error,
      cure: 'As root: apt-get update && apt-get install -y debootstrap',
    })
  })
  const folder = await mkdtemp(join(tmpdir(), 'meca-python-base-'))
  try {
    await run('debootstrap', ['--variant=minbase', `--include=${PACKAGES}`, DEBIAN, folder], {
      signal,
      maxBuffer: 2 ** 26,
    })
    for (const path of TIDY.split(' ')) await rm(join(folder, path), { recursive: true, force: true })
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw new MecaError(
      'internal',
      `debootstrap did not finish: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
        cure: 'Run it as root with the Debian package registry reachable (`apt-get update` must work).',
      },
    )
  }
  const tar = spawn('tar', ['-c', '--numeric-owner', '--sort=name', '--exclude=./dev/*', '-C', folder, '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  })
  const done = new Promise<void>((resolve, reject) => {
    tar.once('error', reject)
    tar.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`tar ended with ${code}`))))
  }).finally(() => rm(folder, { recursive: true, force: true }))
  return { stream: tar.stdout, done }
}

function sha256(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex').slice(0, 32)
}
