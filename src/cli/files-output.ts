/** The outputs of a files task as the command line shows them: a table, a JSON map, or a folder. */
import { readBundle } from '../bundle/read.ts'
import { unpackResult } from '../bundle/local.ts'
import { BUNDLE_TYPE, OUTPUTS } from '../core/bundle.ts'
import type { OutputFact } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { NodeApi, RunResult } from '../role/api.ts'
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
  const folder = out === undefined || result.outputBytes === 0 ? undefined : await unpack(api, result, out)
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
  output.result({ json: { ...result, outputs: shown, ...where }, id: folder ?? result.job, text: tableOf(shown) })
  if (folder !== undefined) output.say(`outputs and console.log are in ${folder}`)
  else if (Object.keys(facts).length > 0) output.say(`write them to a folder: meca job result ${result.job} --out DIR`)
}

async function unpack(api: NodeApi, { job }: RunResult, out: string): Promise<string> {
  try {
    return (await unpackResult(await api.client.output(job), out)).folder
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
