/** The API's OpenAPI 3.1 document, made from the schemas that check the requests. */
import { z } from 'zod'
import { createDocument } from 'zod-openapi'
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi'
import type { Call } from './call.ts'
import { CALLS } from './calls.ts'
import { LINES_TYPE } from './lines.ts'
import { PROBLEM_TYPE } from './problem.ts'
import { BUNDLE_TYPE, JOB_TYPE, zJobFile } from '../core/bundle.ts'
import { runQuery } from './client-schemas.ts'
import { jobId, problemDocument, taskRef } from './values.ts'

const bytes = z.unknown().meta({ description: 'Bytes of any content type' })
const failure = {
  description: 'What failed and what to do about it',
  content: { [PROBLEM_TYPE]: { schema: problemDocument } },
}

export function openapiDocument(): ReturnType<typeof createDocument> {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'MECA Node',
      version: '1',
      description:
        'One node of the marketplace. Calls that take long tell their progress to callers that accept application/x-ndjson.',
    },
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    paths: { ...jsonPaths(), ...bytePaths(), '/v1/openapi.json': { get: documentItself } },
  })
}

function jsonPaths(): ZodOpenApiPathsObject {
  const paths: ZodOpenApiPathsObject = {}
  for (const call of Object.values(CALLS)) {
    paths[call.path] = { ...paths[call.path], [call.method.toLowerCase()]: operationOf(call) }
  }
  return paths
}

function operationOf(
  call: Pick<Call, 'id' | 'summary' | 'params' | 'query' | 'body' | 'answer' | 'streams'>,
): ZodOpenApiOperationObject {
  const lines = call.streams ? { [LINES_TYPE]: { schema: z.string() } } : {}
  return {
    operationId: call.id,
    summary: call.summary,
    requestParams: { path: call.params, query: call.query },
    ...(call.body === undefined ? {} : { requestBody: { content: { 'application/json': { schema: call.body } } } }),
    responses: {
      '200': { description: 'Done', content: { 'application/json': { schema: call.answer }, ...lines } },
      default: failure,
    },
  }
}

function bytePaths(): ZodOpenApiPathsObject {
  return { '/v1/tasks/{task}/run': { post: runOperation }, '/v1/jobs/{job}/output': { get: outputOperation } }
}

const resultHeaders = z.object({
  'X-Meca-Job': jobId,
  'X-Meca-Host': z.string(),
  'X-Meca-Price': z.string().meta({ description: 'What was billed in all, in the smallest unit' }),
  'X-Meca-Status': z.string().optional().meta({ description: "The task's own HTTP status" }),
  'X-Meca-Receipt': z.string(),
  'X-Meca-Output-Hash': z.string(),
  'X-Meca-Phases': z.string().meta({ description: 'JSON: milliseconds of each phase' }),
  'X-Meca-Warm': z.string(),
  'X-Meca-Replayed': z.string().optional().meta({ description: 'Set where the job had run before' }),
})
const theOutput = { description: "The task's output", headers: resultHeaders, content: { '*/*': { schema: bytes } } }

const runOperation: ZodOpenApiOperationObject = {
  operationId: 'run',
  summary: "Runs a task: its input as body, its output as answer. The task's own 4xx and 5xx come with X-Meca-Status",
  requestParams: {
    path: z.object({ task: taskRef }),
    query: runQuery,
    header: z.object({
      'Idempotency-Key': jobId.optional(),
      'X-Meca-Max-Price': z.string().optional(),
      'X-Meca-Max-Seconds': z.string().optional(),
      'X-Meca-Host': z.string().optional(),
      'X-Meca-Runtime': z.string().optional(),
    }),
  },
  requestBody: {
    description:
      'Of an http task, its request. Of a files task, a bundle: a tar that begins with job.json and holds inputs/NAME; or that job.json alone, where no file is needed',
    content: { '*/*': { schema: bytes }, [BUNDLE_TYPE]: { schema: bytes }, [JOB_TYPE]: { schema: zJobFile.partial() } },
  },
  responses: { '200': theOutput, default: failure },
}

const outputOperation: ZodOpenApiOperationObject = {
  operationId: 'output',
  summary: 'The output of a job that ended',
  requestParams: { path: z.object({ job: jobId }) },
  responses: { '200': theOutput, default: failure },
}

const documentItself: ZodOpenApiOperationObject = {
  operationId: 'openapi',
  summary: 'This document',
  responses: { '200': { description: 'OpenAPI 3.1', content: { 'application/json': { schema: z.unknown() } } } },
}
