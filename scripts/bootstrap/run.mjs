/**
 * Child processes of the set-up. One place knows which of them run, so that a signal reaches all of them, their own
 * children too, and we can clean up after they have ended.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/** What runs, and whether it leads a process group of its own.
 * @type {Map<import('node:child_process').ChildProcess, boolean>} */
const running = new Map()
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
      for (const [child, leads] of running) send(child, leads, signal)
    })
  }
}

/** @param {import('node:child_process').ChildProcess} child @param {boolean} leads @param {NodeJS.Signals} signal */
function send(child, leads, signal) {
  if (leads && child.pid !== undefined) process.kill(-child.pid, signal)
  // Ctrl-C at a terminal already reaches every process of our own group; sending it twice would mean "at once".
  else if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
}

/** @typedef {{ env?: NodeJS.ProcessEnv, cwd?: string }} Options */

/** Runs a program with our own input and output; resolves to its exit code.
 * @param {string} program @param {readonly string[]} args @param {Options} [options] */
export async function runInForeground(program, args, options = {}) {
  return ended(spawn(program, args, { ...options, stdio: 'inherit' }), false)
}

/** The same for a program that leaves children behind when it is ended: it leads a group, and the group is ended.
 * @param {string} program @param {readonly string[]} args @param {Options} [options] */
export async function runAsGroup(program, args, options = {}) {
  return ended(spawn(program, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'], detached: true }), true)
}

/** Runs a program quietly; resolves to its exit code and everything it printed.
 * @param {string} program @param {readonly string[]} args @param {Options} [options] */
export async function runQuietly(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  return { code: await ended(child, false), output }
}

/** @param {string} output @param {number} count */
export function lastLines(output, count) {
  return output.trimEnd().split('\n').slice(-count).join('\n')
}

/** @param {import('node:child_process').ChildProcess} child @param {boolean} leads @returns {Promise<number>} */
function ended(child, leads) {
  running.set(child, leads)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  }).finally(() => running.delete(child))
}
