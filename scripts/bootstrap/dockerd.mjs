/**
 * A Docker daemon for machines without a service manager (a container, a chroot, a bare CI machine). The daemon is
 * shared by everybody who runs the set-up meanwhile and stopped by the last of them: each user is a file named by its
 * pid, so that a user killed hard is no user any more. A daemon that was running before is never touched.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SetupError } from './report.mjs'
import { lastLines } from './run.mjs'

const FOLDER = '/run/meca-dockerd'
const USERS = join(FOLDER, 'users')
const PID_FILE = '/var/run/docker.pid'
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000

/** Without iptables there is no bridge network; tasks need none, so such a machine still runs them. */
const ATTEMPTS = [[], ['--iptables=false', '--ip6tables=false', '--bridge=none']]

/** @param {() => Promise<{ up: boolean }>} ask */
export async function startDaemon(ask) {
  mkdirSync(USERS, { recursive: true })
  const logFile = join(FOLDER, 'log')
  for (const args of ATTEMPTS) {
    removeStale()
    if (await launch(args, logFile, ask)) return ownDaemon()
  }
  throw new SetupError(
    `dockerd does not start; the end of ${logFile}:\n${lastLines(readFileSync(logFile, 'utf8'), 8)}`,
    {
      cure: 'Docker needs root with all capabilities and mounted cgroups; in a container, run it with --privileged.',
      exitCode: 7,
    },
  )
}

/** Notes that the running daemon came with this set-up: we started it, or its package did while we installed it. */
export function ownDaemon() {
  mkdirSync(USERS, { recursive: true })
  if (existsSync(PID_FILE)) writeFileSync(join(FOLDER, 'pid'), readFileSync(PID_FILE, 'utf8'))
  joinDaemon()
}

/** Says that this process uses the daemon that we started, if it is ours. */
export function joinDaemon() {
  if (ownedPid() !== undefined) writeFileSync(join(USERS, String(process.pid)), '')
}

/** The last user stops the daemon, unless somebody wants it kept. Resolves to what happened.
 * @param {boolean} keep @returns {Promise<string | undefined>} */
export async function leaveDaemon(keep) {
  const pid = ownedPid()
  if (pid === undefined || !existsSync(USERS)) return undefined
  if (keep) writeFileSync(join(USERS, 'stay'), '')
  rmSync(join(USERS, String(process.pid)), { force: true })
  if (keep) return `The Docker engine stays; stop it with: kill ${pid}`
  if (readdirSync(USERS).some((user) => user === 'stay' || isAlive(Number(user)))) return undefined
  await stopDaemon(pid)
  return 'The Docker engine that was started here is stopped.'
}

/** @param {readonly string[]} args @param {string} logFile @param {() => Promise<{ up: boolean }>} ask */
async function launch(args, logFile, ask) {
  const log = openSync(logFile, 'w')
  const child = spawn('dockerd', args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin` },
  })
  closeSync(log)
  let failed = false
  child.once('error', () => (failed = true))
  child.unref()
  for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end; await sleep(200)) {
    if ((await ask()).up) return true
    if (failed || child.exitCode !== null || child.signalCode !== null) return false
  }
  child.kill('SIGKILL')
  return false
}

/** @param {number} pid */
async function stopDaemon(pid) {
  process.kill(pid, 'SIGTERM')
  for (const end = Date.now() + STOP_TIMEOUT_MS; Date.now() < end && isAlive(pid);) await sleep(100)
  if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  rmSync(FOLDER, { recursive: true, force: true })
}

/** Pid files of a daemon that was killed hard keep the next one from starting. */
function removeStale() {
  for (const [file, name] of [
    [PID_FILE, 'dockerd'],
    ['/var/run/docker/containerd/containerd.pid', 'containerd'],
  ]) {
    if (file !== undefined && existsSync(file) && nameOf(Number(readFileSync(file, 'utf8'))) !== name) rmSync(file)
  }
}

/** The pid of the daemon that we started, if it still runs. */
function ownedPid() {
  const file = join(FOLDER, 'pid')
  if (!existsSync(file)) return undefined
  const pid = Number(readFileSync(file, 'utf8'))
  return nameOf(pid) === 'dockerd' ? pid : undefined
}

/** @param {number} pid */
function nameOf(pid) {
  const file = `/proc/${pid}/comm`
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

/** @param {number} pid */
function isAlive(pid) {
  return existsSync(`/proc/${pid}`)
}
