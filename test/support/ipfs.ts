/** Real IPFS nodes for tests: Helia on libp2p nodes of this process, Kubo daemons of this machine's `ipfs`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { openHelia, type HeliaOptions } from '../../src/ipfs/helia.ts'
import { openKubo } from '../../src/ipfs/kubo.ts'
import type { Ipfs } from '../../src/ipfs/store.ts'

export const soon = (ms = 30_000): AbortSignal => AbortSignal.timeout(ms)

export async function tempFolder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'meca-ipfs-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

export function startLibp2p(): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
  })
}

export type TestNode = { ipfs: Ipfs; home: string; address: string; libp2p?: Libp2p }

export async function startHelia(
  t: TestContext,
  options: Partial<HeliaOptions> = {},
): Promise<TestNode & { libp2p: Libp2p }> {
  const home = options.home ?? (await tempFolder(t))
  const libp2p = options.libp2p ?? (await startLibp2p())
  const ipfs = await openHelia({ ...options, libp2p, home })
  t.after(async () => {
    await ipfs.close()
    await libp2p.stop()
  })
  return { ipfs, home, libp2p, address: libp2p.getMultiaddrs()[0]?.toString() ?? '' }
}

/** Why Kubo tests cannot run here; false where they can. */
export const noKubo: string | false = await findIpfs()

async function findIpfs(): Promise<string | false> {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, 'ipfs')).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true) ? false : 'no Kubo: there is no `ipfs` on the PATH'
}

/** A daemon of its own that talks to nobody on the internet. */
export async function startKubo(t: TestContext): Promise<TestNode> {
  const home = await tempFolder(t)
  const env = { ...process.env, IPFS_PATH: home, IPFS_TELEMETRY: 'off' }
  await ipfs(env, 'init', '--profile', 'test', '--empty-repo')
  await ipfs(env, 'config', '--json', 'Addresses.Swarm', '["/ip4/127.0.0.1/tcp/0"]')
  const daemon = spawn('ipfs', ['daemon'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    if (daemon.exitCode !== null) return
    daemon.kill('SIGTERM')
    await once(daemon, 'exit')
  })
  let text = ''
  for await (const chunk of daemon.stdout) if ((text += String(chunk)).includes('Daemon is ready')) break
  daemon.stdout.resume()
  const port = /RPC API server listening on \/ip4\/127\.0\.0\.1\/tcp\/(\d+)/.exec(text)?.[1] ?? ''
  const url = `http://127.0.0.1:${port}`
  const id = JSON.parse(await ipfs(env, 'id')) as { Addresses: string[] }
  const node = await openKubo({ url, signal: soon() })
  return { ipfs: node, home, address: id.Addresses.find((a) => a.includes('/ip4/127.0.0.1/tcp/')) ?? '' }
}

/** One `ipfs` command on a repository; resolves to what it printed. */
export async function ipfs(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  const child = spawn('ipfs', args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const out: Buffer[] = []
  const errors: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`ipfs ${args.join(' ')}: ${Buffer.concat(errors).toString()}`)
  return Buffer.concat(out).toString()
}
