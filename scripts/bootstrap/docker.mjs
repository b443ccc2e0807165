/**
 * Brings a Docker engine and the few programs around it: on Debian as root by apt, elsewhere by naming the one command
 * that does it. What already works is left alone.
 */
import { accessSync, constants, existsSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { ownDaemon, startDaemon } from './dockerd.mjs'
import { SetupError } from './report.mjs'
import { lastLines, runQuietly } from './run.mjs'

/** Debian packages and the program by which each is known to be there. */
const PACKAGES = { 'docker.io': 'dockerd', iptables: 'iptables', socat: 'socat', 'busybox-static': 'busybox' }
const ENGINE_PACKAGES = ['docker.io', 'iptables']

/** @typedef {{ up: true, where: string, version: string } | { up: false, where: string, code: string }} Engine */

/** socat (the sidecar) and busybox (base images) always, the engine only where none answers.
 * @param {boolean} install @param {(text: string) => void} say */
export async function ensurePrograms(install, say) {
  const engine = await askEngine()
  const missing = Object.entries(PACKAGES)
    .filter(
      ([name, program]) =>
        !((engine.up || process.env['DOCKER_HOST']) && ENGINE_PACKAGES.includes(name)) && !onPath(program),
    )
    .map(([name]) => name)
  if (missing.length === 0) return { skipped: true, detail: 'every program is there' }
  const command = `apt-get update && apt-get install -y ${missing.join(' ')}`
  if (!install)
    throw new SetupError(`${missing.join(', ')} missing, and --no-install forbids installing`, {
      cure: `As root: ${command}`,
      exitCode: 7,
    })
  if (onPath('apt-get') === undefined) {
    throw new SetupError(`${missing.join(', ')} missing, and this system has no apt`, {
      cure: `Install them with this system's package manager (Docker: docs.docker.com/engine/install).`,
      exitCode: 7,
    })
  }
  if (process.getuid?.() !== 0) {
    throw new SetupError(`${missing.join(', ')} missing, and only root may install`, {
      cure: `sudo sh -c '${command}'`,
      exitCode: 7,
    })
  }
  say(`apt-get install ${missing.join(' ')}`)
  await aptInstall(missing)
  if (!engine.up && !hasServiceManager() && (await askEngine()).up) ownDaemon()
  return { detail: `installed ${missing.join(', ')}` }
}

/** @param {boolean} install @param {(text: string) => void} say */
export async function ensureEngine(install, say) {
  const engine = await askEngine()
  if (engine.up) return { skipped: true, detail: `Docker ${engine.version} answers at ${engine.where}` }
  if (engine.code === 'EACCES' || engine.code === 'EPERM') {
    throw new SetupError(`No permission for ${engine.where}`, {
      cure: 'sudo usermod -aG docker "$USER", then log in again.',
      exitCode: 7,
    })
  }
  if (process.env['DOCKER_HOST']) {
    throw new SetupError(`Nothing answers at DOCKER_HOST=${engine.where} (${engine.code})`, {
      cure: 'Start that engine, or unset DOCKER_HOST.',
      exitCode: 7,
    })
  }
  if (process.getuid?.() !== 0 || onPath('dockerd') === undefined || !install) {
    throw new SetupError(`Nothing answers at ${engine.where} (${engine.code})`, {
      cure: hasServiceManager() ? 'sudo systemctl start docker' : 'As root: service docker start',
      exitCode: 7,
    })
  }
  say('starting the Docker engine')
  if (hasServiceManager()) await startService()
  else await startDaemon(askEngine)
  const now = await askEngine()
  return { detail: now.up ? `Docker ${now.version} started` : 'Docker started' }
}

/** Asks the engine for its version, at DOCKER_HOST or the usual socket. @returns {Promise<Engine>} */
async function askEngine() {
  const where = process.env['DOCKER_HOST'] || 'unix:///var/run/docker.sock'
  const url = new URL(where)
  // An engine behind ssh or TLS cannot be asked with built-in parts; its owner set it, so it is believed.
  if (!['unix:', 'tcp:', 'http:'].includes(url.protocol)) return { up: true, where, version: '(not asked)' }
  const target =
    url.protocol === 'unix:' ? { socketPath: url.pathname } : { host: url.hostname, port: url.port || 2375 }
  return new Promise((resolve) => {
    const asked = request({ ...target, path: '/version', timeout: 5000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => (body += text))
      response.on('end', () => resolve({ up: true, where, version: /"Version":"([^"]+)"/.exec(body)?.[1] ?? '?' }))
    })
    asked.on('timeout', () => asked.destroy(Object.assign(new Error('no answer in 5 s'), { code: 'ETIMEDOUT' })))
    asked.on('error', (error) =>
      resolve({ up: false, where, code: 'code' in error ? String(error.code) : error.message }),
    )
    asked.end()
  })
}

/** Where a program is; also looks where root's programs are, because a user's PATH often lacks them. @param {string} program */
function onPath(program) {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  return folders.map((folder) => join(folder, program)).find(isExecutable)
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false // absent or not ours to run: for the search both mean "look on"
  }
}

/** @param {readonly string[]} packages */
async function aptInstall(packages) {
  const options = ['-q', '-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=180']
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // A foreign source that cannot be read fails the update although Debian's own lists arrived: the install decides.
  const update = await runQuietly('apt-get', [...options, 'update'], { env })
  const { code, output } = await runQuietly(
    'apt-get',
    [...options, 'install', '-y', '--no-install-recommends', ...packages],
    { env },
  )
  if (code === 0) return
  throw new SetupError(
    `apt-get install ended with ${code}:\n${lastLines(update.output, 5)}\n${lastLines(output, 10)}`,
    {
      cure: `As root: apt-get update && apt-get install -y ${packages.join(' ')}`,
      exitCode: 7,
    },
  )
}

function hasServiceManager() {
  return existsSync('/run/systemd/system')
}

async function startService() {
  const { code, output } = await runQuietly('systemctl', ['start', 'docker'])
  if (code === 0) return
  throw new SetupError(`systemctl start docker ended with ${code}: ${lastLines(output, 5)}`, {
    cure: 'journalctl -u docker --no-pager -n 30',
    exitCode: 7,
  })
}
