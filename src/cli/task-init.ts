/** `meca task init`: a copy of one of the examples, which are working tasks that are tested as such, under a name of its own. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'
import type { FormatName } from '../task/package.ts'
import type { Context } from './context.ts'

const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples')
/** By format, the first is the one that is meant where none is named. */
const TEMPLATES: Readonly<Record<FormatName, Readonly<Record<string, string>>>> = {
  meca: { node: 'meca-words', python: 'meca-python', shell: 'meca-shell', image: 'meca-image' },
  cytomine: { nuclei: 'cytomine-nuclei', tiles: 'cytomine-tiles' },
  kaapana: { normalize: 'kaapana-normalize', report: 'kaapana-report' },
  borealis: { simulation: 'borealis-gillespie', analysis: 'borealis-analysis' },
}

/** The templates of all formats, for the help text. */
export const TEMPLATE_HELP = Object.entries(TEMPLATES)
  .map(([format, templates]) => `${format}: ${Object.keys(templates).join(', ')}`)
  .join('; ')

export async function initTask(
  { output, next }: Context,
  dir: string,
  { format, template: named }: { format: string; template?: string },
): Promise<void> {
  const { template, folder } = templateOf(format, named)
  const target = resolve(dir)
  await mkdir(target, { recursive: true })
  const there = await readdir(target)
  if (there.length > 0) {
    throw new MecaError('bad_input', `The folder ${target} is not empty, it holds ${quote(there[0] ?? '')}`, {
      cure: 'name a new folder',
    })
  }
  await cp(join(EXAMPLES, folder), target, { recursive: true })
  await giveName(target, basename(target))
  const files = (await readdir(target, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(target.length + 1))
    .sort()
  output.result({
    json: { dir: target, format, template, files },
    id: target,
    text: files.map((file) => join(dir, file)).join('\n'),
  })
  next(`task test ${dir}`)
}

function templateOf(format: string, named: string | undefined): { template: string; folder: string } {
  const templates = Object.hasOwn(TEMPLATES, format) ? TEMPLATES[format as FormatName] : undefined
  if (templates === undefined) {
    throw new MecaError('bad_input', `There is no format ${quote(format)}`, {
      cure: `use one of ${Object.keys(TEMPLATES).join(', ')}`,
    })
  }
  const template = named ?? Object.keys(templates)[0] ?? ''
  const folder = Object.hasOwn(templates, template) ? templates[template] : undefined
  if (folder !== undefined) return { template, folder }
  throw new MecaError('bad_input', `There is no template ${quote(template)} of the format ${format}`, {
    cure: `use one of ${Object.keys(templates).join(', ')}`,
  })
}

/** Where each format keeps its task's name; the first of them that is there. */
const NAMED_IN: readonly [string, RegExp][] = [
  ['docker-task.json', /^(\s*"name": )"[^"]*"/m],
  ['files/processing-container.json', /^(\s*"name": )"[^"]*"/m],
  ['descriptor.yml', /^(name: ).*$/m],
]

async function giveName(folder: string, name: string): Promise<void> {
  for (const [file, field] of NAMED_IN) {
    const text = await readFile(join(folder, file), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (text === undefined) continue
    return writeFile(
      join(folder, file),
      text.replace(field, (_, before: string) => `${before}${JSON.stringify(name)}`),
    )
  }
  return writeFile(join(folder, 'name.txt'), `${name}\n`)
}
