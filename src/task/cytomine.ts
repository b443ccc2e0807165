/**
 * The format of Cytomine's App Engine: a batch task whose inputs and outputs are files named like its parameters, typed by a
 * descriptor. Nothing is set for the container: no variables, no command, its own user, two folders that anybody may write.
 */
import { asMecaError, MecaError } from '../core/errors.ts'
import type { Plan } from '../core/plan.ts'
import { findImage } from './cytomine/archive.ts'
import { DESCRIPTOR, readTask, requireTask } from './cytomine/descriptor.ts'
import type { Task } from './cytomine/descriptor.ts'
import { layInputs } from './cytomine/inputs.ts'
import { looksAt } from './cytomine/look.ts'
import { failed, judgeRun } from './cytomine/outputs.ts'
import type { Param } from './cytomine/params.ts'
import { treeOf } from './cytomine/tree.ts'
import { constraintsOf, kindOfType } from './cytomine/types.ts'
import { exampleOf, packageFiles, requireClean } from './folder-facts.ts'
import type { Described, FilesFormat, FilesJob, Finding, Folder, ImageOrigin, Parameter } from './format.ts'

/** The reference matches the name in any case; these are the cases people use. */
const DESCRIPTORS = [
  DESCRIPTOR,
  'descriptor.yaml',
  'Descriptor.yml',
  'Descriptor.yaml',
  'DESCRIPTOR.YML',
  'DESCRIPTOR.YAML',
]
const LOGO = 'logo.png'
const MIB = 2 ** 20
/** Where the image is there already. */
const NO_CONTEXT: ImageOrigin = { kind: 'build', context: [] }

export const cytomine: FilesFormat = {
  name: 'cytomine',
  kind: 'files',
  reads: DESCRIPTORS,
  marks: [DESCRIPTORS],

  check(folder) {
    return examine(folder).findings
  },

  describe(folder): Described {
    const { file, task, image, findings } = examine(folder)
    requireClean(findings, 'The folder is not a Cytomine task')
    if (task === undefined || image === undefined) throw new MecaError('internal', 'A clean folder was not read')
    const example = exampleOf(folder)
    return {
      title: task.name,
      description: task.description,
      version: task.version,
      resources: task.resources,
      needsNetwork: task.internet,
      descriptor: file,
      ...(example === undefined ? {} : { example }),
      files: [...packageFiles(folder, file), ...[...folder.files.keys()].filter((path) => path.toLowerCase() === LOGO)],
      image,
    }
  },

  parameters(descriptor) {
    const { inputs, outputs } = requireTask(descriptor)
    return [...inputs, ...outputs].map(parameterOf)
  },

  /** The descriptor's; a caller may ask for more, for an image larger than the developer thought of. */
  resources(descriptor, task, { job }) {
    requireTask(descriptor)
    return {
      cpuMillis: Math.max(task.cpuMillis, job.resources?.cpuMillis ?? 0),
      memoryBytes: Math.max(task.memoryBytes, job.resources?.memoryBytes ?? 0),
      gpus: Math.max(task.gpus, job.resources?.gpus ?? 0),
    }
  },

  plan(descriptor, job): Plan {
    const task = requireTask(descriptor)
    const { staged } = layInputs(task, job)
    return {
      env: {},
      user: 'image',
      writableRoot: true,
      resources: job.resources,
      limits: limitsOf(job),
      exchange: {
        kind: 'files',
        mounts: [
          { path: task.inputFolder, writable: true, sizeBytes: Math.min(job.outputBytes, 64 * MIB) },
          { path: task.outputFolder, writable: true, sizeBytes: job.outputBytes },
        ],
        stage: staged,
        collect: task.outputs.map(({ name, type }) => ({
          name,
          path: `${task.outputFolder}/${name}`,
          folder: type.id === 'array',
        })),
      },
    }
  },

  looks(descriptor, { files, folders }) {
    const { task } = readTask(descriptor, DESCRIPTOR)
    return task === undefined ? new Map() : looksAt(task.outputs, treeOf(files, folders))
  },

  judge(descriptor, job, ran) {
    try {
      return judgeRun(requireTask(descriptor), job, ran)
    } catch (error) {
      const { message, cure } = asMecaError(error)
      return failed({ message, ...(cure === undefined ? {} : { cure }) }, [])
    }
  },
}

/** Tasks of this world start many threads: a numeric library takes one for each core it sees, several times over. */
function limitsOf(job: FilesJob): Plan['limits'] {
  return {
    startTimeoutMs: job.startTimeoutMs,
    runTimeoutMs: job.maxSeconds * 1000,
    outputBytes: job.outputBytes,
    logBytes: 10 * MIB,
    scratchBytes: Math.min(64 * MIB, Math.floor(job.resources.memoryBytes / 2)),
    pids: 512,
  }
}

type Examined = { file: string; task: Task | undefined; image: ImageOrigin | undefined; findings: Finding[] }

function examine(folder: Folder): Examined {
  const found = DESCRIPTORS.filter((name) => folder.files.has(name))
  const [file = DESCRIPTOR, second] = found
  const text = folder.texts.get(file)
  const read = text === undefined ? { task: undefined, findings: [missing(folder, file)] } : readTask(text, file)
  const origin = findImage(folder, read.task)
  const image = 'level' in origin && folder.imageGiven === true ? NO_CONTEXT : origin
  const findings = [...read.findings]
  if (second !== undefined)
    findings.push({
      level: 'error',
      where: second,
      what: `is a second descriptor beside ${file}`,
      cure: 'keep one of them',
    })
  if ('level' in image) findings.push(image)
  return { file, task: read.task, image: 'level' in image ? undefined : image, findings }
}

function missing(folder: Folder, file: string): Finding {
  return folder.files.has(file)
    ? {
        level: 'error',
        where: file,
        what: 'is too large for a descriptor',
        cure: 'keep it under 512 KiB; data belongs into files',
      }
    : { level: 'error', where: file, what: 'is missing', cure: `add ${file}, at the root of the bundle` }
}

function parameterOf({ name, side, type, optional, default: value, displayName, description }: Param): Parameter {
  const rules = constraintsOf(type)
  const told = [displayName === undefined || displayName === description ? '' : `${displayName}: `, description]
  return {
    name,
    side: side === 'inputs' ? 'input' : 'output',
    kind: kindOfType(type),
    required: !optional && value === undefined,
    ...(value === undefined ? {} : { default: value }),
    ...(type.id === 'enumeration' ? { choices: type.values } : {}),
    description: told.join('') + (rules === '' ? '' : ` (${rules})`),
  }
}
