/**
 * A market to crash: the devnet's processes, each of which can be killed and started again with failpoints or other
 * settings, and at the end everything that its history is made of. `close` leaves nothing behind.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { connect as connectChain } from '../../src/chain/chain.ts'
import type { Deployment } from '../../src/chain/chain.ts'
import { Rpc } from '../../src/chain/rpc.ts'
import { findDaemon } from '../../src/cli/daemon-file.ts'
import { inheritedEnvironment } from '../../src/config.ts'
import { MecaError } from '../../src/core/errors.ts'
import { connect } from '../../src/http/client.ts'
import type { RemoteNode } from '../../src/http/client.ts'
import type { NodeApi } from '../../src/role/api.ts'
import { startDevnet } from '../../src/wiring/devnet.ts'
import type { Devnet, Member } from '../../src/wiring/devnet.ts'
import { publishScript, SERVE } from '../e2e/tasks.ts'
import { publishCopier } from './files.ts'
import { readBooks } from '../history/books.ts'
import { readChain } from '../history/chain.ts'
import type { History } from '../history/history.ts'
import { eventually } from '../role/stage.ts'

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname
/** A node that starts beside seven others is ready within this. */
const READY_MS = 60_000
/** What a killed node left behind must be gone so soon after its next start, or its market's end. */
const SWEPT_MS = 30_000

/** Repeats its input; `slow…` takes a second, `wait…` four, `large…` answers with more than fits beside a message, `fail…` fails. */
const CGI = `
body=$(cat)
case "$body" in
  slow*) sleep 1 ;;
  wait*) sleep 4 ;;
  fail*) kill $(cat /tmp/server); exit 1 ;;
esac
printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$body"
case "$body" in large*) head -c 200000 /dev/zero | tr '\\000' x ;; esac
`

/** Claims come at once and all the time, so that crashes fall into them. */
const EAGER = { MECA_HOST_CLAIM_THRESHOLD: '1' }

export type Seat = {
  role: 'host' | 'node'
  member: Member
  pid: number
  /** Absent while it is the devnet's own process. */
  child: ChildProcess | undefined
  /** The end of what it said on stderr. */
  complaint: () => string
}

export class CrashMarket {
  readonly #devnet: Devnet
  readonly #signal: AbortSignal
  readonly #remotes = new Map<string, RemoteNode>()
  readonly endedByThemselves: string[] = []
  readonly client: Seat
  readonly hosts: Seat[]
  readonly developer: Seat
  /** Several tasks, so that there are several rows; the second one's servers die of some inputs, the third one takes files. */
  readonly tasks: { steady: string; brittle: string; files: string }

  private constructor(devnet: Devnet, seats: Seat[], tasks: CrashMarket['tasks'], signal: AbortSignal) {
    const [developer, client, ...hosts] = seats
    assert.ok(developer && client)
    ;[this.developer, this.client, this.hosts] = [developer, client, hosts]
    this.#devnet = devnet
    this.tasks = tasks
    this.#signal = signal
  }

  static async open({ hosts = 1, signal }: { hosts?: number; signal: AbortSignal }): Promise<CrashMarket> {
    await ensureBase(new Docker(), 'busybox', signal)
    const devnet = await startDevnet({ hosts, signal })
    try {
      const members = [devnet.developer, devnet.client, ...devnet.hosts]
      const seats = await Promise.all(
        members.map(async (member): Promise<Seat> => {
          const role = devnet.hosts.includes(member) ? 'host' : 'node'
          return { role, member, pid: await pidOf(member), child: undefined, complaint: () => '' }
        }),
      )
      const market = new CrashMarket(devnet, seats, { steady: '', brittle: '', files: '' }, signal)
      const developer = await market.api(market.developer)
      for (const name of ['steady', 'brittle'] as const) {
        const { cid } = await publishScript(developer, { name, run: SERVE, cgi: CGI }, signal)
        market.tasks[name] = cid
      }
      market.tasks.files = await publishCopier(developer, signal)
      return market
    } catch (error) {
      await devnet.close()
      throw error
    }
  }

  get folder(): string {
    return this.#devnet.folder
  }

  get seats(): Seat[] {
    return [this.developer, this.client, ...this.hosts]
  }

