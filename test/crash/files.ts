/** A task with files for the crash runs: it takes its time and copies some megabytes, so that there is a middle of everything. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packBundle } from '../../src/bundle/write.ts'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import type { NodeApi } from '../../src/role/api.ts'
import { FEE } from '../e2e/tasks.ts'

const INPUT_BYTES = 3_000_000

const COPIER = {
  name: 'copier',
  image: 'any',
  timeout: 30,
  storage_prefix: 'bucket/run',
  internal_prefix: '/tmp/',
  inputs: ['/tmp/in.bin'],
  outputs: ['/tmp/out.bin'],
  command: ['sh', '-c', 'sleep 0.3; cp /tmp/in.bin /tmp/out.bin; echo copied'],
  resources: { limits: { cpu: 0.25, memory: '64Mi' } },
}

/** Resolves to its CID. */
export async function publishCopier(developer: NodeApi, signal: AbortSignal): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'meca-copier-'))
  try {
    await writeFile(join(dir, 'Dockerfile'), 'ARG BASE\nFROM ${BASE}\n')
    await writeFile(join(dir, 'docker-task.json'), JSON.stringify(COPIER))
    const options = { fee: FEE, skipTest: true, buildArgs: { BASE: 'meca-base/busybox' } }
    return (await developer.developer.publish(dir, options, () => undefined, signal)).cid
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** A job's bundle, different for each id. */
export async function copierInput(id: string, keepOnIpfs: boolean): Promise<Buffer> {
  const bytes = Buffer.alloc(INPUT_BYTES, `${id} is copied\n`)
  const text = JSON.stringify({ ...NO_PARAMETERS, files: { 'in.bin': 'file' }, keepOnIpfs })
  const entries = [{ path: 'inputs/in.bin', bytes: bytes.length, body: () => [bytes] }]
  const chunks: Uint8Array[] = []
  for await (const chunk of packBundle({ path: 'job.json', text }, entries)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
