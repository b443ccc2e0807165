/**
 * A cold start with the image at hand, phase by phase, beside `docker run` of the same image. Only the warm container is
 * taken away before each round, as if it had been idle too long; everything else that a host keeps ready stays.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Phases } from '../../../src/core/job.ts'
import { timeDirect } from './containers.ts'
import { median, round } from './figures.ts'
import { BODY, RUN } from './stage.ts'
import type { Stage } from './stage.ts'

export type Cold = { rounds: number; dockerRunMs: number; jobMs: number; ratio: number; phases: Phases }

/** A pool of helpers is full again within this; a market does not start a container every moment either. */
const SETTLE_MS = 1_500

export async function measureCold(stage: Stage, image: string, rounds: number, signal: AbortSignal): Promise<Cold> {
  const jobs: { ms: number; phases: Phases }[] = []
  const direct: number[] = []
  for (let i = 0; i < rounds; i++) {
    await endWarm(stage)
    direct.push(await timeDirect(stage.docker, image))
    await sleep(SETTLE_MS)
    jobs.push(await coldJob(stage, signal))
  }
  const phase = (name: keyof Phases) => round(median(jobs.map(({ phases }) => phases[name])), 1)
  return {
    rounds,
    dockerRunMs: round(median(direct), 1),
    jobMs: round(median(jobs.map(({ ms }) => ms)), 1),
    ratio: round(median(jobs.map(({ ms }, i) => ms / (direct[i] ?? NaN)))),
    phases: {
      queuedMs: phase('queuedMs'),
      fetchMs: phase('fetchMs'),
      startMs: phase('startMs'),
      runMs: phase('runMs'),
      deliverMs: phase('deliverMs'),
      totalMs: phase('totalMs'),
    },
  }
}

async function coldJob({ client, task }: Stage, signal: AbortSignal): Promise<{ ms: number; phases: Phases }> {
  const began = performance.now()
  const { phases, warm, status } = await client.client.run(task.cid, BODY, RUN, () => undefined, signal)
  const ms = performance.now() - began
  if (warm || status !== 'answered') throw new Error(`the job was ${warm ? 'warm' : status}`)
  return { ms, phases }
}

/** The host's own containers carry its home's id; helpers are told by their name. */
async function endWarm({ docker, host, hostHome }: Stage): Promise<void> {
  const owner = (await readFile(join(hostHome, 'id'), 'utf8')).trim()
  const running = await docker.listContainers({ filters: { label: [`meca.owner=${owner}`] } })
  for (const { Id, Names } of running) {
    if (!Names.some((name) => name.startsWith('/meca-sidecar-'))) await docker.getContainer(Id).remove({ force: true })
  }
  while (((await host.host?.status())?.warm ?? 0) > 0) await sleep(50)
}
