/** A small checkout in a temporary folder: the real scripts and lock file, the real packages by a link, tests of our own. */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export const ROOT = join(import.meta.dirname, '..', '..')

/** Nothing listens there, so that no test of the set-up depends on this machine's engine. */
const NO_ENGINE = 'unix:///nowhere/docker.sock'

export type Ended = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }

export class Checkout {
  readonly folder = mkdtempSync(join(tmpdir(), 'meca-house-'))

  constructor({ packages }: { packages: boolean }) {
    for (const name of ['scripts', 'package.json', 'package-lock.json', '.npmrc']) {
      cpSync(join(ROOT, name), join(this.folder, name), { recursive: true })
    }
    if (packages) symlinkSync(join(ROOT, 'node_modules'), join(this.folder, 'node_modules'))
  }

  write(path: string, text: string): string {
    const file = join(this.folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    return file
  }

  bootstrap(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
    return new Running(process.execPath, [join(this.folder, 'scripts', 'bootstrap.mjs'), ...args], this.folder, {
      DOCKER_HOST: NO_ENGINE,
      ...env,
    })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class Running {
  readonly ended: Promise<Ended>
  readonly #child
  readonly #waiters: { text: string; resolve: () => void }[] = []
  #stdout = ''
  #stderr = ''

  constructor(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
    // An inner test runner that sees this variable reports to the outer one instead of printing; PATH is emptied.
    const clean = { ...process.env, NODE_TEST_CONTEXT: undefined, PATH: '/nowhere', ...env }
    this.#child = spawn(program, args, { cwd, env: clean, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => this.#heard((this.#stdout += text)))
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code, signal) => resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr }))
    })
  }

  /** Resolves when stdout contains the text. */
  async says(text: string): Promise<void> {
    if (this.#stdout.includes(text)) return
    await new Promise<void>((resolve) => this.#waiters.push({ text, resolve }))
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  #heard(stdout: string): void {
    for (const { text, resolve } of this.#waiters) if (stdout.includes(text)) resolve()
  }
}
