/**
 * The MECA format: an HTTP server on port 8080 that prints `meca-init-done`, takes the caller's bytes as `POST /` and
 * answers with the result. The marker is printed before the socket listens in most images, so readiness is the marker
 * and a connection.
 */
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import type { Plan } from '../core/plan.ts'
import type { Resources } from '../core/resources.ts'
import { findingsOf } from '../core/text.ts'
import type { Described, Finding, HttpFormat } from './format.ts'

const DESCRIPTOR = 'config.json'
const TEXTS = ['name.txt', 'description.txt', DESCRIPTOR] as const
const FILES = [
  'Dockerfile',
  'name.txt',
  'description.txt',
  'example_input.bin',
  'example_output.bin',
  DESCRIPTOR,
] as const
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

export const meca: HttpFormat = {
  name: 'meca',
  kind: 'http',
  reads: TEXTS,
  marks: [DESCRIPTOR, 'Dockerfile', 'name.txt'],

  check(folder) {
    const needed = folder.imageGiven === true ? FILES.filter((file) => file !== 'Dockerfile') : FILES
    const missing = needed.filter((file) => !folder.files.has(file)).map((file): Finding => missingEntry(file))
    if (folder.imageGiven !== true && ![...folder.files.keys()].some((path) => path.startsWith('src/')))
      missing.push(missingEntry('src/'))
    return [...missing, ...checkConfig(folder.texts.get(DESCRIPTOR))]
  },

  describe(folder): Described {
    const errors = this.check(folder).filter((f) => f.level === 'error')
    if (errors.length > 0) {
      throw new MecaError(
        'invalid_task',
        `The folder is not a MECA task: ${errors.map((f) => `${f.where}: ${f.what}`).join('; ')}`,
        {
          cure: errors.map((f) => f.cure).join('; '),
          details: { findings: errors },
        },
      )
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
      image: {
        kind: 'build',
        context: [...folder.files.keys()].filter(
          (path) => path === 'Dockerfile' || path === '.dockerignore' || path.startsWith('src/'),
        ),
      },
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
      exchange: {
        kind: 'http',
        port: 8080,
        readyText: 'meca-init-done',
        method: 'POST',
        path: '/',
        contentType: 'application/json',
      },
    }
  },

  sameOutput(expected, actual) {
    return Buffer.compare(trim(expected), trim(actual)) === 0
  },
}

function missingEntry(where: string): Finding {
  return { level: 'error', where, what: 'is missing or empty', cure: `add ${where}` }
}

type Config = { resources: Resources; needsNetwork: boolean }

function checkConfig(text: string | undefined): Finding[] {
  return text === undefined ? [] : readConfig(text).findings
}

/** Throws `invalid_task` with every finding. */
function parseConfig(text: string): Config {
  const { config, findings } = readConfig(text)
  if (findings.length === 0) return config
  throw new MecaError('invalid_task', `${DESCRIPTOR} is not usable: ${findings.map((f) => f.what).join('; ')}`, {
    cure: findings.map((f) => f.cure).join('; '),
    details: { findings },
  })
}

function readConfig(text: string): { config: Config; findings: Finding[] } {
  const json = readJson(text)
  const parsed = zConfig.safeParse(json)
  const r = parsed.data?.resource ?? {}
  const [cpu, mem] = [r.cpu ?? 1, r.mem ?? 128]
  const resources = { cpuMillis: Math.round(cpu * 1000), memoryBytes: Math.round(mem * 2 ** 20), gpus: gpus(r) }
  const findings = parsed.success
    ? [...checkCpu(cpu, resources.cpuMillis), ...checkMemory(mem, resources.memoryBytes), ...checkGpus(resources.gpus)]
    : [
        finding(
          json === undefined ? 'is not JSON' : `is malformed: ${findingsOf(parsed.error)}`,
          'write {"resource": {"cpu": 1, "mem": 128}}',
        ),
      ]
  return { config: { resources, needsNetwork: r.use_network ?? false }, findings }
}

/** Undefined, which no JSON is, where the text is not JSON. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function finding(what: string, cure: string): Finding {
  return { level: 'error', where: DESCRIPTOR, what, cure }
}

function checkCpu(cpu: number, millis: number): Finding[] {
  if (millis >= 10 && millis <= 4_096_000) return []
  return [
    finding(`resource.cpu is ${cpu}, it must be between 0.01 and 4096`, 'set resource.cpu to the cores the task needs'),
  ]
}

/** `mem` is in MiB. The engine refuses containers under 6 MiB. */
function checkMemory(mem: number, bytes: number): Finding[] {
  if (mem >= 6 && bytes <= 2 ** 46) return []
  return [
    finding(
      `resource.mem is ${mem}, it must be between 6 and 67108864 MiB`,
      'set resource.mem to the MiB the task needs',
    ),
  ]
}

function checkGpus(count: number): Finding[] {
  if (count <= 1024) return []
  return [
    finding(
      `resource.gpu_count is ${count}, it must be at most 1024`,
      'set resource.gpu_count to the GPUs the task needs',
    ),
  ]
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
