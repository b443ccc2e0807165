/**
 * Brings the contracts to a chain and writes down where they are, as the setting chain.deployment reads it. Does nothing
 * where the file already names contracts that stand on that chain, so it can run before every start.
 *
 *   node scripts/deploy.ts --rpc URL --out FILE (--keystore FILE | --play) [--fund ADDRESS]
 *
 * `--keystore` is a keystore JSON v3, its password in MECA_PASSWORD or the file MECA_PASSWORD_FILE. `--play` takes the
 * first account of anvil's well-known words, for chains where money is play money; only there `--fund` gives 1000 away.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { getBytes, HDNodeWallet, JsonRpcProvider, parseEther } from 'ethers'
import { connect, type Deployment } from '../src/chain/chain.ts'
import { deploy } from '../src/chain/deploy.ts'
import { openKeystore } from '../src/chain/keystore.ts'
import { asMecaError, MecaError } from '../src/core/errors.ts'
import { makeSigner, type Signer } from '../src/core/signature.ts'

const PLAY_WORDS = 'test test test test test test test test test test test junk'
const TIMEOUT_MS = 300_000

type Wanted = { rpc: string; out: string; keystore: string | undefined; play: boolean; fund: string | undefined }

async function main(args: readonly string[]): Promise<Deployment> {
  const wanted = read(args)
  const options = { signal: AbortSignal.timeout(TIMEOUT_MS), pollMs: 200 }
  const standing = await standingAt(wanted, options)
  const deployment = standing ?? (await deploy(wanted.rpc, await signerOf(wanted), options))
  if (standing === undefined) writeWhole(wanted.out, `${JSON.stringify(deployment, null, 2)}\n`)
  process.stderr.write(`${standing === undefined ? '+ deployed' : '- there already'}: ${wanted.out}\n`)
  if (wanted.fund !== undefined) await give(wanted.rpc, wanted.fund)
  return deployment
}

function read(args: readonly string[]): Wanted {
  const text = { type: 'string' } as const
  const options = { rpc: text, out: text, keystore: text, play: { type: 'boolean' }, fund: text } as const
  const { rpc, out, keystore, play = false, fund } = parseArgs({ args: [...args], options }).values
  if (rpc === undefined || out === undefined || play === (keystore !== undefined) || (fund !== undefined && !play)) {
    throw new MecaError(
      'bad_input',
      '--rpc, --out and one of --keystore and --play are needed; --fund only with --play',
      {
        cure: 'node scripts/deploy.ts --rpc http://127.0.0.1:8545 --out deployment.json --play',
      },
    )
  }
  return { rpc, out, keystore, play, fund }
}

/**
 * The deployment of the file, where its contracts stand on this chain. A play chain begun anew has none of them; on any
 * other chain a file that disagrees is never written over.
 */
async function standingAt(
  { rpc, out, play }: Wanted,
  options: { signal: AbortSignal },
): Promise<Deployment | undefined> {
  if (!existsSync(out)) return undefined
  const deployment = JSON.parse(readFileSync(out, 'utf8')) as Deployment
  try {
    await connect(rpc, deployment, options)
    return deployment
  } catch (error) {
    if (play && asMecaError(error).code === 'wrong_chain') return undefined
    throw error
  }
}

async function signerOf({ keystore, play }: Wanted): Promise<Signer> {
  if (play || keystore === undefined) return makeSigner(getBytes(HDNodeWallet.fromPhrase(PLAY_WORDS).privateKey))
  const { MECA_PASSWORD: password, MECA_PASSWORD_FILE: file } = process.env
  const said = password ?? (file === undefined ? undefined : textOf(file).trimEnd())
  if (said === undefined) {
    throw new MecaError('would_ask', `${keystore} needs its password`, {
      cure: 'Put it into a file and name that in MECA_PASSWORD_FILE.',
    })
  }
  return makeSigner(await openKeystore(textOf(keystore), said))
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new MecaError('bad_input', `The file ${file} cannot be read`, { cause, cure: 'correct its name' })
  }
}

/** Whole or not at all: who waits for the file must not read half of it. */
function writeWhole(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

async function give(rpc: string, address: string): Promise<void> {
  const provider = new JsonRpcProvider(rpc)
  try {
    const sent = await HDNodeWallet.fromPhrase(PLAY_WORDS)
      .connect(provider)
      .sendTransaction({ to: address, value: parseEther('1000') })
    await sent.wait()
  } finally {
    provider.destroy()
  }
}

try {
  process.stdout.write(`${JSON.stringify(await main(process.argv.slice(2)))}\n`)
} catch (error) {
  const { message, cure, exitCode } = asMecaError(error)
  process.stderr.write(`${message}\n${cure === undefined ? '' : `What to do: ${cure}\n`}`)
  process.exitCode = exitCode
}
