/**
 * A chain of our own for one machine: anvil from npm's platform package as a child process, on loopback. Its state can
 * be kept in a file. The process ends with `stop`, and with ours.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MecaError } from '../core/errors.ts'
import { Rpc } from './rpc.ts'

export type AnvilOptions = {
  signal: AbortSignal
  /** 0 chooses a free one. */
  port?: number
  chainId?: number
  /** The ten accounts that own money come from it; anvil's well-known one where absent, which is for nothing but play. */
  mnemonic?: string
  /** Loaded at start where it exists, and written at the end. */
  stateFile?: string
  /** Seconds between blocks; absent: a block for each transaction at once. */
  blockSeconds?: number
  /** More of anvil's own arguments. */
  args?: readonly string[]
}

export type Anvil = { readonly url: string; readonly pid: number; stop(): Promise<void> }

/** anvil answers within half a second on a free machine; a loaded one gets this long. */
const START_TIMEOUT_MS = 30_000

/** It writes its state at the end; then it is killed. */
const STOP_TIMEOUT_MS = 10_000

/** The program, or undefined on a machine that npm has none for. */
export function findAnvil(): string | undefined {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const root = join(import.meta.dirname, '../..')
  const path = join(root, `node_modules/@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil`)
  return existsSync(path) ? path : undefined
}

/** Throws `chain_unreachable` where anvil does not come up, `bad_config` where this machine has none. */
export async function startAnvil(options: AnvilOptions): Promise<Anvil> {
  const program = findAnvil()
  if (program === undefined) {
    const message = `There is no anvil for ${process.platform} ${process.arch}`
    throw new MecaError('bad_config', message, { cure: 'Set chain.rpc to an EVM endpoint instead.' })
  }
  const port = options.port === undefined || options.port === 0 ? await freePort() : options.port
  const child = spawn(program, argumentsOf(options, port), { stdio: ['ignore', 'ignore', 'pipe'] })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(-2000)))
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', (error) => {
      complaint += error.message
      resolve()
    })
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async () => {
    process.removeListener('exit', kill)
    const timer = setTimeout(kill, STOP_TIMEOUT_MS)
    child.kill('SIGTERM')
    await ended
    clearTimeout(timer)
  }
  const url = `http://127.0.0.1:${port}`
  try {
    await ready(url, ended, () => complaint, options.signal)
  } catch (error) {
    await stop()
    throw error
  }
  return { url, pid: child.pid ?? 0, stop }
}

function argumentsOf(options: AnvilOptions, port: number): string[] {
  const pairs: [string, string | number | undefined][] = [
    ['--chain-id', options.chainId],
    ['--mnemonic', options.mnemonic],
    ['--state', options.stateFile],
    ['--block-time', options.blockSeconds],
  ]
  const set = pairs.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]))
  return ['--host', '127.0.0.1', '--port', String(port), '--quiet', ...set, ...(options.args ?? [])]
}

async function ready(url: string, ended: Promise<void>, complaint: () => string, signal: AbortSignal): Promise<void> {
  let gone = false
  void ended.then(() => (gone = true))
  const rpc = new Rpc(url, 1000)
  const deadline = performance.now() + START_TIMEOUT_MS
  while (!(await answers(rpc, signal))) {
    signal.throwIfAborted()
    if (gone || performance.now() > deadline) {
      const why = gone ? 'it ended' : `nothing within ${START_TIMEOUT_MS} ms`
      throw new MecaError('chain_unreachable', `anvil did not come up: ${why}. ${complaint()}`.trim())
    }
    await sleep(20)
  }
}

async function answers(rpc: Rpc, signal: AbortSignal): Promise<boolean> {
  try {
    await rpc.request('eth_chainId', [], signal)
    return true
  } catch {
    // Not up yet, which is what is being waited for; the caller has the deadline.
    return false
  }
}

/** A port that was free a moment ago; anvil says so at once if somebody else took it. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new MecaError('internal', 'A socket without a port')
  return address.port
}
