/**
 * The MECA format: an HTTP server on port 8080 that prints `meca-init-done`, takes the caller's bytes as `POST /` and
 * answers with the result. The marker is printed before the socket listens in most images, so readiness is the marker
 * and a connection.
 */
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import type { Plan } from '../core/plan.ts'
import type { Resources } from '../core/resources.ts'
import type { Described, Finding, TaskFormat } from './format.ts'

const DESCRIPTOR = 'config.json'
const TEXTS = ['name.txt', 'description.txt', DESCRIPTOR] as const
const FILES = ['Dockerfile', 'name.txt', 'description.txt', 'example_input.bin', 'example_output.bin', DESCRIPTOR] as const
const EXAMPLE = { input: 'example_input.bin', output: 'example_output.bin' } as const

/** Defaults of the reference executor. Unknown keys are tolerated: published tasks carry several. */
const zConfig = z.object({
  resource: z
    .object({
      cpu: z.number().optional(),
      mem: z.number().optional(),
      use_gpu: z.boolean().optional(),
      gpu_count: z.number().int().min(0).optional(),
      use_network: z.boolean().optional(),
    })
    .optional(),
})

export const meca: TaskFormat = {
  name: 'meca',
  reads: TEXTS,

  detect(folder) {
    return folder.files.has(DESCRIPTOR) && folder.files.has('Dockerfile') && folder.files.has('name.txt')
  },

  check(folder) {
    const missing = FILES.filter((file) => !folder.files.has(file)).map((file): Finding => missingEntry(file))
    if (![...folder.files.keys()].some((path) => path.startsWith('src/'))) missing.push(missingEntry('src/'))
    return [...missing, ...checkConfig(folder.texts.get(DESCRIPTOR))]
  },

  describe(folder): Described {
    const errors = this.check(folder).filter((f) => f.level === 'error')
    if (errors.length > 0) {
      throw new MecaError('invalid_task', `The folder is not a MECA task: ${errors.map((f) => `${f.where}: ${f.what}`).join('; ')}`, {
        cure: errors.map((f) => f.cure).join('; '),
        details: { findings: errors },
      })
    }
    const config = parseConfig(folder.texts.get(DESCRIPTOR) ?? '')
    return {
      title: (folder.texts.get('name.txt') ?? '').trim(),
      description: (folder.texts.get('description.txt') ?? '').trim(),
      resources: config.resources,
      needsNetwork: config.needsNetwork,
      descriptor: DESCRIPTOR,
      example: EXAMPLE,
      files: FILES.filter((file) => file !== 'Dockerfile'),
      buildContext: [...folder.files.keys()].filter((path) => path === 'Dockerfile' || path === '.dockerignore' || path.startsWith('src/')),
    }
  },

  plan(descriptor, job): Plan {
    parseConfig(descriptor)
    return {
      env: {},
      user: 'image',
      writableRoot: false,
      resources: job.resources,
      limits: {
        startTimeoutMs: job.startTimeoutMs,
        runTimeoutMs: job.maxSeconds * 1000,
        outputBytes: job.outputBytes,
        logBytes: 10 * 2 ** 20,
        scratchBytes: Math.min(64 * 2 ** 20, Math.floor(job.resources.memoryBytes / 2)),
        pids: 256,
      },
      exchange: { kind: 'http', port: 8080, readyText: 'meca-init-done', method: 'POST', path: '/', contentType: 'application/json' },
    }
  },

  sameOutput(expected, actual) {
    return Buffer.compare(trim(expected), trim(actual)) === 0
  },
}

function missingEntry(where: string): Finding {
  return { level: 'error', where, what: 'is missing or empty', cure: `add ${where}` }
}

function checkConfig(text: string | undefined): Finding[] {
  if (text === undefined) return []
  try {
    parseConfig(text)
    return []
  } catch (error) {
    if (!(error instanceof MecaError)) throw error
    return [{ level: 'error', where: DESCRIPTOR, what: error.message, cure: error.cure ?? `correct ${DESCRIPTOR}` }]
  }
}

function parseConfig(text: string): { resources: Resources; needsNetwork: boolean } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new MecaError('invalid_task', `${DESCRIPTOR} is not JSON`, { cause, cure: `write {"resource": {"cpu": 1, "mem": 128}}` })
  }
  const parsed = zConfig.safeParse(json)
  if (!parsed.success) throw new MecaError('invalid_task', `${DESCRIPTOR} is malformed: ${z.prettifyError(parsed.error)}`)
  const r = parsed.data.resource ?? {}
  return { resources: { cpuMillis: cpuMillis(r.cpu ?? 1), memoryBytes: memoryBytes(r.mem ?? 128), gpus: gpus(r) }, needsNetwork: r.use_network ?? false }
}

function cpuMillis(cpu: number): number {
  const millis = Math.round(cpu * 1000)
  if (!(millis >= 10 && millis <= 4_096_000)) {
    throw new MecaError('invalid_task', `resource.cpu is ${cpu}, it must be between 0.01 and 4096`, { cure: 'set resource.cpu to the cores the task needs' })
  }
  return millis
}

/** `mem` is in MiB. The engine refuses containers under 6 MiB. */
function memoryBytes(mem: number): number {
  const bytes = Math.round(mem * 2 ** 20)
  if (!(mem >= 6 && bytes <= 2 ** 46)) {
    throw new MecaError('invalid_task', `resource.mem is ${mem}, it must be between 6 and 67108864 MiB`, { cure: 'set resource.mem to the MiB the task needs' })
  }
  return bytes
}

/** A task that wants a GPU and names no count gets one. */
function gpus(r: { use_gpu?: boolean | undefined; gpu_count?: number | undefined }): number {
  return r.use_gpu === true ? Math.max(1, r.gpu_count ?? 1) : 0
}

/** Published examples differ from the server's answer by a last newline, so both are trimmed. */
function trim(bytes: Uint8Array): Uint8Array {
  let [start, end] = [0, bytes.length]
  while (start < end && isSpace(bytes[start])) start++
  while (end > start && isSpace(bytes[end - 1])) end--
  return bytes.subarray(start, end)
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13)
}
