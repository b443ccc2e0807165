/**
 * A job's input held against what its task takes, before anything is paid: an http task takes any bytes, a files task a
 * bundle whose values and files its format accepts. What the host would refuse costs nothing and takes no time.
 */
import { JOB_FILE } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { shortage } from '../core/resources.ts'
import type { Resources } from '../core/resources.ts'
import { formatOf } from '../task/format.ts'
import type { FilesFormat } from '../task/format.ts'
import type { OpenInput } from './client-records.ts'
import { openGiven } from './files-given.ts'
import type { OpenGiven, Source } from './files-given.ts'
import type { KnownTask } from './tasks.ts'
import { one } from './sums.ts'

/** A tar begins with its first name, padded with zeros. */
const BUNDLE_MARK = Buffer.from(`${JOB_FILE}\0`)

/** What the job needs to be given. Throws `bad_input` naming the parameter, or the way to give inputs to this task. */
export async function neededBy(task: KnownTask, input: OpenInput, maxSeconds: number): Promise<Resources> {
  const { manifest } = task
  const format = formatOf(manifest.format)
  const source = sourceOf(input)
  const isBundle = input.bytes >= 1024 && (await begins(source, BUNDLE_MARK))
  if (format.kind === 'http') {
    if (!isBundle) return manifest.resources
    throw new MecaError('bad_input', `${manifest.name} is asked with one request, not with inputs by name`, {
      cure: 'give --data TEXT or --input FILE',
    })
  }
  if (isBundle) return neededForFiles(format, task, await openGiven(source), maxSeconds)
  throw new MecaError('bad_input', `${manifest.name} is a ${manifest.format} task: it takes inputs by name`, {
    cure: 'give --in NAME=VALUE, --in NAME=@FILE or --in NAME=ipfs://CID; meca task show lists the names',
  })
}

/** What a link holds is known to the host only, so that a job with links is checked there. */
function neededForFiles(
  format: FilesFormat,
  { manifest, descriptor }: KnownTask,
  given: OpenGiven,
  maxSeconds: number,
): Resources {
  const resources = format.resources(descriptor, manifest.resources, given)
  if (Object.keys(given.job.links).length > 0) return atLeast(resources, manifest.resources)
  format.plan(descriptor, {
    ...given,
    resources,
    maxSeconds,
    startTimeoutMs: NO_LIMIT,
    outputBytes: NO_LIMIT,
    worker: { uid: 0, gid: 0 },
  })
  return atLeast(resources, manifest.resources)
}

/** Limits are the host's; here only the inputs are looked at. */
const NO_LIMIT = 2 ** 40

/** Hosts take no job with less than its task asks for. */
function atLeast(asked: Resources, task: Resources): Resources {
  if (shortage(task, asked) === undefined) return asked
  return {
    cpuMillis: Math.max(asked.cpuMillis, task.cpuMillis),
    memoryBytes: Math.max(asked.memoryBytes, task.memoryBytes),
    gpus: Math.max(asked.gpus, task.gpus),
  }
}

function sourceOf({ input }: OpenInput): Source {
  return 'bytes' in input ? () => one(input.bytes) : () => input.read(0)
}

async function begins(source: Source, mark: Buffer): Promise<boolean> {
  let head: Buffer = Buffer.alloc(0)
  for await (const chunk of source()) {
    head = Buffer.concat([head, chunk.subarray(0, mark.length)])
    if (head.length >= mark.length) break
  }
  return head.subarray(0, mark.length).equals(mark)
}
