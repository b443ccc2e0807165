/** What a node says of itself, and the host's calls. */
import { MecaError } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import type { HostApi } from '../role/api-host.ts'
import { call } from './call.ts'
import * as host from './host-schemas.ts'

export const hostCalls = {
  info: call({
    id: 'info',
    method: 'GET',
    path: '/v1/info',
    summary: 'What this node is',
    answer: host.nodeInfo,
    run: (api) => api.info(),
  }),
  doctor: call({
    id: 'doctor',
    method: 'GET',
    path: '/v1/doctor',
    summary: 'What is wrong with this node, each finding with its cure',
    answer: host.doctorReport,
    run: (api, _args, { signal }) => api.doctor(signal),
  }),
  hostStatus: call({
    id: 'hostStatus',
    method: 'GET',
    path: '/v1/host',
    summary: 'How this host is doing',
    answer: host.hostStatus,
    run: (api) => hostOf(api).status(),
  }),
  hostWhy: call({
    id: 'hostWhy',
    method: 'GET',
    path: '/v1/host/why',
    summary: 'What this host was asked, what it refused and why',
    answer: host.hostWhy,
    run: (api) => hostOf(api).why(),
  }),
  drainHost: call({
    id: 'drainHost',
    method: 'POST',
    path: '/v1/host/drain',
    summary: 'Takes no new jobs, or takes them again',
    body: host.drainRequest,
    answer: host.hostStatus,
    run: (api, { on }) => hostOf(api).drain(on),
  }),
  hostPrice: call({
    id: 'hostPrice',
    method: 'GET',
    path: '/v1/host/price',
    summary: 'What a job of these resources would cost here',
    query: host.priceQuery,
    answer: host.prices,
    run: (api, { maxSeconds, ...resources }) => hostOf(api).price(resources, maxSeconds),
  }),
}

function hostOf(api: NodeApi): HostApi {
  if (api.host !== undefined) return api.host
  throw new MecaError('not_found', 'This node rents out no hardware', { cure: 'start it with: meca host start' })
}
