/**
 * The Borealis format: an image, a command and lists of paths, as a DockerTask of CovertLab's Borealis names them. Paths
 * are read and written where the record says; `>` captures the console, `>>` a log that is kept of failed runs too.
 */
import { judgeRun } from './borealis/judge.ts'
import type { TaskPath } from './borealis/paths.ts'
import { planOf } from './borealis/plan.ts'
import { parseRecord, readRecord, RECORD } from './borealis/record.ts'
import { exampleOf, imageFindings, imageOf, packageFiles, requireClean } from './folder-facts.ts'
import type { FilesFormat, Finding, Folder, Parameter } from './format.ts'
import { overlaid } from './given.ts'

export const borealis: FilesFormat = {
  name: 'borealis',
  kind: 'files',
  reads: [RECORD],
  marks: [RECORD],

  check: (folder) => checkFolder(folder),

  describe(folder) {
    requireClean(checkFolder(folder), 'The folder is not a Borealis task')
    const task = parseRecord(folder.texts.get(RECORD) ?? '')
    const example = exampleOf(folder)
    return {
      title: task.name,
      description: task.description,
      resources: task.resources,
      needsNetwork: false,
      descriptor: RECORD,
      ...(example === undefined ? {} : { example }),
      files: packageFiles(folder, RECORD),
      image: imageOf(folder) ?? { kind: 'build', context: [] },
    }
  },

  parameters(descriptor) {
    const { inputs, outputs } = parseRecord(descriptor)
    return [...inputs.map((path) => parameterOf('input', path)), ...outputs.map((path) => parameterOf('output', path))]
  },

  resources: (descriptor, task, given) => {
    parseRecord(descriptor)
    return overlaid(task, given.job.resources)
  },

  plan: (descriptor, job) => planOf(parseRecord(descriptor), job),

  judge: (descriptor, job, ran) => judgeRun(parseRecord(descriptor), job, ran),
}

function checkFolder(folder: Folder): Finding[] {
  const text = folder.texts.get(RECORD)
  const findings = imageFindings(folder)
  if (text !== undefined) return [...readRecord(text).findings, ...findings]
  const cure = `write the parameters of the DockerTask into ${RECORD}; docs/borealis.md has an example`
  return [{ level: 'error', where: RECORD, what: 'is missing or too large', cure }, ...findings]
}

function parameterOf(side: 'input' | 'output', path: TaskPath): Parameter {
  const { capture, folder, listed, name } = path
  const kind = capture === '>' ? 'capture' : capture === '>>' ? 'log' : folder ? 'folder' : 'file'
  return { name, side, kind, required: side === 'input' && !folder, description: listed }
}
