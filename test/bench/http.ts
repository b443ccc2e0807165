/**
 * What our HTTP layer adds to a job: POST /v1/tasks/{task}/run with a node that answers at once, beside a plain
 * node:http server that does nothing but echo, in one run. Server and callers are processes of their own.
 *
 *   node test/bench/http.ts [seconds]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startServer } from '../../src/http/server.ts'
import type { NodeApi } from '../../src/role/api.ts'
import { CID, fakeNode } from '../support/fake-api.ts'

const TOKEN = 'a-token-of-the-bench'
const INPUT = Buffer.alloc(100, 'x')

/** The fake node keeps every job; for a bench only the last one counts. */
function forgetful(): NodeApi {
  const { api } = fakeNode({ steps: 0 })
  const whole = api.client
  let last: Awaited<ReturnType<typeof whole.run>> | undefined
  return {
    ...api,
    client: {
      ...whole,
      async run(task, input, options, onProgress, signal) {
        return (last ??= await whole.run(task, input, options, onProgress, signal))
      },
      async output() {
        return (async function* () {
          yield INPUT
        })()
      },
    },
  }
}

async function serve(): Promise<void> {
  const plain = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => res.end(Buffer.concat(chunks)))
  })
  await once(plain.listen(0, '127.0.0.1'), 'listening')
  const ours = await startServer(
    { api: forgetful(), token: TOKEN, port: 0, log: { error: () => undefined } },
    new AbortController().signal,
  )
  process.send?.({ plain: (plain.address() as AddressInfo).port, ours: ours.port })
}

async function measure(
  port: number,
  path: string,
  inFlight: number,
  ms: number,
): Promise<{ p50: number; perSecond: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight })
  const times: number[] = []
  const end = performance.now() + ms
  const caller = async () => {
    while (performance.now() < end) {
      const started = performance.now()
      await ask(agent, port, path)
      times.push(performance.now() - started)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  agent.destroy()
  times.sort((a, b) => a - b)
  return { p50: times[Math.floor(times.length / 2)] ?? 0, perSecond: Math.round((times.length / ms) * 1000) }
}

function ask(agent: Agent, port: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Length': String(INPUT.length) }
    const req = request({ agent, port, host: '127.0.0.1', path, method: 'POST', headers }, (res) => {
      if (res.statusCode !== 200) reject(new Error(`status ${res.statusCode}`))
      res.resume().on('end', resolve)
    })
    req.on('error', reject).end(INPUT)
  })
}

async function main(seconds: number): Promise<void> {
  const server = fork(import.meta.filename, ['serve'])
  const [{ plain, ours }] = (await once(server, 'message')) as [{ plain: number; ours: number }]
  for (const inFlight of [1, 64]) {
    for (const round of ['warm-up', 'measured']) {
      const direct = await measure(plain, '/', inFlight, seconds * 1000)
      const run = await measure(ours, `/v1/tasks/${CID}/run`, inFlight, seconds * 1000)
      if (round === 'warm-up') continue
      const row = {
        inFlight,
        directMs: direct.p50,
        runMs: run.p50,
        ratio: run.p50 / direct.p50,
        directPerSecond: direct.perSecond,
        runPerSecond: run.perSecond,
      }
      process.stdout.write(
        `${JSON.stringify(row, (_key, v: unknown) => (typeof v === 'number' ? Math.round(v * 1000) / 1000 : v))}\n`,
      )
    }
  }
  server.kill()
}

await (process.argv[2] === 'serve' ? serve() : main(Number(process.argv[2] ?? 2)))
