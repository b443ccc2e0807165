/**
 * Child processes of the set-up. One place knows which child is in the foreground, so that a signal sent to us alone
 * reaches it and we can clean up after it has ended.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()
/** @type {NodeJS.Signals | undefined} */
let interruptedBy

/** The exit code that an interruption asks for; undefined when there was none. */
export function interruption() {
  return interruptedBy === undefined ? undefined : 128 + constants.signals[interruptedBy]
}

/** From here on a signal ends the children, and the caller goes on to its cleaning up. */
export function catchSignals() {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      interruptedBy ??= signal
      // Ctrl-C at a terminal already reaches every process of the group; sending it twice would mean "at once".
      if (signal === 'SIGINT' && process.stdin.isTTY) return
      for (const child of running) child.kill(signal)
    })
  }
}

/** Runs a program with our own input and output; resolves to its exit code.
 * @param {string} program @param {readonly string[]} args @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options] */
export async function runInForeground(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: 'inherit' })
  return ended(child)
}

/** Runs a program quietly; resolves to its exit code and everything it printed.
 * @param {string} program @param {readonly string[]} args @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options] */
export async function runQuietly(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  return { code: await ended(child), output }
}

/** @param {string} output @param {number} count */
export function lastLines(output, count) {
  return output.trimEnd().split('\n').slice(-count).join('\n')
}

/** @param {import('node:child_process').ChildProcess} child @returns {Promise<number>} */
function ended(child) {
  running.add(child)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  }).finally(() => running.delete(child))
}
