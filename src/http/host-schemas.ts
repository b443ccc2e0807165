/** What the host's calls take and answer, and what a node says of itself. */
import { z } from 'zod'
import { address, count, milliseconds, money, phase, resources, token, whole } from './values.ts'

const earnings = z.array(
  z.object({
    token: address,
    jobs: count,
    hostAmount: money,
    developerAmount: money,
    claimed: money,
    withdrawn: money,
  }),
)
export const hostStatus = z
  .object({
    address,
    state: z.enum(['open', 'draining', 'stopped']),
    registered: z.boolean(),
    total: resources,
    free: resources,
    running: z.array(z.object({ job: z.string(), task: z.string(), client: address, phase, sinceMs: milliseconds })),
    queued: count,
    warm: count,
    images: count,
    engine: z.object({ version: z.string(), runtimes: z.array(z.string()) }),
    earned: earnings,
    atRisk: z.array(
      z.object({
        token: address,
        unclaimed: money,
        closing: money,
        closesInSeconds: count.nullable(),
        leftBehind: money,
        unconfirmed: money,
        lost: money,
      }),
    ),
    alarms: z.array(
      z.object({
        name: z.string(),
        level: z.enum(['warning', 'error']),
        detail: z.string(),
        cure: z.string(),
        since: milliseconds,
      }),
    ),
  })
  .meta({ id: 'HostStatus' })

export const hostWhy = z
  .object({
    requests: count,
    accepted: count,
    answered: count,
    refused: z.array(z.object({ code: z.string(), count, last: z.string() })),
    token: address,
    medianPrice: money.nullable(),
    ownPrice: money,
    advice: z.array(z.string()),
  })
  .meta({ id: 'HostWhy' })

export const drainRequest = z.strictObject({ on: z.boolean() })
export const priceQuery = z.strictObject({ cpuMillis: whole, memoryBytes: whole, gpus: whole, maxSeconds: whole })
export const prices = z.array(z.object({ hostAmount: money, token: address }))

export const nodeInfo = z
  .object({
    version: z.string(),
    home: z.string(),
    role: z.enum(['host', 'node']),
    address,
    peerId: z.string(),
    addresses: z.array(z.string()),
    peers: count,
    chainId: count,
    contracts: z.object({ tasks: address, hosts: address, channels: address }),
    token,
    tokens: z.array(token),
  })
  .meta({ id: 'NodeInfo' })

const finding = z.object({
  what: z.string(),
  ok: z.boolean(),
  level: z.enum(['ok', 'warning', 'error']),
  detail: z.string(),
  cure: z.string().exactOptional(),
})
export const doctorReport = z.object({ ok: z.boolean(), findings: z.array(finding) }).meta({ id: 'DoctorReport' })
