/** The node's own key: a keystore file in its home folder, opened with a password that is never on a command line. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createKeystore, openKeystore } from '../chain/keystore.ts'
import { MecaError } from '../core/errors.ts'
import { makeSigner } from '../core/signature.ts'
import type { Signer } from '../core/signature.ts'
import type { Home } from '../store/home.ts'
import { createSecret, readSecret } from '../store/secrets.ts'

/** Where a password may stand for a node that nobody types for; readable by its owner alone. */
const PASSWORD_FILE = 'password'
const WALLET_FILE = 'wallet.json'

/** Throws `not_found` where there is no wallet, `would_ask` where nothing says its password, `unauthorized`. */
export async function openWalletKey(home: Home, password: string | undefined): Promise<Signer> {
  const file = join(home.paths.keys, WALLET_FILE)
  const json = await readSecret(file)
  if (json === undefined) {
    throw new MecaError('not_found', `There is no wallet in ${home.folder}`, {
      cure: 'make one with meca wallet create',
    })
  }
  return makeSigner(await openKeystore(json, await passwordFor(home, password)))
}

/** Makes a wallet; `rounds` of the key derivation are lowered only for markets that are for play. Throws `bad_input` where there is one. */
export async function createWalletKey(
  home: Home,
  password: string,
  options: { privateKey?: Uint8Array; rounds?: number } = {},
): Promise<Signer> {
  const key = options.privateKey ?? randomBytes(32)
  const json = await createKeystore(key, password, ...(options.rounds === undefined ? [] : [options.rounds]))
  await createSecret(join(home.paths.keys, WALLET_FILE), json)
  return makeSigner(key)
}

/** Leaves the password beside the key, for daemons and markets for play. */
export async function keepPassword(home: Home, password: string): Promise<void> {
  await createSecret(join(home.paths.keys, PASSWORD_FILE), password)
}

async function passwordFor(home: Home, given: string | undefined): Promise<string> {
  if (given !== undefined) return given
  const kept = await readSecret(join(home.paths.keys, PASSWORD_FILE))
  if (kept !== undefined) return kept.replace(/\r?\n$/, '')
  throw new MecaError('would_ask', `The wallet in ${home.folder} is locked`, {
    cure: 'set MECA_PASSWORD_FILE or MECA_PASSWORD, or run it in a terminal to be asked',
  })
}
