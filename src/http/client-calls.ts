/** The client's calls that answer JSON; the two that carry a task's bytes are in run.ts. */
import { z } from 'zod'
import { call } from './call.ts'
import * as client from './client-schemas.ts'
import { jobId, pageLimit, PAGE, taskRef } from './values.ts'

const ofTask = z.strictObject({ task: taskRef })
const ofJob = z.strictObject({ job: jobId })
const done = z.object({ done: z.literal(true) })

export const clientCalls = {
  quote: call({
    id: 'quote',
    method: 'GET',
    path: '/v1/tasks/{task}/quote',
    summary: 'Which hosts would run it for how much, and why the others would not',
    params: ofTask,
    query: client.quoteQuery,
    answer: client.quoteReport,
    run: (api, { task, ...options }, { signal }) => api.client.quote(task, options, signal),
  }),
  listJobs: call({
    id: 'listJobs',
    method: 'GET',
    path: '/v1/jobs',
    summary: "This node's jobs, newest first",
    query: z.strictObject({ limit: pageLimit }),
    answer: z.array(client.jobSummary),
    run: (api, query) => api.client.jobs({ limit: PAGE, ...query }),
  }),
  showJob: call({
    id: 'showJob',
    method: 'GET',
    path: '/v1/jobs/{job}',
    summary: 'One job: its result, its logs and why this host',
    params: ofJob,
    answer: client.jobDetails,
    run: (api, { job }) => api.client.job(job),
  }),
  cancelJob: call({
    id: 'cancelJob',
    method: 'POST',
    path: '/v1/jobs/{job}/cancel',
    summary: 'Ends a job that is under way',
    params: ofJob,
    answer: done,
    run: async (api, { job }) => {
      await api.client.cancel(job)
      return { done: true as const }
    },
  }),
  listHosts: call({
    id: 'listHosts',
    method: 'GET',
    path: '/v1/hosts',
    summary: 'Hosts heard of or registered',
    answer: z.array(client.hostSummary),
    run: (api) => api.client.hosts(),
  }),
}
