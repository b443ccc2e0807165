/**
 * The packages of the lock file and the Node that runs the program. A mark inside node_modules remembers for which
 * lock file it was filled, so that a second start costs a hash and a changed lock file is never overlooked.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError } from './report.mjs'
import { interruption, lastLines, runQuietly } from './run.mjs'

const NODE_MAJOR = 24
const OUR_NODE = `node_modules/node-${process.platform}-${process.arch}`

/** @param {string} root @param {boolean} install @param {(text: string) => void} say */
export async function ensurePackages(root, install, say) {
  const mark = join(root, 'node_modules', '.meca-lock')
  const wanted = lockHash(root)
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) {
    return { skipped: true, detail: 'the lock file has not changed' }
  }
  if (installedByHand(root)) {
    writeFileSync(mark, wanted)
    return { skipped: true, detail: 'npm has installed what package-lock.json names' }
  }
  if (!install) {
    throw new SetupError('node_modules does not match package-lock.json, and --no-install forbids installing', {
      cure: 'Run the command without --no-install, or run `npm ci`.',
    })
  }
  say('npm ci (about half a minute the first time)')
  await npmCi(root, say)
  writeFileSync(mark, wanted)
  return { detail: 'installed what package-lock.json names' }
}

/** The Node that strips types and that the libraries ask for. @param {string} root */
export function findNode(root) {
  const packaged = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
  if (process.platform === 'linux' && existsSync(packaged)) return packaged
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return process.execPath
  throw new SetupError(
    `No Node ${NODE_MAJOR} for ${process.platform} ${process.arch}: this one is ${process.version} and the package ` +
      `node-linux-${process.arch} is not installed`,
    { cure: `Install Node ${NODE_MAJOR} or later (nodejs.org), then run the command again.` },
  )
}

/** @param {string} root */
function lockHash(root) {
  const hash = createHash('sha256')
  for (const file of ['package-lock.json', '.npmrc']) hash.update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

/** Whether `npm ci` was run without us: npm writes down inside node_modules what it has put there. @param {string} root */
function installedByHand(root) {
  const written = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(written)) return false
  try {
    const there = packagesOf(written)
    return Object.entries(packagesOf(join(root, 'package-lock.json'))).every(
      // What is optional and absent is for another processor.
      ([path, { integrity, optional }]) =>
        path === '' || (path in there ? there[path]?.integrity === integrity : optional === true && path !== OUR_NODE),
    )
  } catch {
    // Not a lock file: whatever wrote it, npm ci makes it good.
    return false
  }
}

/** @param {string} lockFile */
function packagesOf(lockFile) {
  /** @type {unknown} */
  const read = JSON.parse(readFileSync(lockFile, 'utf8'))
  return /** @type {{ packages: Record<string, { integrity?: string, optional?: boolean }> }} */ (read).packages
}

/** Twice, because a registry that stumbles once is the usual reason. @param {string} root @param {(text: string) => void} say */
async function npmCi(root, say) {
  // npm puts the Node among our packages first in the PATH, and `npm ci` removes it: the one that started npm stays.
  const node = process.env['npm_node_execpath'] ?? process.execPath
  const npm = process.env['npm_execpath']
  const command = npm?.endsWith('.js') ? [node, npm] : ['npm']
  for (const attempt of [1, 2]) {
    const { code, output } = await runQuietly(command[0] ?? 'npm', [...command.slice(1), 'ci'], { cwd: root })
    if (code === 0) return
    const said = lastLines(output, 15)
    if (interruption() !== undefined) throw new SetupError('npm ci was interrupted', { cure: 'Run the command again.' })
    if (attempt === 1) say(`npm ci ended with ${code} and is tried once more; it said:\n${said}`)
    else
      throw new SetupError(`npm ci ended with ${code} twice; the second time it said:\n${said}`, {
        cure: 'Check that the npm registry is reachable (`npm ping`) and that there is disk space (`df -h .`).',
      })
  }
}
