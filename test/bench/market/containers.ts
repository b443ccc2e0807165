/** The same image as a person would run it: a plain container on the engine's bridge, without a limit. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { Container } from 'dockerode'
import { BODY } from './stage.ts'

/** The server prints nothing else, so it comes in one piece. */
const READY = 'meca-init-done'
const LABELS = { 'meca.bench': 'direct' }

/** Started, and ready by the same signs as a task: its marker on stdout, then a connection to its port. */
export async function startDirect(docker: Docker, image: string): Promise<{ container: Container; url: string }> {
  const container = await docker.createContainer({ Image: image, Labels: LABELS, HostConfig: { AutoRemove: false } })
  const log = await container.attach({ stream: true, stdout: true })
  const announced = new Promise<void>((resolve) => {
    log.on('data', (chunk: Buffer) => {
      if (chunk.includes(READY)) resolve()
    })
  })
  await container.start()
  await announced
  const address = (await container.inspect()).NetworkSettings.Networks['bridge']?.IPAddress ?? ''
  while (!(await accepts(address))) await sleep(5)
  return { container, url: `http://${address}:8080` }
}

/** `docker run` until the first reply, in ms. */
export async function timeDirect(docker: Docker, image: string): Promise<number> {
  const began = performance.now()
  const { container, url } = await startDirect(docker, image)
  await (await fetch(url, { method: 'POST', body: BODY })).arrayBuffer()
  const took = performance.now() - began
  await container.remove({ force: true, v: true })
  return took
}

/** What a broken run left. */
export async function sweepDirect(docker: Docker): Promise<void> {
  const left = await docker.listContainers({ all: true, filters: { label: ['meca.bench=direct'] } })
  for (const { Id } of left) await docker.getContainer(Id).remove({ force: true, v: true })
}

async function accepts(host: string): Promise<boolean> {
  const socket = connect(8080, host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false // Not there yet.
  } finally {
    socket.destroy()
  }
}
