/** What one command has in hand: its output, its settings, the signal that ends it, and its node, here or in a daemon. */
import type { Loaded } from '../config.ts'
import { asMecaError, MecaError } from '../core/errors.ts'
import { parseDuration } from '../core/units.ts'
import type { NodeApi } from '../role/api.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { HostApi } from '../role/api-host.ts'
import { askPassword, confirm } from './ask.ts'
import { daemonOf, loadSettings, useThenClose } from './home-node.ts'
import { makeOutput } from './output.ts'
import type { Closable } from './home-node.ts'
import type { Output } from './output.ts'
import { makeMeter, readMode } from './progress.ts'
import type { Meter } from './progress.ts'
import type { Bench, OpenOptions, RunningNode, World } from './world.ts'

export type GlobalOptions = {
  home?: string
  config?: string
  set?: string[]
  json?: boolean
  quiet?: boolean
  color: boolean
  input: boolean
  yes?: boolean
  timeout?: string
  progress: string
}

export type Context = {
  readonly world: World
  readonly output: Output
  /** Fires at Ctrl-C and when --timeout has passed. */
  readonly signal: AbortSignal
  settings: () => Promise<Loaded>
  /** One more `KEY=VALUE` over the settings; before they are read. */
  set: (setting: string) => void
  /** This home's node in this process; asks for the password where one is needed. */
  openNode(options: OpenOptions): Promise<RunningNode>
  /** A new secret, asked for twice. */
  newPassword(): Promise<string>
  confirm(question: string): Promise<void>
  /** This home's daemon; undefined where none answers. */
  daemon(): Promise<Closable<NodeApi> | undefined>
  /** The node of this home: its daemon's where one runs, else opened for the time of `work`. */
  withApi<T>(work: (api: NodeApi) => Promise<T>): Promise<T>
  /** Checks and tries task folders; needs neither wallet nor chain. */
  withBench<T>(work: (bench: Bench['api']) => Promise<T>): Promise<T>
  /** Only a running host can answer; throws `not_found` where there is none. */
  withHost<T>(work: (host: HostApi, api: NodeApi) => Promise<T>): Promise<T>
  /** Tells progress while `work` lasts. */
  metered<T>(work: (meter: Meter) => Promise<T>): Promise<T>
  /** The command to go on with, for the same home. */
  next: (command: string) => void
  /** What was thrown, or that it was cut short by --timeout or Ctrl-C. */
  explain: (error: unknown) => MecaError
}

export function makeContext(world: World, options: GlobalOptions): Context {
  const { terminal, doors } = world
  const secrets: string[] = []
  const json = options.json === true
  const quiet = options.quiet === true
  const output = makeOutput(terminal, { json, quiet, color: options.color }, secrets)
  const timeoutMs = options.timeout === undefined ? undefined : parseDuration(options.timeout, '--timeout')
  const late = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs)
  const signal = late === undefined ? world.signal : AbortSignal.any([world.signal, late])
  const mode = quiet ? 'none' : readMode(options.progress)
  const asking = { terminal, mayAsk: options.input, signal }
  let loading: Promise<Loaded> | undefined

  const settings = () => (loading ??= loadSettings(world, options, secrets))
  const openNode: Context['openNode'] = async (opening) => {
    const loaded = await settings()
    try {
      return await doors.openNode(loaded, opening, signal)
    } catch (error) {
      if (!(error instanceof MecaError) || error.code !== 'would_ask') throw error
      const password = await askPassword(asking, `Password of the key in ${loaded.config.home}: `)
      secrets.push(password)
      return doors.openNode({ ...loaded, secrets: { password } }, opening, signal)
    }
  }
  const daemon = async () => daemonOf(world, await settings(), secrets, signal)
  const withApi: Context['withApi'] = async (work) => {
    const node = (await daemon()) ?? (await openNode({ role: 'node', daemon: false }))
    return useThenClose(node, work, signal)
  }
  return {
    world,
    output,
    signal,
    settings,
    set: (setting) => {
      options.set = [...(options.set ?? []), setting]
    },
    openNode,
    daemon,
    withApi,
    newPassword: async () => {
      const { password } = (await settings()).secrets
      if (password !== undefined) return password
      const first = await askPassword(asking, 'New password: ')
      if ((await askPassword(asking, 'Once more: ')) === first) return first
      throw new MecaError('bad_input', 'The two passwords differ', { cure: 'try again' })
    },
    confirm: async (question) => {
      // A script that cannot be asked named its target itself; --no-input says to stop where a person would be asked.
      if (options.yes !== true && (terminal.stdin.isTTY === true || !options.input)) await confirm(asking, question)
    },
    async withBench(work) {
      return useThenClose(await doors.openBench(await settings()), work, signal)
    },
    async withHost(work) {
      const { config } = await settings()
      const node = await daemon()
      if (node === undefined) throw noHost(config.home)
      const ask = (api: NodeApi) => {
        if (api.host === undefined) throw noHost(config.home)
        return work(api.host, api)
      }
      return useThenClose(node, ask, signal)
    },
    next: (command) => {
      const home = options.home === undefined ? '' : ` --home ${options.home}`
      output.say(output.paint('dim', `next: meca ${command}${home}`))
    },
    async metered(work) {
      const meter = makeMeter(terminal, mode)
      try {
        return await work(meter)
      } finally {
        meter.end()
      }
    },
    explain(error) {
      if (late?.aborted === true && !world.signal.aborted) {
        return new MecaError('timeout', `It was not done within ${options.timeout}`, {
          cause: error,
          cure: 'raise --timeout',
        })
      }
      if (!world.signal.aborted) return asMecaError(error)
      return new MecaError('cancelled', 'Interrupted', { cause: error })
    },
  }
}

/** Money is shown with its token's name; the market's own is the first. */
export async function tokensOf(api: NodeApi): Promise<TokenInfo[]> {
  return (await api.info()).tokens
}

function noHost(home: string): MecaError {
  return new MecaError('not_found', `No host runs in ${home}`, { cure: 'start it with: meca host start' })
}
