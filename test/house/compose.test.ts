/** docker-compose.yml says what the walls need and what the program understands; running it needs public registries. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config.ts'
import { ROOT } from './checkout.ts'

type Service = {
  privileged?: boolean
  command?: string[]
  environment?: Record<string, string>
  network_mode?: string
  ports?: string[]
  volumes?: string[]
}

const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')
const { services } = parse(text, { merge: true }) as { services: Record<string, Service> }

/** `${NAME:-default}` and `${NAME:?why}` as Compose fills them in when only the password is set. */
function filled(value: string): string {
  return value.replaceAll(/\$\{(\w+):([-?])([^}]*)\}/g, (_all, name: string, kind: string, rest: string) =>
    kind === '-' ? rest : `chosen ${name}`,
  )
}

test('the host service sets only what the program knows, and starts with usable settings', () => {
  const given = Object.entries(services['host']?.environment ?? {}).map(
    ([name, value]) => [name, filled(value)] as const,
  )
  const file = filled(services['host']?.command?.at(-1) ?? '').replace('/meca/', `${ROOT}/`)
  const { config, secrets } = loadConfig({ env: Object.fromEntries(given), file, cwd: ROOT })
  assert.equal(secrets.password, 'chosen MECA_PASSWORD')
  assert.equal(config.ipfs.kind, 'kubo')
  assert.ok(config.host.tariffs.length > 0, 'a host without prices offers nothing')
})

test('only the engine apart is privileged, and nobody gets this machine’s own socket or files', () => {
  const privileged = Object.entries(services).filter(([, service]) => service.privileged === true)
  assert.deepEqual(
    privileged.map(([name]) => name),
    ['engine'],
  )
  const mounts = Object.values(services).flatMap((service) => service.volumes ?? [])
  for (const mount of mounts) assert.match(mount, /^\w+:/, `${mount} is a path of this machine`)
  assert.equal(services['host']?.network_mode, 'service:engine')
})

test('the play chain is published on loopback only, and the API of Kubo not at all', () => {
  assert.deepEqual(services['chain']?.ports, ['127.0.0.1:8545:8545'])
  assert.ok(!services['ipfs']?.ports?.some((port) => port.includes('5001')))
})
