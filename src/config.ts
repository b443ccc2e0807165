/**
 * The settings of one process, and the only place that reads the environment. A setting is taken from the first of:
 * flag, MECA_* variable, the file named by --config, ./meca.yml, config.yml in the home folder, config/default.yml.
 * Where each value came from, and what it hid, is kept for `explain`. A wrong value or an unknown name stops the start.
 */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { MecaError } from './core/errors.ts'
import { armFailpoints } from './failpoint.ts'
import { PATHS, SECRETS, SETTINGS, zConfig } from './settings.ts'
import type { Config } from './settings.ts'

export type { Config } from './settings.ts'

/** What a value was, and where it stood; `hidden` are the places that it won over. */
export type Explained = { key: string; value: unknown; origin: string; hidden: { origin: string; value: unknown }[] }

export type Secrets = {
  /** Opens the node's keys; undefined where nothing was said and a person has to be asked. */
  password: string | undefined
}

export type Loaded = { config: Config; secrets: Secrets; explain(key?: string): Explained[] }

export type ConfigSources = {
  /** By key, like `chain.rpc`; undefined values count as not given. */
  flags?: Readonly<Record<string, unknown>>
  /** A further file, stronger than ./meca.yml. */
  file?: string | undefined
  env?: NodeJS.ProcessEnv
  cwd?: string
}

/** One place where settings stand: raw values by key. */
type Layer = { origin: (key: string) => string; base: string; values: Map<string, unknown> }

const DEFAULTS = join(import.meta.dirname, '..', 'config', 'default.yml')

/** Variables that are no settings. MECA_TEST_* belong to the test runner. */
const OTHER_VARIABLES = /^MECA_(PASSWORD|PASSWORD_FILE|FAILPOINTS|TEST_[A-Z_]+)$/

/** Throws `bad_config` with the name of the setting, where it stood, and what it must be. */
export function loadConfig(sources: ConfigSources = {}): Loaded {
  const { env = process.env, cwd = process.cwd() } = sources
  const given = [flagLayer(sources.flags ?? {}, cwd), envLayer(env, cwd)]
  if (sources.file !== undefined) given.push(fileLayer(resolve(cwd, sources.file), true))
  given.push(fileLayer(join(cwd, 'meca.yml'), false))
  const defaults = fileLayer(DEFAULTS, true)
  const home = String(pick('home', [...given, defaults]).value)
  const layers = [...given, fileLayer(join(home, 'config.yml'), false), defaults]
  arm(env)
  return {
    config: assemble(layers),
    secrets: { password: readPassword(env, cwd) },
    explain: (key) => explain(key === undefined ? [...SETTINGS.keys()] : [known(key, 'the question')], layers),
  }
}

/** `chain.pollMs` → `MECA_CHAIN_POLL_MS`. */
export function variableOf(key: string): string {
  return `MECA_${key.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`
}

/** What a process that we start may see of our environment: nothing that is a setting or a secret of this one. */
export function inheritedEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'DOCKER_HOST', 'NO_COLOR']
  return Object.fromEntries(Object.entries(env).filter(([name]) => kept.includes(name)))
}

function flagLayer(flags: Readonly<Record<string, unknown>>, cwd: string): Layer {
  const values = new Map(
    Object.entries(flags).filter(([key, value]) => value !== undefined && known(key, 'a flag') !== ''),
  )
  return { origin: (key) => `flag for ${key}`, base: cwd, values }
}

function envLayer(env: NodeJS.ProcessEnv, cwd: string): Layer {
  const keys = new Map([...SETTINGS.keys()].map((key) => [variableOf(key), key]))
  for (const name of Object.keys(env)) {
    if (name.startsWith('MECA_') && !keys.has(name) && !OTHER_VARIABLES.test(name))
      throw unknown(name, 'the environment', [...keys.keys()])
  }
  const values = new Map<string, unknown>()
  const docker = env.DOCKER_HOST ?? ''
  if (docker !== '') values.set('engine.socket', docker)
  for (const [name, key] of keys) if ((env[name] ?? '') !== '') values.set(key, env[name])
  const origin = (key: string) =>
    key === 'engine.socket' && values.get(key) === docker ? 'DOCKER_HOST' : variableOf(key)
  return { origin, base: cwd, values }
}

function fileLayer(path: string, required: boolean): Layer {
  const text = readText(path, required)
  const document = parseDocument(text, { intAsBigInt: true })
  const problem = document.errors[0]
  if (problem !== undefined)
    throw new MecaError('bad_config', `${path} is not YAML: ${problem.message}`, {
      cause: problem,
      cure: 'mend the file',
    })
  const values = new Map<string, unknown>()
  flatten(document.toJS({ maxAliasCount: 100 }) ?? {}, '', path, values)
  return { origin: () => path, base: dirname(path), values }
}

function readText(path: string, required: boolean): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
    if (missing && !required) return ''
    throw new MecaError('bad_config', `The file ${path} cannot be read`, {
      cause: error,
      cure: 'check the name and the permissions',
    })
  }
}

