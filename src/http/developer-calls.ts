/** The developer's calls: check, test, publish and look up tasks. */
import { z } from 'zod'
import { call } from './call.ts'
import * as developer from './developer-schemas.ts'
import { anyAddress, pageLimit, PAGE, taskRef } from './values.ts'

const ofTask = z.strictObject({ task: taskRef })

export const developerCalls = {
  checkTask: call({
    id: 'checkTask',
    method: 'POST',
    path: '/v1/tasks/check',
    summary: "Checks a task's folder without building it",
    body: developer.checkRequest,
    answer: developer.checkReport,
    run: (api, { dir, ...options }, { signal }) => api.developer.check(dir, options, signal),
  }),
  testTask: call({
    id: 'testTask',
    method: 'POST',
    path: '/v1/tasks/test',
    summary: "Builds a task's folder and runs its example with a host's limits and walls",
    body: developer.testRequest,
    answer: developer.testReport,
    streams: true,
    run: (api, { dir, input, ...options }, { onProgress, signal }) => {
      const given = input === undefined ? {} : { input: Buffer.from(input, 'base64') }
      return api.developer.test(dir, { ...options, ...given }, onProgress, signal)
    },
  }),
  publishTask: call({
    id: 'publishTask',
    method: 'POST',
    path: '/v1/tasks/publish',
    summary: 'Builds, packs and registers a task',
    body: developer.publishRequest,
    answer: developer.published,
    streams: true,
    run: (api, { dir, ...options }, { onProgress, signal }) => api.developer.publish(dir, options, onProgress, signal),
  }),
  listTasks: call({
    id: 'listTasks',
    method: 'GET',
    path: '/v1/tasks',
    summary: 'Published tasks, newest first',
    query: z.strictObject({ developer: anyAddress.exactOptional(), limit: pageLimit }),
    answer: z.array(developer.taskSummary),
    run: (api, query, { signal }) => api.developer.list({ limit: PAGE, ...query }, signal),
  }),
  showTask: call({
    id: 'showTask',
    method: 'GET',
    path: '/v1/tasks/{task}',
    summary: 'One task with its manifest',
    params: ofTask,
    answer: developer.taskDetails,
    run: async (api, { task }, { signal }) => {
      const { manifest, ...details } = await api.developer.show(task, signal)
      return { ...details, manifest: { ...manifest, fee: manifest.fee.toString() } }
    },
  }),
  taskVersions: call({
    id: 'taskVersions',
    method: 'GET',
    path: '/v1/tasks/{task}/versions',
    summary: 'All versions of a task, newest first',
    params: ofTask,
    answer: z.array(developer.taskSummary),
    run: (api, { task }, { signal }) => api.developer.versions(task, signal),
  }),
}
