/**
 * The program: hands the terminal, the signals and the doors to the other rooms to the command line, and exits with its
 * code. Rooms are loaded when a door is used, so that help and mistakes answer at once.
 */
import { enableCompileCache } from 'node:module'
import { readFileSync } from 'node:fs'
import type { Loaded } from './config.ts'
import type { Log } from './log.ts'
import type { Doors } from './cli/world.ts'

enableCompileCache() // compiled code is kept, which makes the second start faster
const { runCli } = await import('./cli/program.ts')

/** A second signal gives what is under way this long to let go; a third does not wait. */
const URGENT_MS = 5000
const INTERRUPTED = 130

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

async function logOf({ config, secrets, explain }: Loaded, daemon: boolean): Promise<Log> {
  const { createLog, Redaction } = await import('./log.ts')
  const redaction = new Redaction()
  for (const secret of [secrets.password, config.chain.rpc, config.chain.witness, config.ipfs.api])
    if (secret !== undefined) redaction.add(secret)
  const unasked = config.log.file === undefined && (explain('log.level')[0]?.origin ?? '').endsWith('default.yml')
  // A command tells what it has to tell by itself, unless somebody asked for its log.
  return createLog({ level: daemon || !unasked ? config.log.level : 'silent', file: config.log.file, redaction })
}

const doors: Doors = {
  async loadConfig(sources) {
    const { loadConfig } = await import('./config.ts')
    return loadConfig(sources)
  },
  async openNode(loaded, { role, daemon }, signal) {
    const { requireWallet } = await import('./wiring/keys.ts')
    if (!daemon) await requireWallet(loaded.config.home)
    const [{ openNode }, log] = await Promise.all([import('./node.ts'), logOf(loaded, daemon)])
    return openNode(loaded, role, log, signal)
  },
  async openBench(loaded) {
    const { openBench } = await import('./wiring/bench.ts')
    return openBench(loaded.config)
  },
  async checkUp({ config }, signal) {
    const { checkUp } = await import('./wiring/check-up.ts')
    return checkUp(config, signal)
  },
  async walletAddress({ config }) {
    const { walletAddress } = await import('./wiring/keys.ts')
    return walletAddress(config.home)
  },
  async connect(endpoint, signal) {
    const { connect } = await import('./http/client.ts')
    return connect(endpoint, signal)
  },
  async startServer(options, loaded, signal) {
    const [{ startServer }, log] = await Promise.all([import('./http/server.ts'), logOf(loaded, true)])
    return startServer({ ...options, log: log.child({ room: 'http' }) }, signal)
  },
  async createWallet(folder, password, keep) {
    const [{ openHome }, { createWalletKey, keepPassword }] = await Promise.all([
      import('./store/home.ts'),
      import('./wiring/keys.ts'),
    ])
    const home = await openHome(folder)
    try {
      const { address } = await createWalletKey(home, password)
      if (keep) await keepPassword(home, password)
      return { address, home: home.folder }
    } finally {
      await home.close()
    }
  },
  async startDevnet(options) {
    const { startDevnet } = await import('./wiring/devnet.ts')
    return startDevnet(options)
  },
}

function listen(): { signal: AbortSignal; urgent: AbortSignal } {
  const [first, second] = [new AbortController(), new AbortController()]
  const onSignal = () => {
    if (second.signal.aborted) process.exit(INTERRUPTED)
    if (!first.signal.aborted) return first.abort()
    second.abort()
    setTimeout(() => process.exit(INTERRUPTED), URGENT_MS).unref()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return { signal: first.signal, urgent: second.signal }
}

// A reader that has seen enough (like head) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const { stdin, stdout, stderr } = process
process.exitCode = await runCli(
  { terminal: { stdin, stdout, stderr }, doors, ...listen(), version },
  process.argv.slice(2),
)
// What a library keeps open must not keep a finished command; what was written to a pipe still has to get out.
stdout.write('', () => process.exit())
