/**
 * A sidecar: a small container of ours that owns an empty network namespace and carries bytes between a unix socket on
 * the host and one port inside. The task joins that namespace, so no IP path exists that would have to be closed.
 *
 * Two sockets per sidecar: `<port>` forwards each connection; `<port>.ready` answers "ready" as soon as something in
 * the namespace accepts a TCP connection on the port, which saves the host from polling.
 */
import { once } from 'node:events'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Container } from 'dockerode'
import type Docker from 'dockerode'
import { MecaError } from '../core/errors.ts'
import { call, exitCodeOf, isGone, statusOf } from './client.ts'
import { removeLater } from './remove-later.ts'
import { READY_WORD, sidecarOptions } from './sidecar-options.ts'
import type { SidecarPlan } from './sidecar-options.ts'

const START_TIMEOUT_MS = 20_000

export type SidecarInput = SidecarPlan & { docker: Docker }

export class Sidecar {
  readonly id: string
  readonly port: number
  readonly socketPath: string
  /** Resolves when the sidecar is gone, for whatever reason. */
  readonly ended: Promise<void>
  dead = false
  readonly #container: Container
  readonly #folder: string

  private constructor(container: Container, input: SidecarInput) {
    this.#container = container
    this.#folder = input.folder
    this.id = container.id
    this.port = input.port
    this.socketPath = join(input.folder, String(input.port))
    // A failed wait means that the container or the engine is gone, which is the same to us.
    this.ended = exitCodeOf(input.docker, container.id).then(
      () => this.#die(),
      () => this.#die(),
    )
  }

  #die(): void {
    this.dead = true
  }

  static async make(input: SidecarInput, signal: AbortSignal): Promise<Sidecar> {
    await mkdir(input.folder)
    // The sidecar runs as nobody; the parent folder (0700) keeps everybody else on this machine out.
    await chmod(input.folder, 0o777)
    const limit = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)])
    const container = await call('create a sidecar', () =>
      input.docker.createContainer(sidecarOptions(input)).catch((error: unknown) => {
        // An engine that went away before it answered may have made it all the same.
        removeLater(input.docker.getContainer(input.name))
        throw error
      }),
    )
    try {
      await call('start a sidecar', (abortSignal) => container.start({ abortSignal }), signal)
      const sidecar = new Sidecar(container, input)
      await sidecar.#listening(limit)
      return sidecar
    } catch (error) {
      await discard(container, input.folder)
      signal.throwIfAborted()
      if (!limit.aborted) throw error
      throw new MecaError('engine_unavailable', `A sidecar did not listen within ${START_TIMEOUT_MS / 1000} s`, {
        cause: error,
      })
    }
  }

  /** Resolves once the port inside takes a connection. */
  async portOpen(signal: AbortSignal): Promise<void> {
    while (!(await saysReady(`${this.socketPath}.ready`, signal))) await sleep(10, undefined, { signal })
  }

  async remove(): Promise<void> {
    await discard(this.#container, this.#folder)
  }

  async #listening(signal: AbortSignal): Promise<void> {
    while (!(await accepts(this.socketPath))) {
      if (this.dead) throw new MecaError('engine_unavailable', 'A sidecar ended as soon as it was started')
      await sleep(5, undefined, { signal })
    }
  }
}

async function discard(container: Container, folder: string): Promise<void> {
  await call('remove a sidecar', (abortSignal) => container.remove({ force: true, v: true, abortSignal })).catch(
    (error: unknown) => {
      const absent = statusOf(error) === 404 || statusOf(error) === 409
      if (isGone(error) || error instanceof MecaError) removeLater(container)
      else if (!absent) throw error
    },
  )
  await rm(folder, { recursive: true, force: true })
}

async function accepts(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    // Not there yet is the normal answer while the sidecar starts.
    return false
  } finally {
    socket.destroy()
  }
}

/** The word decides, not the end of the connection: that comes as well when a sidecar dies. */
async function saysReady(path: string, signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted()
  const socket = connect(path)
  const stop = () => socket.destroy(new Error('stopped waiting'))
  signal.addEventListener('abort', stop, { once: true })
  try {
    let text = ''
    for await (const chunk of socket) text = (text + String(chunk)).slice(0, 64)
    return text.startsWith(READY_WORD)
  } catch {
    // A refused or broken connection is "not yet"; an ended wait is thrown here.
    signal.throwIfAborted()
    return false
  } finally {
    signal.removeEventListener('abort', stop)
    socket.destroy()
  }
}
