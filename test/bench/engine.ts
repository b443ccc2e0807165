/**
 * What the sandbox costs in time, beside the same image without it in the same run: from nothing to the first reply,
 * against a container on the default bridge; and a request to a warm container, against a keep-alive client on its
 * address. Goals of perf.md: a cold start at most 0.6 of the bridge's.
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Container } from 'dockerode'
import { Pool } from 'undici'
import { NEVER, TestEngine, ask } from '../support/engine.ts'
import { appImage, dockerMissing } from '../support/images.ts'
import { appPlan } from '../support/plans.ts'

const GOAL_COLD = 0.6
const ROUNDS = 9
const WARM_MS = 1_500
const BODY = Buffer.from(JSON.stringify({ x: 'y'.repeat(90) }))

const missing = await dockerMissing()
if (missing !== false) {
  console.log(JSON.stringify({ bench: 'engine', skipped: missing }))
  process.exit(0)
}

const t = new TestEngine(2)
const image = await appImage()
await t.engine.probe(NEVER)

/** `docker run` by the API, with the same program and its port reached at the container's address. */
async function onBridge(): Promise<{ container: Container; address: string }> {
  const plan = appPlan('echo')
  const container = await t.docker.createContainer({
    Image: image,
    Cmd: [...(plan.command ?? [])],
    Env: ['MODE=echo'],
    Labels: { 'meca.test': '1' },
  })
  await container.start()
  const { NetworkSettings } = await container.inspect()
  const address = NetworkSettings.Networks['bridge']?.IPAddress ?? ''
  while (!(await opens(address))) await sleep(2)
  return { container, address }
}

function opens(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(8080, address)
    const end = (open: boolean) => () => {
      socket.destroy()
      resolve(open)
    }
    socket.on('connect', end(true)).on('error', end(false))
  })
}

async function direct(pool: Pool): Promise<void> {
  const reply = await pool.request({
    method: 'POST',
    path: '/',
    body: BODY,
    headers: { 'content-type': 'application/json' },
  })
  await reply.body.arrayBuffer()
}

async function coldBridge(): Promise<number> {
  const began = performance.now()
  const { container, address } = await onBridge()
  const pool = new Pool(`http://${address}:8080`)
  await direct(pool)
  const ms = performance.now() - began
  await pool.close()
  await container.remove({ force: true, v: true })
  return ms
}

async function coldSandbox(): Promise<number> {
  const began = performance.now()
  const instance = await t.start(image, appPlan('echo'))
  await ask(instance, BODY)
  const ms = performance.now() - began
  await instance.stop()
  return ms
}

/** Median microseconds of one request, and how many a second. */
async function load(callers: number, once: () => Promise<unknown>): Promise<{ p50Us: number; perSecond: number }> {
  const taken: number[] = []
  const end = performance.now() + WARM_MS
  const caller = async () => {
    while (performance.now() < end) {
      const began = performance.now()
      await once()
      taken.push(performance.now() - began)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return { p50Us: Math.round(median(taken) * 1000), perSecond: Math.round(taken.length / (WARM_MS / 1000)) }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

try {
  const cold = { bridge: [] as number[], sandbox: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    cold.bridge.push(await coldBridge())
    // The pool of sidecars fills up between starts, as it does on a host.
    await t.engine.probe(NEVER)
    cold.sandbox.push(await coldSandbox())
  }
  const { container, address } = await onBridge()
  const bridge = new Pool(`http://${address}:8080`)
  const instance = await t.start(image, appPlan('echo'))
  const warm: Record<string, { p50Us: number; perSecond: number }> = {}
  for (const callers of [1, 64]) {
    await load(callers, () => direct(bridge))
    warm[`direct, ${callers}`] = await load(callers, () => direct(bridge))
    await load(callers, () => ask(instance, BODY))
    warm[`sandbox, ${callers}`] = await load(callers, () => ask(instance, BODY))
  }
  await Promise.all([bridge.close(), container.remove({ force: true, v: true }), instance.stop()])
  const ms = { bridge: Math.round(median(cold.bridge)), sandbox: Math.round(median(cold.sandbox)) }
  const coldRatio = Math.round((median(cold.sandbox) / median(cold.bridge)) * 100) / 100
  console.log(JSON.stringify({ bench: 'engine', coldMs: ms, coldRatio, goal: GOAL_COLD, warm }))
  process.exitCode = coldRatio <= GOAL_COLD ? 0 : 1
} finally {
  await t.end()
}
