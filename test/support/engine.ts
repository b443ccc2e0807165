/** A Docker engine for one test file: an owner of its own, and proof at the end that nothing of it is left. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import Docker from 'dockerode'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { Plan } from '../../src/core/plan.ts'
import { DockerEngine } from '../../src/engine/docker.ts'
import type { Instance, Reply, StartOptions } from '../../src/engine/engine.ts'
import { folderPrefix } from '../../src/engine/sweep.ts'

export const NEVER = new AbortController().signal
const LIMITS = { timeoutMs: 15_000, outputBytes: 2 ** 20 }

export class TestEngine {
  readonly owner: string
  readonly docker = new Docker()
  readonly engine: DockerEngine
  readonly #instances = new Set<Instance>()

  constructor(sidecars = 1, owner = `test-${randomBytes(6).toString('hex')}`) {
    this.owner = owner
    this.engine = new DockerEngine({ owner: this.owner, sidecars })
  }

  name(): string {
    return `meca-test-${randomBytes(6).toString('hex')}`
  }

  async start(
    image: string,
    plan: Plan,
    options: Partial<StartOptions> = {},
    signal: AbortSignal = NEVER,
  ): Promise<Instance> {
    const instance = await this.engine.start(image, plan, { name: this.name(), ...options }, signal)
    this.#instances.add(instance)
    return instance
  }

  /** Starts, asks once, stops. */
  async once(image: string, plan: Plan, body = '{}', limits = LIMITS): Promise<Reply> {
    const instance = await this.start(image, plan)
    try {
      return await ask(instance, body, limits)
    } finally {
      await instance.stop()
    }
  }

  /** Containers of this owner, in any state. */
  async containers(): Promise<Docker.ContainerInfo[]> {
    return this.docker.listContainers({ all: true, filters: { label: [`meca.owner=${this.owner}`] } })
  }

  /** Task containers alone. */
  async tasks(): Promise<string[]> {
    const all = await this.containers()
    return all.flatMap((c) => c.Names).filter((name) => !name.startsWith('/meca-sidecar-'))
  }

  async folders(): Promise<string[]> {
    return (await readdir(tmpdir())).filter((name) => name.startsWith(folderPrefix(this.owner)))
  }

  /** For `after`: ends everything and fails the file if something of it is left. */
  async end(): Promise<void> {
    await Promise.all([...this.#instances].map((instance) => instance.stop()))
    await this.engine.close()
    assert.deepEqual(await this.containers(), [], 'containers are left')
    assert.deepEqual(await this.folders(), [], 'socket folders are left')
  }
}

export async function ask(
  instance: Instance,
  body: string | Uint8Array = '{}',
  limits = LIMITS,
  signal: AbortSignal = NEVER,
): Promise<Reply> {
  return instance.request(Buffer.from(body), limits, signal)
}

export function text(reply: Reply): string {
  return Buffer.from(reply.body).toString()
}

/** The MecaError of a promise that must fail with this code. */
export async function failure(code: ErrorCode, promise: Promise<unknown>): Promise<MecaError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.ok(error instanceof MecaError, `expected ${code}, got ${String(error)}`)
  assert.equal(error.code, code, error.message)
  return error
}
