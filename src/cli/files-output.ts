/** The outputs of a files task as the command line shows them: a table, a JSON map, or a folder. */
import { access, constants, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { peekResult, unpackResult } from '../bundle/local.ts'
import { readBundle } from '../bundle/read.ts'
import { BUNDLE_TYPE, CONSOLE_FILE, OUTPUTS } from '../core/bundle.ts'
import type { OutputFact, ResultFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { NodeApi } from '../role/api.ts'
import type { RunResult } from '../role/api-client.ts'
import type { Context } from './context.ts'
import { size, table } from './render.ts'

/** Values are short; what is longer is looked at in its file. */
const MAX_SHOWN_BYTES = 4096

type ShownOutput = OutputFact & { text?: string; path?: string }

export function isFilesResult({ contentType }: RunResult): boolean {
  return contentType === BUNDLE_TYPE
}

/** Also of a run that failed, which may have left logs. */
export async function showFiles(
  context: Context,
  api: NodeApi,
  result: RunResult,
  out: string | undefined,
): Promise<void> {
  const { output } = context
  const facts = result.outputs ?? {}
  const unpacked = out === undefined || result.outputBytes === 0 ? undefined : await unpack(api, result, out)
  const folder = unpacked?.folder
  const report = result.outputBytes === 0 ? undefined : await peekResult(await api.client.output(result.job))
  const texts = folder === undefined && result.outputBytes > 0 ? await textsOf(api, result) : new Map<string, string>()
  const shown = Object.fromEntries(
    Object.entries(facts).map(([name, fact]): [string, ShownOutput] => [
      name,
      {
        ...fact,
        ...(folder === undefined || fact.cid !== undefined ? {} : { path: `${folder}/${name}` }),
        ...(texts.has(name) ? { text: texts.get(name) ?? '' } : {}),
      },
    ]),
  )
  const where = folder === undefined ? {} : { outputFolder: folder }
  const json = { ...result, outputs: shown, ...where, ...noticedIn(report) }
  output.result({ json, id: folder ?? result.job, text: tableOf(shown) })
  for (const line of linesOf(result, report)) output.say(line)
  if (unpacked !== undefined && unpacked.names.length > 0)
    output.say(`${contentOf(unpacked.names)} in ${unpacked.folder}`)
  else if (unpacked === undefined && Object.keys(facts).length > 0)
    output.say(`write them to a folder: meca job result ${result.job} --out DIR`)
}

/** Throws `bad_input` where outputs cannot be written below `out`: to be asked before anything is paid. */
export async function requireFolder(out: string): Promise<void> {
  const cure = 'nothing was sent or paid; name a folder with --out'
  if (out === '-') throw new MecaError('bad_input', 'The outputs of a files task cannot go to stdout', { cure })
  for (let place = resolve(out); ; place = dirname(place)) {
    const info = await stat(place).catch(() => undefined) // not there yet, then: its parent decides
    if (info === undefined && place !== dirname(place)) continue
    if (info?.isDirectory() !== true) throw new MecaError('bad_input', `${place} is not a folder`, { cure })
    return access(place, constants.W_OK).catch((cause: unknown) => {
      throw new MecaError('bad_input', `Nothing can be written into ${place}`, { cause, cure })
    })
  }
}

/** What the host and the format noticed, where there is anything. */
function noticedIn(report: ResultFile | undefined): Partial<Pick<ResultFile, 'warnings' | 'leftOut'>> {
  return {
    ...(report === undefined || report.warnings.length === 0 ? {} : { warnings: report.warnings }),
    ...(report === undefined || report.leftOut.length === 0 ? {} : { leftOut: report.leftOut }),
  }
}

function linesOf({ skipped }: RunResult, report: ResultFile | undefined): string[] {
  return [
    ...(skipped === true ? ['skipped: the task said that there was nothing for it to do'] : []),
    ...(report?.warnings ?? []).map((text) => `warning: ${printable(text)}`),
    ...(report?.leftOut ?? []).map(({ path, why }) => `left out: ${printable(path)}, ${printable(why)}`),
  ]
}

/** A task that printed nothing left no console. */
function contentOf(names: readonly string[]): string {
  if (!names.includes(CONSOLE_FILE)) return 'outputs are'
  return names.length === 1 ? `${CONSOLE_FILE} is` : `outputs and ${CONSOLE_FILE} are`
}

async function unpack(
  api: NodeApi,
  { job }: RunResult,
  out: string,
): Promise<{ folder: string; names: readonly string[] }> {
  try {
    return await unpackResult(await api.client.output(job), out)
  } catch (cause) {
    if (cause instanceof MecaError) throw cause
    throw new MecaError('bad_input', `The outputs cannot be written to ${out}`, {
      cause,
      cure: `the job is done and its outputs are kept: meca job result ${job} --out DIR`,
    })
  }
}

/** Outputs that are one short text. */
async function textsOf(api: NodeApi, { job }: RunResult): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  for await (const entry of readBundle(await api.client.output(job))) {
    const [room, name, ...rest] = entry.path.split('/')
    if (entry.kind === 'folder' || room !== OUTPUTS || name === undefined || rest.length > 0) continue
    if (entry.bytes > MAX_SHOWN_BYTES) continue
    const chunks: Uint8Array[] = []
    for await (const chunk of entry.body) chunks.push(chunk)
    const text = textOf(Buffer.concat(chunks))
    if (text !== undefined) texts.set(name, text)
  }
  return texts
}

function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined // bytes, then
  }
}

function tableOf(shown: Readonly<Record<string, ShownOutput>>): string {
  const rows = Object.entries(shown).map(([name, { kind, files, bytes, text, path, cid }]) => [
    name,
    kind === 'file' ? 'file' : `folder of ${files}`,
    size(bytes),
    cid === undefined ? (path ?? short(text)) : `ipfs://${cid}`,
  ])
  return rows.length === 0 ? '' : table(['OUTPUT', 'KIND', 'SIZE', 'CONTENT'], rows)
}

/** One line that cannot steer a terminal. */
function short(text = ''): string {
  const line = printable(text.trim()).replace(/\s+/g, ' ')
  return line.length > 60 ? `${line.slice(0, 59)}…` : line
}
