/** The command line as a whole: global flags, one file per noun, and what every command has in common. */
import { Command, CommanderError } from 'commander'
import { MecaError } from '../core/errors.ts'
import type { Context, GlobalOptions } from './context.ts'
import { NOUNS } from './nouns.ts'
import { makeOutput } from './output.ts'
import { collect, examples } from './usage.ts'
import type { Act } from './usage.ts'
import type { World } from './world.ts'

/** Resolves to the exit code of design.md 8; never throws. */
export async function runCli(world: World, argv: readonly string[]): Promise<number> {
  let exit = 0
  const program = makeProgram(world)
  const act: Act =
    (work) =>
    async (...args) => {
      exit = await perform(world, program.opts<GlobalOptions>(), (context) => work(context, ...args))
    }
  for (const { name, what } of NOUNS) program.command(name).description(what)
  program.hook('preSubcommand', async (_program, command) => {
    const noun = NOUNS.find(({ name }) => name === command.name())
    if (noun !== undefined) (await noun.load())(command, act)
  })
  try {
    await program.parseAsync(meant(argv), { from: 'user' })
    return exit
  } catch (error) {
    return misused(world, argv, error)
  }
}

/** Other ways to say the same: `--version`, and `help run` for `run --help`. */
function meant(argv: readonly string[]): string[] {
  const [first, ...rest] = argv
  if (first === '--version') return ['version', ...rest]
  return first === 'help' ? [...rest, '--help'] : [...argv]
}

function makeProgram({ terminal }: World): Command {
  const program = new Command('meca')
    .description('A compute market without a company: publish tasks, rent out hardware, run jobs and pay for them.')
    .option('--home <dir>', 'the folder of keys, records and files of one node')
    .option('--config <file>', 'settings that win over meca.yml')
    .option('--set <key=value>', 'one setting, like --set chain.rpc=http://127.0.0.1:8545 (repeatable)', collect)
    .option('--json', 'print the result as one JSON document')
    .option('-q, --quiet', 'print ids and results only')
    .option('--no-color', 'no colours (NO_COLOR does the same)')
    .option('--no-input', 'never ask; fail with exit code 10 instead')
    .option('-y, --yes', 'answer yes to every question')
    .option('--timeout <time>', 'give up after so long, like 90s or 10m')
    .option('--progress <mode>', 'auto, tty, plain, json or none', 'auto')
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
      outputError: () => undefined,
    })
    .exitOverride()
    .showSuggestionAfterError()
  return examples(program, [
    ['meca devnet', 'a whole market on this machine, to try everything'],
    ['meca task init words --template node', 'start a task of your own'],
    ['meca quote 0xdeveloper…/words', 'who would run it for how much'],
    [`meca run 0xdeveloper…/words --data '{"text": "to be or not"}'`, 'run it, pay for it, print its answer'],
  ])
}

async function perform(
  world: World,
  options: GlobalOptions,
  work: (context: Context) => Promise<number | void>,
): Promise<number> {
  let context: Context | undefined
  try {
    const { makeContext } = await import('./context.ts')
    context = makeContext(world, options)
    return (await work(context)) ?? 0
  } catch (error) {
    const known = context === undefined ? error : context.explain(error)
    const output = context?.output ?? plainOutput(world, options.json === true)
    output.error(known)
    return known instanceof MecaError ? known.exitCode : 70
  }
}

/** Wrong words on the command line. Help that was asked for is a result; help for lack of a command is not. */
function misused(world: World, argv: readonly string[], error: unknown): number {
  if (!(error instanceof CommanderError)) {
    plainOutput(world, argv.includes('--json')).error(error)
    return error instanceof MecaError ? error.exitCode : 70
  }
  if (error.exitCode === 0) return 0
  const [what = '', hint] = error.message.replace(/^error: /, '').split('\n')
  const message = error.code === 'commander.help' ? 'A command is missing' : what
  const cure = hint?.replace(/^\(|\)$/g, '') ?? 'see: meca --help'
  plainOutput(world, argv.includes('--json')).error(new MecaError('bad_input', message, { cure }))
  return 2
}

function plainOutput({ terminal }: World, json: boolean) {
  return makeOutput(terminal, { json, quiet: false, color: false }, [])
}
