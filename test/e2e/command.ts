/** The real command line in this process, over a node that is open already: what it prints, and how it ends. */
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { runCli } from '../../src/cli/program.ts'
import type { World } from '../../src/cli/world.ts'
import { loadConfig } from '../../src/config.ts'
import { MecaError } from '../../src/core/errors.ts'
import { connect } from '../../src/http/client.ts'
import type { RunningNode } from '../../src/node.ts'

export type Ended = { exit: number; stdout: string; stderr: string }

const NEVER = new AbortController().signal
const notHere = () => Promise.reject(new MecaError('internal', 'no test asks for this'))

/** `home` is a folder without a daemon, so that the command opens a node: the one given. */
export function commandOver({ api }: RunningNode, home: string): (argv: readonly string[]) => Promise<Ended> {
  const doors: World['doors'] = {
    loadConfig: async (sources) => loadConfig({ ...sources, env: {}, cwd: home }),
    openNode: () => Promise.resolve({ api, close: () => Promise.resolve() }),
    openBench: () => Promise.resolve({ api: api.developer, close: () => Promise.resolve() }),
    checkUp: notHere,
    walletAddress: notHere,
    connect,
    startServer: notHere,
    createWallet: notHere,
    startDevnet: notHere,
  }
  return async (argv) => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()]
    const said = Promise.all([text(stdout), text(stderr)])
    const terminal = {
      stdin: Object.assign(Readable.from([]), { isTTY: false }),
      stdout: Object.assign(stdout, { isTTY: false }),
      stderr: Object.assign(stderr, { isTTY: false, columns: 120 }),
    }
    const exit = await runCli({ terminal, doors, signal: NEVER, urgent: NEVER, version: '0.0.0' }, [
      '--home',
      home,
      ...argv,
    ])
    stdout.end()
    stderr.end()
    const [out, err] = await said
    return { exit, stdout: out, stderr: err }
  }
}
