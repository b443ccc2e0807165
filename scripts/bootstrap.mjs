/**
 * The two commands, `npm start` and `npm test`, and their small relatives. A bare machine has Node 20 and apt: this
 * file uses Node's own parts only, brings everything else (packages, Node 24, Docker), then runs the command under
 * Node 24. Every step is skipped when there is nothing to do, and what was started here is stopped at the end.
 */
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { check } from './bootstrap/check.mjs'
import { ensurePackages, findNode } from './bootstrap/dependencies.mjs'
import { ensureEngine, ensurePrograms } from './bootstrap/docker.mjs'
import { joinDaemon, leaveDaemon } from './bootstrap/dockerd.mjs'
import { createReport, SetupError } from './bootstrap/report.mjs'
import { catchSignals, interruption, runInForeground, runQuietly } from './bootstrap/run.mjs'
import { bench, test } from './bootstrap/tests.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * What each command runs under Node 24, how much it wants Docker, the base image that its task is built on, the flags
 * that it takes where it takes no others, and whether a signal is its usual end, so that its own exit code stands.
 * @typedef {{ root: string, node: string, env: NodeJS.ProcessEnv, require: readonly string[] }} Context
 * @type {Record<string, { docker: 'needed' | 'wanted' | 'no', base?: string, flags?: readonly string[], endsBySignal?: true, run: (c: Context, args: string[]) => Promise<number> }>}
 */
const COMMANDS = {
  start: {
    docker: 'needed',
    base: 'node',
    flags: ['--json', '--stay'],
    endsBySignal: true,
    run: (c, args) => script(c, 'scripts/start.ts', args),
  },
  test: { docker: 'wanted', run: test },
  bench: { docker: 'wanted', run: bench },
  check: { docker: 'no', run: check },
  crash: crashCommand('run'),
  'crash:points': crashCommand('points'),
  'crash:power': crashCommand('power-market'),
  'crash:disk': crashCommand('disk-market'),
  'crash:engine': crashCommand('engine'),
  'crash:rot': crashCommand('rot-market'),
  'chaos:chain': { docker: 'no', run: (c, args) => script(c, 'test/chaos/run.ts', args) },
  conformance: { docker: 'needed', run: (c, args) => script(c, 'scripts/conformance.ts', args) },
  mutants: { docker: 'wanted', run: (c, args) => script(c, 'scripts/mutants.ts', args) },
  format: {
    docker: 'no',
    run: (c) => script(c, 'node_modules/prettier/bin/prettier.cjs', ['--write', '--log-level=warn', '.']),
  },
  contracts: { docker: 'no', run: (c, args) => script(c, 'scripts/contracts.ts', args) },
  differential: { docker: 'no', run: (c, args) => script(c, 'test/chain/differential/run.ts', args) },
  bases: { docker: 'needed', run: (c, args) => script(c, 'scripts/bases.ts', args) },
  meca: { docker: 'no', endsBySignal: true, run: (c, args) => script(c, 'src/main.ts', args) },
}

const HELP = `usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join(' | ')} [options] [arguments of the command]
  --no-install       install and start nothing; say what is missing instead
  --json             one JSON line for each step, on stderr (also handed to the command)
  --keep-engine      leave a Docker engine that was started here running
  --require NAMES    test: a test skipped for want of one of these (docker,kubo,…) counts as failed
  --stay             start: keep the market up until Ctrl-C
  --help             this text (meca --help has its own)
Through npm, options stand after a --, like: npm start -- --stay
`
const ASKS_FOR_HELP = ['--help', '-h']

process.exitCode = await main(process.argv.slice(2))

/** @param {string[]} argv */
async function main([name = '', ...argv]) {
  const command = COMMANDS[name]
  const options = parse(argv)
  if (ASKS_FOR_HELP.includes(name) || (name !== 'meca' && options.rest.some((word) => ASKS_FOR_HELP.includes(word)))) {
    process.stdout.write(HELP)
    return 0
  }
  const stranger = options.rest.find((word) => command?.flags?.includes(word) === false)
  if (command === undefined || stranger !== undefined) {
    process.stderr.write(stranger === undefined ? HELP : `${name} takes no ${stranger}\n${HELP}`)
    return 2
  }
  const report = createReport(options)
  catchSignals()
  try {
    const node = await setUp(command.docker, options, report)
    const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env['PATH'] ?? ''}` }
    const context = { root, node, env, require: options.require }
    const { base } = command
    if (base !== undefined) await report.step('base image', () => makeBase(context, base))
    const code = interruption() ?? (await command.run(context, options.rest))
    return command.endsBySignal === true ? code : (interruption() ?? code)
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    report.note(`What to do: ${error.cure}`)
    return interruption() ?? error.exitCode
  } finally {
    const said = await leaveDaemon(options.keepEngine)
    if (said !== undefined) report.note(said)
  }
}

/** @param {'needed' | 'wanted' | 'no'} docker @param {ReturnType<typeof parse>} options @param {import('./bootstrap/report.mjs').Report} report */
async function setUp(docker, { install }, report) {
  await report.step('packages', (say) => ensurePackages(root, install, say))
  const node = findNode(root)
  if (docker === 'no') return node
  try {
    await report.step('programs', (say) => ensurePrograms(install, say))
    await report.step('docker', (say) => ensureEngine(install, say))
    joinDaemon()
  } catch (error) {
    if (docker === 'needed' || !(error instanceof SetupError)) throw error
    report.note(`Going on without; what needs it is skipped. To have it: ${error.cure}`)
  }
  return node
}

/** @param {Context} context @param {string} name */
async function makeBase({ node, env }, name) {
  const { code, output } = await runQuietly(node, [join(root, 'scripts', 'bases.ts'), name], { env, cwd: root })
  if (code !== 0) throw new SetupError(output.trimEnd(), { cure: `npm run bases ${name}`, exitCode: code })
  return { skipped: output.includes('- there'), detail: `meca-base/${name}` }
}

/** @param {string[]} argv */
function parse(argv) {
  const options = {
    install: true,
    json: false,
    keepEngine: false,
    require: /** @type {string[]} */ ([]),
    rest: /** @type {string[]} */ ([]),
  }
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? ''
    if (word === '--no-install') options.install = false
    else if (word === '--keep-engine') options.keepEngine = true
    else if (word === '--require') options.require.push(...(argv[++i] ?? '').split(',').filter(Boolean))
    else options.rest.push(word)
    if (word === '--json') options.json = true
  }
  return options
}

/** A long form of the crash tests: a file of test/crash, which takes a count. @param {string} name */
function crashCommand(name) {
  return {
    docker: /** @type {const} */ ('needed'),
    run: (/** @type {Context} */ c, /** @type {string[]} */ args) => script(c, `test/crash/${name}.ts`, args),
  }
}

/** @param {Context} context @param {string} file @param {readonly string[]} args */
function script({ node, env }, file, args) {
  return runInForeground(node, [join(root, file), ...args], { env, cwd: root })
}
