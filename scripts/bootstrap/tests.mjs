/**
 * `npm test` and `npm run bench`: which files, how many at once, how long at most.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runAsGroup, runInForeground } from './run.mjs'

/** Tests of a market wait for containers and chains more than they compute; two files at once keep two cores busy. */
const FILES_AT_ONCE = 2
/** No test may hold the run for longer; the longest ones kill and restart a market several times. */
const TEST_TIMEOUT_MS = 300_000

/** Arguments are files, folders or words of a path; options go to Node's test runner as they are.
 * @param {import('../bootstrap.mjs').Context} context @param {readonly string[]} args */
export async function test({ root, node, env, require }, args) {
  const files = choose(root, 'test', '.test.ts', args)
  if (files.length === 0) {
    process.stderr.write(`No test file matches ${args.join(' ')}\n`)
    return 2
  }
  const reporter = join(root, 'scripts', 'bootstrap', 'reporter.mjs')
  const runner = ['--test', `--test-concurrency=${FILES_AT_ONCE}`, `--test-timeout=${TEST_TIMEOUT_MS}`]
  const options = [...runner, `--test-reporter=${reporter}`, '--test-reporter-destination=stdout', ...flags(args)]
  // As a group, because Node's runner ends its test processes but not the chains and daemons that those started.
  return runAsGroup(node, [...options, ...files], {
    cwd: root,
    env: { ...env, MECA_TEST_REQUIRE: require.join(',') },
  })
}

/**
 * Without a name the whole market, which calls what it needs of the others; else the files named, one at a time, because
 * they measure. A folder beside a file holds its parts. @param {import('../bootstrap.mjs').Context} context
 * @param {readonly string[]} args
 */
export async function bench({ root, node, env }, args) {
  const words = args.filter((word) => !word.startsWith('-'))
  const named = words.length === 0 ? ['test/bench/market.ts'] : choose(root, 'test/bench', '.ts', args)
  for (const file of named.filter((path) => dirname(path) === join('test', 'bench'))) {
    process.stderr.write(`\n== ${file}\n`)
    const json = words.length === 0 && args.includes('--json') ? ['--json'] : []
    const code = await runInForeground(node, [join(root, file), ...json, ...flags(args)], { cwd: root, env })
    if (code !== 0) return code
  }
  return 0
}

/** @param {readonly string[]} args */
function flags(args) {
  return args.filter((word) => word.startsWith('-') && word !== '--json')
}

/** @param {string} root @param {string} folder @param {string} ending @param {readonly string[]} args */
function choose(root, folder, ending, args) {
  const words = args.filter((word) => !word.startsWith('-'))
  const all = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file))
    .sort()
  return words.length === 0 ? all : all.filter((file) => words.some((word) => matches(root, file, word)))
}

/** @param {string} root @param {string} file @param {string} word */
function matches(root, file, word) {
  const path = join(root, word)
  if (!existsSync(path)) return file.includes(word)
  return statSync(path).isDirectory() ? join(root, file).startsWith(join(path, '/')) : join(root, file) === path
}
