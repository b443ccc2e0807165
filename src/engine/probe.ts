/**
 * What this engine can do, tried and not believed: a sandbox runtime is listed only after a container under it
 * started, became ready, answered and went away again.
 */
import { randomUUID } from 'node:crypto'
import type Docker from 'dockerode'
import type { Plan } from '../core/plan.ts'
import { call } from './client.ts'
import type { Engine, EngineInfo, ImageId } from './engine.ts'

/** Sandboxes that we know how to set limits for. */
const SANDBOXES = ['runsc']

export async function probeEngine(
  docker: Docker,
  test: (runtime: string) => Promise<boolean>,
  signal: AbortSignal,
): Promise<EngineInfo> {
  const info = await call('ask what it is', () => docker.info() as Promise<DaemonInfo>, signal)
  const installed = SANDBOXES.filter((runtime) => Object.hasOwn(info.Runtimes ?? {}, runtime))
  const runtimes = ['runc']
  for (const runtime of installed) if (await test(runtime)) runtimes.push(runtime)
  return { version: info.ServerVersion, runtimes, cpuMillis: info.NCPU * 1000, memoryBytes: info.MemTotal }
}

type DaemonInfo = { ServerVersion: string; NCPU: number; MemTotal: number; Runtimes?: Record<string, unknown> }

/** The sidecar's own image plays the task: it has a shell and can listen. False for every way to fail. */
export async function selfTest(engine: Engine, image: ImageId, runtime: string, signal: AbortSignal): Promise<boolean> {
  const options = { name: `meca-selftest-${randomUUID().slice(0, 8)}`, runtime }
  try {
    const instance = await engine.start(image, SELF_TEST, options, signal)
    try {
      const reply = await instance.request(Buffer.from('ping'), { timeoutMs: 5_000, outputBytes: 1_024 }, signal)
      return reply.status === 200 && Buffer.from(reply.body).toString() === 'ok'
    } finally {
      await instance.stop()
    }
  } catch {
    // Why it does not work is the owner's to find out (`meca doctor`); here it only may not be offered.
    signal.throwIfAborted()
    return false
  }
}

const ANSWER = 'HTTP/1.1 200 OK\\r\\nContent-Length\\: 2\\r\\nConnection\\: close\\r\\n\\r\\nok'

const SELF_TEST: Plan = {
  command: [
    '/bin/sh',
    '-c',
    `echo self-test; exec socat TCP-LISTEN:8080,fork,reuseaddr 'SYSTEM:"read line; printf \\"${ANSWER}\\""'`,
  ],
  env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
  user: 'nobody',
  writableRoot: false,
  resources: { cpuMillis: 1000, memoryBytes: 128 * 2 ** 20, gpus: 0 },
  limits: {
    startTimeoutMs: 20_000,
    runTimeoutMs: 5_000,
    outputBytes: 1_024,
    logBytes: 65_536,
    scratchBytes: 2 ** 20,
    pids: 64,
  },
  exchange: { kind: 'http', port: 8080, readyText: 'self-test', method: 'POST', path: '/', contentType: 'text/plain' },
}