/** Nested names become keys; what stands under a key that is a setting is its value, whatever its form. */
function flatten(value: unknown, prefix: string, path: string, into: Map<string, unknown>): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MecaError('bad_config', `${prefix === '' ? 'The top' : prefix} in ${path} must be a group of settings`, {
      cure: 'compare with config/default.yml',
    })
  }
  for (const [name, inner] of Object.entries(value)) {
    const key = prefix === '' ? name : `${prefix}.${name}`
    if (SETTINGS.has(key)) into.set(key, inner)
    else if ([...SETTINGS.keys()].some((setting) => setting.startsWith(`${key}.`))) flatten(inner, key, path, into)
    else throw unknown(key, path, [...SETTINGS.keys()])
  }
}

function assemble(layers: readonly Layer[]): Config {
  const nested: Record<string, unknown> = {}
  const groups = new Map<string, Record<string, unknown>>()
  for (const key of SETTINGS.keys()) {
    const { raw } = pick(key, layers)
    const [first = '', second] = key.split('.')
    if (second === undefined) nested[first] = raw
    else {
      const group = groups.get(first) ?? {}
      group[second] = raw
      groups.set(first, group)
    }
  }
  return zConfig.parse({ ...nested, ...Object.fromEntries(groups) })
}

type Picked = { value: unknown; raw: unknown; origin: string }

/** The strongest place that names the setting, checked there, so that the message can say which place is wrong. */
function pick(key: string, layers: readonly Layer[]): Picked {
  const layer = layers.find(({ values }) => values.has(key))
  if (layer === undefined)
    throw new MecaError('bad_config', `${key} has no value, not even in ${DEFAULTS}`, { cure: 'restore that file' })
  return check(key, layer)
}

function check(key: string, layer: Layer): Picked {
  const origin = layer.origin(key)
  const raw = PATHS.has(key) ? asPath(layer.values.get(key), layer.base) : layer.values.get(key)
  try {
    return { raw, origin, value: SETTINGS.get(key)?.parse(raw) }
  } catch (error) {
    const shown = SECRETS.has(key) ? 'what it holds' : show(raw)
    throw new MecaError('bad_config', `${key} (${origin}) cannot be ${shown}: ${reason(error)}`, {
      cure: `see ${key} in config/default.yml`,
      details: { key, origin },
    })
  }
}

function explain(keys: readonly string[], layers: readonly Layer[]): Explained[] {
  return keys.map((key) => {
    const [first, ...hidden] = layers
      .filter(({ values }) => values.has(key))
      .map((layer) => check(key, layer))
      .map(({ origin, value }) => ({ origin, value: SECRETS.has(key) ? hide(value) : value }))
    return { key, value: first?.value, origin: first?.origin ?? '', hidden }
  })
}

/** Of an address, the host may be seen; a key may stand before it, in its path or in its query. */
function hide(value: unknown): unknown {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !URL.canParse(value)) return '[hidden]'
  const { protocol, username, password, host, pathname, search, hash } = new URL(value)
  const before = username + password === '' ? '' : '[hidden]@'
  return `${protocol}//${before}${host}${pathname + search + hash === '/' ? '' : '/[hidden]'}`
}

/** Relative to the file that says it; `~` is the user's own folder. */
function asPath(raw: unknown, base: string): unknown {
  if (typeof raw !== 'string' || raw === '') return raw
  const path = raw === '~' || raw.startsWith('~/') ? join(homedir(), raw.slice(1)) : raw
  return isAbsolute(path) ? path : resolve(base, path)
}

function readPassword(env: NodeJS.ProcessEnv, cwd: string): string | undefined {
  const { MECA_PASSWORD: password, MECA_PASSWORD_FILE: file } = env
  if (password !== undefined && password !== '') return password
  return file === undefined || file === '' ? undefined : readText(resolve(cwd, file), true).replace(/\r?\n$/, '')
}

function arm(env: NodeJS.ProcessEnv): void {
  const wrong = armFailpoints(env.MECA_FAILPOINTS ?? '')
  if (wrong !== undefined)
    throw new MecaError('bad_config', `MECA_FAILPOINTS: ${wrong}`, { cure: 'unset it; it is for crash tests only' })
}

function known(key: string, where: string): string {
  if (!SETTINGS.has(key)) throw unknown(key, where, [...SETTINGS.keys()])
  return key
}

function unknown(name: string, where: string, all: readonly string[]): MecaError {
  const squeeze = (text: string) =>
    text
      .replace(/^MECA_/, '')
      .toLowerCase()
      .replace(/[^a-z]/g, '')
  const near = all.find((other) => squeeze(other).endsWith(squeeze(name.split('.').at(-1) ?? name)))
  return new MecaError('bad_config', `There is no setting ${name} (${where})`, {
    cure: near === undefined ? 'see config/default.yml for all of them' : `did you mean ${near}?`,
    details: { name, where },
  })
}

function reason(error: unknown): string {
  if (error instanceof z.ZodError)
    return error.issues.map(({ path, message }) => [...path.map(String), message].join(': ')).join('; ')
  return error instanceof Error ? error.message : String(error)
}

function show(raw: unknown): string {
  const text = JSON.stringify(raw, (_key, v: unknown) => (typeof v === 'bigint' ? v.toString() : v)) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
