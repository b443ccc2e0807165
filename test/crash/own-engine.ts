/** A Docker engine of our own, on a socket of its own, to be killed: never the machine's. Root only. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Docker from 'dockerode'
import { inheritedEnvironment } from '../../src/config.ts'
import { eventually } from '../role/stage.ts'

/** Why no second engine can run here, for a test's `skip`; false where one can. */
export function noOwnEngine(): string | false {
  if (process.getuid?.() !== 0) return 'a second engine needs root'
  return spawnSync('dockerd', ['--version']).status === 0 ? false : 'there is no dockerd on this machine'
}

const CONTAINERD_PID = 'exec/containerd/containerd.pid'

export class OwnEngine {
  readonly docker: Docker
  readonly socket: string
  readonly #folder: string
  #child: ChildProcess | undefined

  private constructor(folder: string) {
    this.#folder = folder
    this.socket = join(folder, 'docker.sock')
    this.docker = new Docker({ socketPath: this.socket })
  }

  static async open(): Promise<OwnEngine> {
    const engine = new OwnEngine(await mkdtemp(join(tmpdir(), 'meca-engine-')))
    await engine.start()
    return engine
  }

  /** After a crash the pid files have to be taken away first: it believes them, whoever has those numbers now. */
  async start(): Promise<void> {
    for (const name of ['pid', CONTAINERD_PID]) await rm(join(this.#folder, name), { force: true })
    const at = (name: string) => join(this.#folder, name)
    const places = ['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')]
    // Not --bridge=none: a daemon that is told so removes docker0 (measured), and with it the machine's own engine's network.
    const network = ['--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false']
    this.#child = spawn('dockerd', [...places, '-H', `unix://${this.socket}`, ...network], {
      stdio: 'ignore',
      env: inheritedEnvironment(),
    })
    await eventually('the second engine answers', () =>
      this.docker.ping().then(
        () => true,
        () => false,
      ),
    )
  }

  /** `kill -9`: its containers go on without it; its containerd dies with it, a moment later. */
  async kill(): Promise<void> {
    const child = this.#child
    assert.ok(child)
    const containerd = await this.#containerd()
    child.kill('SIGKILL')
    await eventually('the second engine is gone', () => child.signalCode !== null)
    await eventually('its containerd is gone', () => containerd === undefined || !existsSync(`/proc/${containerd}`))
  }

  /** Brought back first where it was killed last: its containers would outlive it. */
  async close(): Promise<void> {
    if (this.#child?.signalCode === 'SIGKILL') await this.start()
    const left = await this.docker.listContainers({ all: true })
    await Promise.all(left.map(({ Id }) => this.docker.getContainer(Id).remove({ force: true, v: true })))
    const child = this.#child
    child?.kill('SIGTERM')
    await eventually('the second engine has ended', () => child?.exitCode !== null || child.signalCode !== null)
    // It mounts its data folder onto itself, and leaves that so when it was ever killed.
    spawnSync('umount', ['--recursive', '--lazy', join(this.#folder, 'data')])
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** The process that its pid file names, where that is ours. */
  async #containerd(): Promise<number | undefined> {
    const pid = Number(await readFile(join(this.#folder, CONTAINERD_PID), 'utf8'))
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') // it has ended
    return words.includes(this.#folder) ? pid : undefined
  }
}
