/** `npm run check`: format, rules, types and exports that nobody uses, side by side; all of them are told, not only the first. */
import { join } from 'node:path'
import { runQuietly } from './run.mjs'

/** @type {Record<string, readonly string[]>} */
const CHECKS = {
  prettier: ['prettier/bin/prettier.cjs', '--check', '--cache', '--cache-strategy=content', '--log-level=warn', '.'],
  eslint: ['eslint/bin/eslint.js', '--max-warnings=0', '.'],
  types: ['typescript/bin/tsc', '--noEmit', '--pretty', 'false'],
  exports: ['../scripts/bootstrap/exports.mjs'],
}

/** @param {import('../bootstrap.mjs').Context} context */
export async function check({ root, node, env }) {
  const began = performance.now()
  const codes = await Promise.all(
    Object.entries(CHECKS).map(async ([name, [program = '', ...args]]) => {
      const { code, output } = await runQuietly(node, [join(root, 'node_modules', program), ...args], {
        env,
        cwd: root,
      })
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      process.stdout.write(
        `${code === 0 ? 'ok    ' : 'FAILED'} ${name.padEnd(8)} ${seconds} s\n${code === 0 ? '' : output}`,
      )
      return code
    }),
  )
  return codes.some((code) => code !== 0) ? 1 : 0
}
