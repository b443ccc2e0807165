/** The node's libp2p identity: an Ed25519 key whose hash is the peer id. Kept in one file that only its owner reads. */
import { readFile, writeFile } from 'node:fs/promises'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { MecaError } from '../core/errors.ts'

/** A new key, in libp2p's own encoding. */
export async function generateIdentity(): Promise<Uint8Array> {
  return privateKeyToProtobuf(await generateKeyPair('Ed25519'))
}

export function peerIdOf(identity: Uint8Array): string {
  return peerIdFromPrivateKey(decodeIdentity(identity)).toString()
}

/** The key in `file`; a new one is made, readable by its owner alone, when there is none. */
export async function loadIdentity(file: string): Promise<Uint8Array> {
  const found = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw unreadable(file, error)
  })
  if (found !== undefined) return checked(found, file)
  const identity = await generateIdentity()
  // `wx`: two processes that start at once must not end up with two identities.
  await writeFile(file, identity, { mode: 0o600, flag: 'wx' }).catch((error: Error) => {
    throw unreadable(file, error)
  })
  return identity
}

export function decodeIdentity(identity: Uint8Array): PrivateKey {
  try {
    return privateKeyFromProtobuf(identity)
  } catch (cause) {
    throw new MecaError('home_unreadable', `The peer identity of ${identity.byteLength} bytes is not a libp2p key`, {
      cause,
    })
  }
}

function checked(identity: Uint8Array, file: string): Uint8Array {
  try {
    decodeIdentity(identity)
  } catch (cause) {
    throw unreadable(file, cause)
  }
  return identity
}

function unreadable(file: string, cause: unknown): MecaError {
  return new MecaError('home_unreadable', `The peer identity in ${file} cannot be used`, {
    cause,
    cure: 'Give the file back its content and mode 0600, or move it away to get a new identity (and a new peer id).',
  })
}
