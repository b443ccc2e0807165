/**
 * Base images made on this machine, for people and tests without a registry: `meca-base/busybox`, `meca-base/node` and
 * `meca-base/python`. An example's Dockerfile takes one as `--build-arg BASE=…` in place of its public base image.
 * An image carries the fingerprint of what it was made from; the same fingerprint means nothing to do.
 *
 *   node scripts/bases.ts [busybox] [node] [python]      without a name: busybox and node, which take a second
 */
import { pathToFileURL } from 'node:url'
import Docker from 'dockerode'
import { asMecaError, MecaError } from '../src/core/errors.ts'
import { RECIPES, type BaseName } from './bases/recipes.ts'

const LABEL = 'meca.base.fingerprint'

export type Base = { tag: string; made: boolean }

/** Makes the base image where it is missing or was made from something else. */
export async function ensureBase(docker: Docker, name: BaseName, signal: AbortSignal): Promise<Base> {
  const recipe = RECIPES[name]
  const tag = `meca-base/${name}:latest`
  const fingerprint = await recipe.fingerprint()
  if ((await labelOf(docker, tag)) === fingerprint) return { tag, made: false }
  const changes = [...recipe.changes, `LABEL ${LABEL}=${fingerprint}`].join('\n')
  const archive = await recipe.archive(signal)
  // The two sides run together: a failing import settles without waiting for bytes that nobody reads any more.
  await Promise.all([archive.done, load(docker, name, archive.stream, changes, signal)])
  return { tag, made: true }
}

async function labelOf(docker: Docker, tag: string): Promise<string | undefined> {
  try {
    return (await docker.getImage(tag).inspect()).Config.Labels?.[LABEL]
  } catch (error) {
    if (error instanceof Error && 'statusCode' in error && error.statusCode === 404) return undefined
    throw new MecaError('engine_unavailable', `The Docker engine does not tell whether it has ${tag}`, {
      cause: error,
      cure: 'Start the engine (`npm start` does it on a bare machine), then try again.',
    })
  }
}

/** The engine says in the stream of its answer whether the import worked. */
async function load(
  docker: Docker,
  name: BaseName,
  archive: NodeJS.ReadableStream,
  changes: string,
  signal: AbortSignal,
): Promise<void> {
  const options = { repo: `meca-base/${name}`, tag: 'latest', changes, abortSignal: signal }
  const answer = await docker.importImage(archive, options)
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(answer, (error: Error | null) => {
      if (error === null) resolve()
      else
        reject(
          new MecaError('engine_unavailable', `The engine did not import ${name}: ${error.message}`, { cause: error }),
        )
    })
  })
}

function isBaseName(word: string): word is BaseName {
  return Object.hasOwn(RECIPES, word)
}

async function main(words: readonly string[]): Promise<void> {
  const unknown = words.find((word) => !isBaseName(word))
  if (unknown !== undefined) {
    throw new MecaError('bad_input', `There is no base image ${unknown}`, {
      cure: `Name one of ${Object.keys(RECIPES).join(', ')}.`,
    })
  }
  const names = words.length === 0 ? (['busybox', 'node'] as const) : words.filter(isBaseName)
  const signal = AbortSignal.timeout(900_000)
  for (const name of names) {
    const began = performance.now()
    const { tag, made } = await ensureBase(new Docker(), name, signal)
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    process.stderr.write(`${made ? '+ made' : '- there'} ${tag}  ${seconds} s\n`)
    process.stdout.write(`${tag}\n`)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    const { message, cure, exitCode } = asMecaError(error)
    process.stderr.write(`${message}\n${cure === undefined ? '' : `What to do: ${cure}\n`}`)
    process.exitCode = exitCode
  }
}
