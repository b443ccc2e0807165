/** Where a task finds its folders, what hardware it needs and which archive holds its image. */
import type { Resources } from '../../core/resources.ts'
import { isWithin, mountFault, placeOf } from '../places.ts'
import { memoryBytes } from './memory.ts'
import { Reader } from './reader.ts'

export type Configuration = {
  inputFolder: string
  outputFolder: string
  /** As the descriptor has it; where the archive really lies, `archive.ts` finds. */
  imageFile?: string
  resources: Resources
  internet: boolean
}

export function configuration(top: Reader): Configuration {
  const fields = top.object('configuration', true) ?? new Reader({}, ['configuration'], top.notes)
  const inputFolder = folderOf(fields, 'input_folder', '/inputs')
  const outputFolder = folderOf(fields, 'output_folder', '/outputs')
  if (isWithin(inputFolder, outputFolder) || isWithin(outputFolder, inputFolder))
    fields.error(
      'output_folder',
      `is ${outputFolder} and input_folder ${inputFolder}: one lies in the other`,
      'name two folders beside each other',
    )
  const imageFile = fields.object('image')?.text('file', { max: 500 })
  return {
    inputFolder,
    outputFolder,
    ...resourcesOf(fields),
    ...(imageFile === undefined ? {} : { imageFile }),
  }
}

function folderOf(fields: Reader, key: string, fallback: string): string {
  const read = placeOf(fields.text(key, { like: 'an absolute path' }) ?? fallback)
  const fault = 'fault' in read ? read.fault : mountFault(read.place)
  if (fault !== undefined) fields.error(key, fault, `write a folder such as ${fallback}`)
  return fault !== undefined || 'fault' in read ? fallback : read.place
}

const GIB = 2 ** 30
/** Docker refuses a container of less. */
const MIN_MEMORY_BYTES = 6 * 2 ** 20

/**
 * The schema's own default of 1Gi counts, not the 4Gi that the reference's service gives: what a task needs must stand in
 * its package, because it is what hosts are paid for. Internet is what the task declares; the reference gives it always.
 */
function resourcesOf(configuration: Reader): { resources: Resources; internet: boolean } {
  const fields = configuration.object('resources')
  const ram = fields?.text('ram', { like: 'an amount such as 512Mi' })
  const memory = ram === undefined ? GIB : memoryBytes(ram)
  if (memory === undefined || memory > 2 ** 46)
    fields?.error('ram', `is ${JSON.stringify(ram)}, no amount of memory up to 64Ti`, 'write it like 512Mi or 2Gi')
  if (ram === undefined)
    configuration.notes.warn(
      [...configuration.path, 'resources', 'ram'],
      'is not set, so 1Gi counts, as in the schema; a Cytomine installation gives 4Gi by its own setting',
      'write configuration.resources.ram',
    )
  const cpus = fields?.number('cpus', { whole: true, min: 1, max: 4096 }) ?? 1
  const gpus = fields?.number('gpus', { whole: true, min: 0, max: 1024 }) ?? 0
  return {
    resources: { cpuMillis: cpus * 1000, memoryBytes: Math.max(MIN_MEMORY_BYTES, memory ?? GIB), gpus },
    internet: fields?.flag('internet') ?? false,
  }
}
