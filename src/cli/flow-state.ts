/** What a run of a workflow must know to be taken up again: its name, and which attempt each job of it is. */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { zJobId } from '../core/units.ts'

const zState = z.object({ id: zJobId, attempts: z.record(z.string(), z.number().int().min(1)) })
export type FlowState = z.infer<typeof zState>
const STATE_FILE = '.meca-flow.json'

/** A run is known by its folder, so that starting the same command again goes on with it. */
export async function openState(
  out: string,
  id: string | undefined,
): Promise<{ state: FlowState; save: () => Promise<void> }> {
  await mkdir(out, { recursive: true })
  const file = join(out, STATE_FILE)
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  const state =
    text === undefined ? { id: id ?? `f${randomBytes(4).toString('hex')}`, attempts: {} } : read(text, file, id)
  const save = saver(file, state)
  if (text === undefined) await save()
  return { state, save }
}

function read(text: string, file: string, id: string | undefined): FlowState {
  const state = parsed(text)
  if (state === undefined)
    throw new MecaError('bad_input', `${file} is not of a workflow`, { cure: 'give another --out' })
  return id === undefined || id === state.id ? state : { id, attempts: {} }
}

function parsed(text: string): FlowState | undefined {
  try {
    return zState.safeParse(JSON.parse(text)).data
  } catch {
    return undefined // no JSON, then
  }
}

/** Steps end side by side and share one file: one writes after the other, each what is known by then. */
function saver(file: string, state: FlowState): () => Promise<void> {
  let last = Promise.resolve()
  return () => {
    const write = async () => {
      await writeFile(`${file}.part`, JSON.stringify(state))
      await rename(`${file}.part`, file)
    }
    // Whoever asked for the write before was told of its failure.
    last = last.then(write, write)
    return last
  }
}
