/**
 * Keys at rest: keystore JSON v3 (scrypt), as every Ethereum wallet reads it. No password and no key ever stands in an
 * error text.
 */
import { decryptKeystoreJson, encryptKeystoreJson, isKeystoreJson } from 'ethers'
import { MecaError } from '../core/errors.ts'
import { makeSigner } from '../core/signature.ts'
import { fromHex, toHex } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'

/** About half a second of scrypt, as wallets have it; `rounds` is a power of two, smaller in tests only. */
const ROUNDS = 131_072

/** The keystore's text. `privateKey` is 32 bytes. */
export async function createKeystore(privateKey: Uint8Array, password: string, rounds = ROUNDS): Promise<string> {
  const { address } = makeSigner(privateKey)
  const account = { address, privateKey: toHex(privateKey) }
  return encryptKeystoreJson(account, password, { scrypt: { N: rounds } })
}

/** The private key. Throws `bad_input` where this is no keystore, `unauthorized` where the password is another. */
export async function openKeystore(json: string, password: string): Promise<Uint8Array> {
  if (!isKeystoreJson(json)) {
    throw new MecaError('bad_input', 'This is not a keystore (JSON, version 3)', {
      cure: 'Give the keystore file of a wallet.',
    })
  }
  // The library's errors may quote what it was given, so none of them is passed on as cause.
  const account = await decryptKeystoreJson(json, password).catch(() => undefined)
  if (account === undefined) {
    throw new MecaError('unauthorized', 'The keystore does not open with this password', {
      cure: 'Give the password that it was made with.',
    })
  }
  return fromHex(account.privateKey as Hex)
}
