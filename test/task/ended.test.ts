/** A run that a host ended has its reason in the verdict, in every format: nobody is told to buy memory for a full disk. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import type { ContainerEnd } from '../../src/core/plan.ts'
import { borealis } from '../../src/task/borealis.ts'
import { cytomine } from '../../src/task/cytomine.ts'
import type { FilesFormat, FilesJob } from '../../src/task/format.ts'
import { kaapana } from '../../src/task/kaapana.ts'
import { descriptor } from './cytomine-kit.ts'

const JOB: FilesJob = {
  job: NO_PARAMETERS,
  files: new Map(),
  resources: { cpuMillis: 1000, memoryBytes: 2 ** 28, gpus: 0 },
  maxSeconds: 60,
  startTimeoutMs: 1000,
  outputBytes: 1000,
  worker: { uid: 1, gid: 1 },
}
const TEMPLATE = { identifier: 'a', description: 'x', inputs: [], outputs: [], env: [] }
const TASKS: readonly [FilesFormat, string][] = [
  [cytomine, descriptor({}, { out: 'integer' })],
  [kaapana, JSON.stringify({ name: 'n', description: 'd', templates: [TEMPLATE] })],
  [
    borealis,
    JSON.stringify({ name: 'n', image: 'i', command: ['c'], internal_prefix: '/tmp/', storage_prefix: 'bucket/a' }),
  ],
]
const REASONS: readonly [NonNullable<ContainerEnd['killedFor']>, RegExp, string][] = [
  ['time limit', /did not end/, 'run_timeout'],
  ['log budget', /printed/, 'task_failed'],
  ['disk budget', /wrote/, 'task_failed'],
  ['stopped', /was stopped/, 'task_failed'],
]

for (const [format, text] of TASKS) {
  for (const [killedFor, words, code] of REASONS) {
    test(`${format.name}: a run that was ended for its ${killedFor} says so, and nothing of memory`, () => {
      const end = { exitCode: 137, outOfMemory: false, killedFor, logTail: '' }
      const ran = {
        end,
        startedAt: 0,
        endedAt: 1,
        image: 'i',
        files: new Map(),
        console: new Uint8Array(),
        folders: new Set<string>(),
        noted: new Map(),
        leftOut: [],
      }
      const { status, problem } = format.judge(text, JOB, ran)
      assert.equal(status, 'task_failed')
      assert.match(problem?.message ?? '', words)
      assert.doesNotMatch(problem?.message ?? '', /memory/)
      assert.equal(problem?.code ?? 'task_failed', code)
    })
  }
}
