/** The fences of eslint.config.js hold: each line below is an arrow that must not be drawn, beside one that may. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { ESLint } from 'eslint'
import tseslint from 'typescript-eslint'
import { ROOT } from './checkout.ts'

// The texts are in no project, so the rules that need types stay out; fences need none.
const eslint = new ESLint({
  cwd: ROOT,
  overrideConfig: [
    { ...tseslint.configs.disableTypeChecked, files: ['**/*.ts'] },
    { files: ['**/*.ts'], languageOptions: { parserOptions: { projectService: false, project: false } } },
  ],
})

const FENCES = new Set(['@typescript-eslint/no-restricted-imports', 'no-restricted-syntax', 'no-restricted-properties'])

async function fencesHit(file: string, code: string): Promise<number> {
  const [result] = await eslint.lintText(`${code}\n`, { filePath: join(ROOT, file) })
  assert.equal(result?.fatalErrorCount, 0, JSON.stringify(result?.messages))
  return result?.messages.filter(({ ruleId }) => FENCES.has(ruleId ?? '')).length ?? 0
}

const MAY: [string, string][] = [
  ['src/core/x.ts', `import { z } from 'zod'`],
  ['src/core/x.ts', `import { createHash } from 'node:crypto'`],
  ['src/chain/x.ts', `import { ethers } from 'ethers'`],
  ['src/chain/x.ts', `import { MecaError } from '../core/errors.ts'`],
  ['src/chain/x.ts', `import { createLog } from '../log.ts'`],
  ['src/role/x.ts', `import type { Engine } from '../engine/engine.ts'`],
  ['src/role/x.ts', `import type { Logger } from 'pino'`],
  ['src/node.ts', `import { openBase } from './wiring/base.ts'`],
  ['src/main.ts', `import { createNode } from './node.ts'`],
  ['src/config.ts', `export const x = process.env['X']`],
  ['src/store/x.ts', `export const x = Date.now()`],
  ['src/core/x.ts', `export const x = (ms: number) => new Date(ms)`],
]

const MUST_NOT: [string, string][] = [
  ['src/core/x.ts', `import { readFile } from 'node:fs/promises'`],
  ['src/core/x.ts', `import { randomBytes } from 'node:crypto'`],
  ['src/core/x.ts', `import { x } from '../task/package.ts'`],
  ['src/core/x.ts', `export const x = Date.now()`],
  ['src/core/x.ts', `export const x = new Date()`],
  ['src/task/x.ts', `export const x = Math.random()`],
  ['src/task/x.ts', `import type { Engine } from '../engine/engine.ts'`],
  ['src/chain/x.ts', `import Docker from 'dockerode'`],
  ['src/engine/x.ts', `import { ethers } from 'ethers'`],
  ['src/engine/x.ts', `import { x } from '../chain/wallet.ts'`],
  ['src/p2p/x.ts', `import { x } from '../ipfs/store.ts'`],
  ['src/role/x.ts', `import { DockerEngine } from '../engine/docker.ts'`],
  ['src/role/x.ts', `import { ethers } from 'ethers'`],
  ['src/role/x.ts', `import { pino } from 'pino'`],
  ['src/log.ts', `import { x } from './wiring/base.ts'`],
  ['src/cli/x.ts', `import { x } from '../wiring/base.ts'`],
  ['src/log.ts', `import { x } from './node.ts'`],
  ['src/http/x.ts', `import { x } from '../node.ts'`],
  ['src/http/x.ts', `export const x = process.env['X']`],
]

for (const [file, code] of MAY) {
  test(`${file} may: ${code}`, async () => assert.equal(await fencesHit(file, code), 0))
}

for (const [file, code] of MUST_NOT) {
  test(`${file} must not: ${code}`, async () => assert.ok((await fencesHit(file, code)) > 0))
}
