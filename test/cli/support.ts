/** A terminal in memory and doors to the fake node, so that every command can be run as main.ts runs it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { runCli } from '../../src/cli/program.ts'
import type { World } from '../../src/cli/world.ts'
import { loadConfig } from '../../src/config.ts'
import { MecaError } from '../../src/core/errors.ts'
import { connect } from '../../src/http/client.ts'
import { startServer } from '../../src/http/server.ts'
import { fakeNode, HOST } from '../support/fake-api.ts'
import type { FakeNode, Knobs } from '../support/fake-api.ts'

export type Ran = { exit: number; stdout: Buffer; text: string; stderr: string; json: () => unknown }

export type Bench = FakeNode & {
  home: string
  /** Opened in this process: how often, and with which password. */
  opened: { role: string; password: string | undefined }[]
  run(argv: readonly string[], more?: More): Promise<Ran>
}
export type More = {
  stdin?: string | Uint8Array | PassThrough
  /** Typed at a terminal, line by line, each after a question. */
  typed?: string[]
  tty?: boolean
  signal?: AbortSignal
  urgent?: AbortSignal
  env?: Record<string, string>
  onStdout?: (text: string) => void
}

const never = new AbortController().signal

export function makeBench(t: TestContext, knobs: Partial<Knobs> & { locked?: boolean } = {}): Bench {
  const home = mkdtempSync(join(tmpdir(), 'meca-cli-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const node = fakeNode(knobs)
  const opened: Bench['opened'] = []
  const doorsFor = (env: Record<string, string>): World['doors'] => ({
    loadConfig: async (sources) => loadConfig({ ...sources, env, cwd: home }),
    async openNode({ secrets }, { role }) {
      opened.push({ role, password: secrets.password })
      if (knobs.locked === true && secrets.password === undefined)
        throw new MecaError('would_ask', 'The wallet is locked')
      return { api: node.api, close: async () => undefined }
    },
    openBench: async () => ({ api: node.api.developer, close: async () => undefined }),
    checkUp: async () => ({ ok: true, findings: [] }),
    walletAddress: async () => undefined,
    connect,
    startServer: (options, _loaded, signal) => startServer({ ...options, log: { error: () => undefined } }, signal),
    createWallet: async (folder, password) => {
      opened.push({ role: 'wallet', password })
      return { address: HOST, home: folder }
    },
    startDevnet: () => Promise.reject(new MecaError('internal', 'no devnet here')),
  })
  const run: Bench['run'] = async (argv, more = {}) => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()]
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    stdout.on('data', (chunk: Buffer) => {
      out.push(chunk)
      more.onStdout?.(chunk.toString())
    })
    stderr.on('data', (chunk: Buffer) => err.push(chunk))
    const stdin = more.typed === undefined ? piped(more.stdin ?? '') : typist(stderr, more.typed)
    const tty = more.tty === true || more.typed !== undefined
    const terminal = {
      stdin: Object.assign(stdin, { isTTY: more.typed !== undefined }),
      stdout: Object.assign(stdout, { isTTY: tty }),
      stderr: Object.assign(stderr, { isTTY: tty, columns: 120 }),
    }
    const { signal = never, urgent = never, env = {} } = more
    const exit = await runCli({ terminal, doors: doorsFor(env), signal, urgent, version: '0.1.0' }, [
      '--home',
      home,
      ...argv,
    ])
    await new Promise((resolve) => setImmediate(resolve))
    const whole = Buffer.concat(out)
    return {
      exit,
      stdout: whole,
      text: whole.toString(),
      stderr: Buffer.concat(err).toString(),
      json: () => JSON.parse(whole.toString()) as unknown,
    }
  }
  return { ...node, home, opened, run }
}

function piped(given: string | Uint8Array | PassThrough): Readable {
  return given instanceof PassThrough ? given : Readable.from([Buffer.from(given)])
}

/** Answers each question (text that ends without a line break) with the next line. */
function typist(stderr: PassThrough, lines: string[]): PassThrough {
  const keys = new PassThrough()
  const left = [...lines]
  stderr.on('data', (chunk: Buffer) => {
    if (!chunk.toString().endsWith('\n') && left.length > 0) keys.write(`${left.shift()}\n`)
  })
  return keys
}
