/**
 * npm's solc as the program that forge expects: `--version`, and `--standard-json` with the sources in the input.
 * forge hands over every file's text, so no import has to be looked up here.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const solc = createRequire(import.meta.url)('solc') as { version(): string; compile(input: string): string }

if (process.argv.includes('--version')) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`)
} else if (process.argv.includes('--standard-json')) {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8')))
} else {
  process.stderr.write('scripts/solc answers only to --version and --standard-json\n')
  process.exitCode = 2
}