  /** The daemon that serves this home now. Throws `peer_unreachable` where there is none. */
  async api({ member }: Seat): Promise<NodeApi> {
    const endpoint = await findDaemon(member.home)
    if (endpoint === undefined) throw new MecaError('peer_unreachable', `No daemon runs in ${member.home}`)
    const known = this.#remotes.get(endpoint.token)
    if (known !== undefined) return known.api
    const remote = await connect(endpoint, this.#signal)
    this.#remotes.set(endpoint.token, remote)
    return remote.api
  }

  /** The first host, where one is enough. */
  get host(): Seat {
    const [host] = this.hosts
    assert.ok(host)
    return host
  }

  /** Notes a process that had ended by itself, which none may. */
  async kill(seat: Seat): Promise<void> {
    try {
      process.kill(seat.pid, 'SIGKILL')
    } catch {
      this.endedByThemselves.push(`the ${seat.role} in ${seat.member.home}: ${seat.complaint()}`)
    }
    await untilGone(seat.pid)
  }

  async isAlive({ pid }: Seat): Promise<boolean> {
    return !(await isGone(pid))
  }

  /** As its owner ends it. */
  async terminate(seat: Seat): Promise<void> {
    try {
      process.kill(seat.pid, 'SIGTERM')
    } catch {
      return // it has ended
    }
    await untilGone(seat.pid)
  }

  async until(what: string, check: () => Promise<boolean>): Promise<void> {
    await eventually(what, check)
  }

  /** Moves the chain's clock, so that a close that nobody agreed to can be finished. */
  async later(seconds: number): Promise<void> {
    const rpc = new Rpc(this.#devnet.rpc)
    await rpc.request('evm_increaseTime', [seconds], this.#signal)
    await rpc.request('evm_mine', [], this.#signal)
  }

  /** Resolves when it is ready, or has ended at a failpoint before that. */
  async start(seat: Seat, env: Record<string, string> = {}): Promise<'ready' | 'killed'> {
    const { role, member } = seat
    let complaint = ''
    const child = spawn(process.execPath, [MAIN, role, 'start', '--home', member.home, '--json', '--while-stdin'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: member.home,
      env: { ...inheritedEnvironment(), ...(role === 'host' ? EAGER : {}), ...env },
    })
    seat.child = child
    seat.pid = child.pid ?? 0
    seat.complaint = () => complaint
    child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)))
    const line = once(createInterface({ input: child.stdout }), 'line').then(() => 'ready' as const)
    const exit = once(child, 'exit').then(() => 'ended' as const)
    const late = AbortSignal.timeout(READY_MS)
    const timeout = new Promise<'late'>((resolve) => late.addEventListener('abort', () => resolve('late')))
    const first = await Promise.race([line, exit, timeout])
    if (first === 'ended' && child.signalCode === 'SIGKILL') return 'killed'
    assert.equal(first, 'ready', `the ${role} in ${member.home} did not start: ${complaint}`)
    return 'ready'
  }

  /** Ends every node as its owner would. */
  async stop(): Promise<void> {
    await Promise.all(this.seats.map((seat) => this.terminate(seat)))
  }

  /** Everything that the nodes wrote and the chain did; the nodes must have ended. */
  async history(callers: Pick<History, 'asked' | 'told' | 'refused' | 'shown'>, settled: boolean): Promise<History> {
    const books = await Promise.all(this.seats.map(({ member }) => readBooks(member.home, member.address)))
    const deployment = JSON.parse(await readFile(join(this.folder, 'deployment.json'), 'utf8')) as Deployment
    const chain = await connectChain(this.#devnet.rpc, deployment, { signal: this.#signal })
    return {
      ...callers,
      lines: books.flatMap(({ lines }) => lines),
      ended: books.flatMap(({ ended }) => ended),
      chain: await readChain(chain, this.#signal),
      settled,
    }
  }

  /** Containers, volumes and networks of these nodes that are still there when they should all be gone. */
  async leftovers(): Promise<string[]> {
    let left = await this.#labelled()
    const until = performance.now() + SWEPT_MS
    while (left.length > 0 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 500))
      left = await this.#labelled()
    }
    return left
  }

  async close(): Promise<void> {
    for (const remote of this.#remotes.values()) remote.close()
    await this.stop()
    await this.#devnet.close()
  }

  async #labelled(): Promise<string[]> {
    const docker = new Docker()
    const ids = await Promise.all(this.seats.map(({ member }) => readFile(join(member.home, 'id'), 'utf8')))
    const found = await Promise.all(
      ids.map(async (id) => {
        const filters = { label: [`meca.owner=${id.trim()}`] }
        const [containers, { Volumes }, networks] = await Promise.all([
          docker.listContainers({ all: true, filters }),
          docker.listVolumes({ filters: JSON.stringify(filters) }),
          docker.listNetworks({ filters }),
        ])
        return [
          ...containers.map(({ Names }) => `container ${Names.join()}`),
          ...(Volumes ?? []).map(({ Name }) => `volume ${Name}`),
          ...networks.map(({ Name }) => `network ${Name}`),
        ]
      }),
    )
    return found.flat()
  }
}

async function pidOf({ home }: Member): Promise<number> {
  const { pid } = JSON.parse(await readFile(join(home, 'daemon.json'), 'utf8')) as { pid: number }
  return pid
}

async function untilGone(pid: number): Promise<void> {
  await eventually(`process ${pid} has ended`, () => isGone(pid))
}

/** A process that was killed and not yet collected has state Z. */
async function isGone(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined) // gone
  return state === undefined || / Z /.test(state)
}
