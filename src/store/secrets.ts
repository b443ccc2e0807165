/**
 * Small secret files (keystores, the libp2p identity, the API's token): mode 0600, there whole or not at all, and never
 * written over, because the only copy of a key is money. What is in them is other rooms' business.
 */
import { stat } from 'node:fs/promises'
import { MecaError } from '../core/errors.ts'
import { createDurably, readIfThere } from './files.ts'

/** A keystore has about 500 bytes; what is far larger is another file. */
const MAX_BYTES = 65_536

/** Throws `bad_input` where there is one of that name already. */
export async function createSecret(path: string, text: string): Promise<void> {
  if (await createDurably(path, text)) return
  throw new MecaError('bad_input', `There is already a file ${path}, and a key is never written over`, {
    cure: 'choose another name, or move the file away yourself',
    details: { path },
  })
}

/** Undefined where there is none. Throws `unauthorized` where others on this machine can read it. */
export async function readSecret(path: string): Promise<string | undefined> {
  const text = await readIfThere(path, MAX_BYTES)
  if (text === undefined) return undefined
  const { mode } = await stat(path)
  if ((mode & 0o077) === 0) return text
  throw new MecaError('unauthorized', `Others on this machine can read ${path} (mode ${(mode & 0o777).toString(8)})`, {
    cure: `chmod 600 ${path}; and if it was so for long, use a new key`,
    details: { path },
  })
}

/** The file's text; made first where there is none. Two that make it at once end with the same text. */
export async function readOrMakeSecret(path: string, make: () => string | Promise<string>): Promise<string> {
  const there = await readSecret(path)
  if (there !== undefined) return there
  const made = await make()
  return (await createDurably(path, made)) ? made : ((await readSecret(path)) ?? made)
}
