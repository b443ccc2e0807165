/** `meca task init`: a copy of one of the examples, which are working tasks that are tested as such, under a name of its own. */
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'
import type { Context } from './context.ts'

const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples')
const FOLDERS: Readonly<Record<string, string>> = {
  node: 'meca-words',
  python: 'meca-python',
  shell: 'meca-shell',
  image: 'meca-image',
}
export const TEMPLATES = Object.keys(FOLDERS)

export async function initTask(
  { output, next }: Context,
  dir: string,
  { format, template }: { format: string; template: string },
): Promise<void> {
  if (format !== 'meca') {
    throw new MecaError('bad_input', `There is no template for the format ${quote(format)}`, {
      cure: 'use --format meca',
    })
  }
  const folder = FOLDERS[template]
  if (folder === undefined) {
    throw new MecaError('bad_input', `There is no template ${quote(template)}`, {
      cure: `use one of ${TEMPLATES.join(', ')}`,
    })
  }
  const target = resolve(dir)
  await mkdir(target, { recursive: true })
  const there = await readdir(target)
  if (there.length > 0) {
    throw new MecaError('bad_input', `The folder ${target} is not empty, it holds ${quote(there[0] ?? '')}`, {
      cure: 'name a new folder',
    })
  }
  await cp(join(EXAMPLES, folder), target, { recursive: true })
  await writeFile(join(target, 'name.txt'), `${basename(target)}\n`)
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
