/** Builds the developer's story over the rooms, and the questions about published tasks that everybody may ask. */
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { cidOf } from '../core/cid.ts'
import { NATIVE, parseAddress } from '../core/units.ts'
import { archiveToLayout } from '../image/oci.ts'
import type { RegistryEntry } from '../role/tasks.ts'
import type { DeveloperApi, TaskSummary } from '../role/api-developer.ts'
import type { BenchEngine } from '../role/bench-source.ts'
import { Developer } from '../role/developer.ts'
import { checkFolder, Workbench } from '../role/workbench.ts'
import { factsOfImage } from './image-facts.ts'
import { loadImage } from './load-image.ts'
import { formatOf } from '../task/format.ts'
import type { Base } from './base.ts'

/** An example must answer within this; a real job gets what its client pays for. */
const EXAMPLE_SECONDS = 300

export function developerApi(base: Base, engine: () => Promise<Engine>): DeveloperApi {
  const { registry, ipfs, tasks } = base
  const developer = async (): Promise<Developer> => new Developer(developerComponents(base, await engine()))
  return {
    check: (dir, options, signal) => checkFolder(dir, options, async () => benchEngine(await engine()), signal),
    test: async (dir, options, onProgress, signal) =>
      benchOver(await engine(), base.config).test(dir, options, onProgress, signal),
    publish: async (dir, options, onProgress, signal) => (await developer()).publish(dir, options, onProgress, signal),
    list: async ({ developer: who, limit }, signal) => {
      const entries = await registry.list(who === undefined ? {} : { developer: who }, signal)
      return entries.slice(0, limit).map(taskSummary)
    },
    show: async (ref, signal) => {
      const cid = await tasks.resolve(ref, signal)
      const { manifest, entry, descriptor } = await tasks.get(cid, signal)
      const atHand = await ipfs.has(cid, signal)
      const image = await factsOfImage(base, cid, manifest.image, signal)
      const format = formatOf(manifest.format)
      const parameters = format.kind === 'files' ? { parameters: format.parameters(descriptor) } : {}
      return { ...taskSummary(entry), payee: entry.payee, manifest, atHand, descriptor, ...parameters, image }
    },
    versions: async (ref, signal) => {
      const [who, name] = await nameOf(base, ref, signal)
      return (await registry.list({ developer: who }, signal)).filter((entry) => entry.name === name).map(taskSummary)
    },
  }
}

function developerComponents(base: Base, engine: Engine): ConstructorParameters<typeof Developer>[0] {
  const { signer, ipfs, registry, wallet, config } = base
  return {
    address: signer.address,
    ipfs,
    engine,
    toLayout: (archive, workFolder, signal, onProgress) => archiveToLayout(archive, { workFolder, signal, onProgress }),
    register: async (task, signal) => registry.publish(wallet, task, signal),
    version: async (name, version, signal) => (await registry.byName(signer.address, name, version, signal))?.taskId,
    defaultToken: base.tokens[0]?.address ?? NATIVE,
    bench: benchOver(engine, config),
    now: () => performance.now(),
  }
}

function taskSummary(entry: RegistryEntry): TaskSummary {
  const { taskId, name, version, developer, fee, token, retired } = entry
  return { task: taskId, cid: cidOf(taskId), name, version, developer, fee: fee.toString(), token, retired }
}

async function nameOf(
  base: Base,
  ref: string,
  signal: AbortSignal,
): Promise<[ReturnType<typeof parseAddress>, string]> {
  const [who, rest] = ref.split('/')
  if (who !== undefined && rest !== undefined) return [parseAddress(who, 'the developer'), rest.replace(/@.*$/, '')]
  const { entry } = await base.tasks.get(await base.tasks.resolve(ref, signal), signal)
  return [entry.developer, entry.name]
}

/** Building and trying need an engine and nothing else of a node. */
export function benchOver(engine: Engine, { limits }: Pick<Config, 'limits'>): Workbench {
  const { startTimeoutMs, outputBytes } = limits
  return new Workbench({
    engine: benchEngine(engine),
    limits: { startTimeoutMs, maxSeconds: EXAMPLE_SECONDS, outputBytes },
    now: () => performance.now(),
  })
}

export function benchEngine(engine: Engine): BenchEngine {
  return {
    start: (image, plan, options, signal) => engine.start(image, plan, options, signal),
    run: (image, plan, options, signal) => engine.run(image, plan, options, signal),
    build: (folder, buildArgs, signal, onLog) => engine.build(folder, buildArgs, signal, onLog),
    save: (image, signal) => engine.save(image, signal),
    file: (image, path, maxBytes, signal) => engine.file(image, path, maxBytes, signal),
    resolve: (reference, signal) => engine.resolve(reference, signal),
    load: (archive, signal) => loadImage(engine, archive, signal),
  }
}
