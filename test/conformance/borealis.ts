/** Cases of Borealis' DockerTask (task-contracts.md 4.8): the reference's own integration tasks, written for a shell instead of Python. */
import assert from 'node:assert/strict'
import { borealis } from '../../src/task/borealis.ts'
import type { FilesJob } from '../../src/task/format.ts'
import { failure } from '../support/engine.ts'
import { refused } from './case.ts'
import type { Case } from './case.ts'
import type { Done, Settings, Stage, What } from './stage.ts'

const MIB = 2 ** 20

type Change = Readonly<Record<string, unknown>>

function record(name: string, change: Change): string {
  return JSON.stringify({
    name,
    image: 'busybox',
    command: ['true'],
    internal_prefix: '/tmp/',
    storage_prefix: 'bucket/WCM/run/',
    outputs: [],
    timeout: 30,
    ...change,
  })
}

/** A shell's script as the command, in an image without an ENTRYPOINT. */
async function sh(
  stage: Stage,
  name: string,
  script: string,
  change: Change = {},
  what: What = {},
  settings: Settings = {},
): Promise<Done> {
  const image = await stage.image('plain', {}, ['CMD ["false"]'])
  return stage.run(borealis, record(name, { command: ['sh', '-c', script], ...change }), image, what, settings)
}

function succeeded({ verdict, console }: Done): void {
  assert.equal(verdict.status, 'answered', `${verdict.problem?.message}: ${console}`)
}

/** The `>>` log, under whatever time it has in its name. */
function logOf({ outputs }: Done): string {
  return Object.entries(outputs).find(([path]) => path.endsWith('.log'))?.[1] ?? assert.fail('no log was stored')
}

/** Everything that is stored but logs. */
function stored({ outputs }: Done): string[] {
  return Object.keys(outputs).filter((path) => !path.endsWith('.log'))
}

const LOG = (name: string) => `>>/tmp/logs/${name}.log`
const LINES = 'for i in 0 1 2 3 4 5 6 7 8 9; do echo "This is line $i" >> /tmp/lines.txt; echo; echo "line $i"; done'
const TEN = Array.from({ length: 10 }, (_, i) => `This is line ${i}\n`).join('')

/** Refused before the start. */
function refusedPlan(
  stage: Stage,
  name: string,
  change: Change,
  words: RegExp,
  code: 'bad_input' | 'invalid_task',
  what: What = {},
) {
  return refused(code, words, () => stage.plan(borealis, record(name, change), what))
}

export const BOREALIS: readonly Case[] = [
  {
    id: 'B-01',
    title: 'lines: the file that was written is stored, and the log has the console',
    async run(stage) {
      const done = await sh(stage, 'lines', LINES, { outputs: [LOG('lines'), '/tmp/lines.txt'] })
      succeeded(done)
      assert.equal(done.outputs['lines.txt'], TEN)
      assert.match(logOf(done), /\n\nline 9\n/)
    },
  },
  {
    id: 'B-02',
    title: 'count: an input is read where the task expects it',
    async run(stage) {
      const change = { inputs: ['/tmp/lines.txt'], outputs: [LOG('count')] }
      const done = await sh(stage, 'count', 'wc /tmp/lines.txt', change, { files: { 'lines.txt': TEN } })
      succeeded(done)
      assert.match(logOf(done), /^ *10 +40 +\d+ \/tmp\/lines\.txt$/m)
    },
  },
  {
    id: 'B-03',
    title: 'a > capture is the console and nothing else',
    async run(stage) {
      const change = { inputs: ['/tmp/lines.txt'], outputs: ['>/tmp/count.txt'] }
      const done = await sh(stage, 'count', 'wc -l < /tmp/lines.txt', change, { files: { 'lines.txt': TEN } })
      succeeded(done)
      assert.deepEqual(done.outputs, { 'count.txt': '10\n' })
    },
  },
  { id: 'B-04', title: 'a missing file: the run fails with its exit code, > is not stored and >> is', run: noSuchFile },
  {
    id: 'B-05',
    title: 'what the program says of its failure is in the log',
    async run(stage) {
      const script = 'echo begin; echo "IndexError: list index out of range" >&2; exit 1'
      const done = await sh(stage, 'index', script, { outputs: ['>/tmp/index.txt', LOG('index')] })
      assert.match(done.verdict.problem?.message ?? '', /exit code 1/)
      assert.match(logOf(done), /IndexError: list index out of range/)
      assert.deepEqual(stored(done), [])
    },
  },
  {
    id: 'B-06',
    title: 'a task whose input was never produced is never started',
    run: (stage) => refusedPlan(stage, 'never', { inputs: ['/tmp/never-made.txt'] }, /never-made\.txt/, 'bad_input'),
  },
  {
    id: 'B-07',
    title: 'a folder output holds its four files, and is nobody’s to clean up',
    async run(stage) {
      const script =
        'cd /tmp/output/dir; for i in 1 2 3 4; do echo $i > $i.txt; done; chmod 000 1.txt; mkdir sub; chmod 000 sub'
      const done = await sh(stage, 'output_dir', script, { outputs: ['/tmp/output/dir/'] })
      succeeded(done)
      const files = Object.entries(done.outputs).filter(([path]) => path.endsWith('.txt'))
      assert.deepEqual(Object.fromEntries(files), {
        'output--dir/1.txt': '1\n',
        'output--dir/2.txt': '2\n',
        'output--dir/3.txt': '3\n',
        'output--dir/4.txt': '4\n',
      })
      assert.deepEqual(await stage.left(), [])
    },
  },
  {
    id: 'B-08',
    title: 'overwrite: an input may be appended to, and the caller’s copy stays as it was',
    async run(stage) {
      const script = 'cd /tmp/output/dir; ls; echo more >> 1.txt; cat 1.txt'
      const change = { inputs: ['/tmp/output/dir/'], outputs: ['>/tmp/overwrite.txt'] }
      const files = { 'output--dir/1.txt': 'one\n', 'output--dir/2.txt': 'two\n' }
      const done = await sh(stage, 'overwrite', script, change, { files })
      succeeded(done)
      assert.deepEqual(done.outputs, { 'overwrite.txt': '1.txt\n2.txt\none\nmore\n' })
    },
  },
  {
    id: 'B-09',
    title: 'a task that takes too long failed for its time, and not for memory, and keeps its log',
    differs: 'the kill comes at once, not 10 s after a SIGTERM: nobody pays for the grace',
    async run(stage) {
      const done = await sh(stage, 'timeout', 'trap "" TERM; echo begin; while true; do sleep 1; done', {
        timeout: 2,
        outputs: ['>/tmp/x.txt', LOG('timeout')],
      })
      timedOut(done)
      assert.match(logOf(done), /begin\n[^]*Docker process timeout/)
      assert.deepEqual(stored(done), [])
    },
  },
  {
    id: 'B-10',
    title: 'a task that needs more memory than it has failed for that, with 137',
    async run(stage) {
      const settings = { resources: { memoryBytes: 64 * MIB } }
      const done = await sh(
        stage,
        'memory',
        'exec dd if=/dev/zero of=/dev/null bs=500M count=1',
        { outputs: [LOG('memory')] },
        {},
        settings,
      )
      assert.deepEqual([done.end.exitCode, done.end.outOfMemory], [137, true])
      assert.match(done.verdict.problem?.message ?? '', /out of memory/)
      assert.match(logOf(done), /OUT-OF-MEMORY/)
    },
  },
  {
    id: 'B-11',
    title: 'a task that would exit 0 on SIGTERM has timed out all the same',
    differs: 'the reference may report success: it decides after the stop, we before the kill',
    async run(stage) {
      const script = 'trap "exit 0" TERM; while true; do sleep 0.1; done'
      timedOut(await sh(stage, 'polite', script, { timeout: 2, outputs: [LOG('polite')] }))
    },
  },
  {
    id: 'B-12',
    title: 'a task has the numbers of its worker',
    differs:
      'a worker that is root gives nobody’s numbers: files come and go through the engine, and root helps only an escape',
    async run(stage) {
      const numbers = async (worker: FilesJob['worker']) =>
        (await sh(stage, 'id', 'id -u; id -g; echo $HOME', {}, {}, { worker })).console
      assert.equal(await numbers({ uid: 1234, gid: 2345 }), '1234\n2345\n/\n')
      assert.equal(await numbers({ uid: 0, gid: 0 }), '65534\n65534\n/\n')
    },
  },
  {
    id: 'B-13',
    title: 'the ENTRYPOINT of the image stays, the command is its arguments',
    async run(stage) {
      const image = await stage.image('echo', {}, ['ENTRYPOINT ["/bin/echo"]', 'CMD ["b"]'])
      assert.equal((await stage.run(borealis, record('echo', { command: ['a'] }), image)).console, 'a\n')
    },
  },
  {
    id: 'B-14',
    title: 'a command in one string is split as a shell quotes, and no shell runs it',
    async run(stage) {
      const image = await stage.image('plain', {}, ['CMD ["false"]'])
      const quoted = record('quoted', { command: `sh -c "echo 'x y' > /tmp/o"`, outputs: ['/tmp/o'] })
      const done = await stage.run(borealis, quoted, image)
      succeeded(done)
      assert.equal(done.outputs['o'], 'x y\n')
      const bare = await stage.run(borealis, record('bare', { command: 'echo $HOME; id' }), image)
      assert.equal(bare.console, '$HOME; id\n')
    },
  },
  {
    id: 'B-15',
    title: 'a path outside the prefix is refused before the start',
    run: (stage) => refusedPlan(stage, 'escape', { outputs: ['/etc/passwd'] }, /\/etc\/passwd|outside/, 'invalid_task'),
  },
  {
    id: 'B-16',
    title: 'a capture of a folder is refused',
    run: (stage) => refusedPlan(stage, 'capture', { outputs: ['>/tmp/dir/'] }, /capture/, 'invalid_task'),
  },
  {
    id: 'B-17',
    title: 'an input that is not there is told by its name',
    differs: 'refused before the start and before payment; the reference runs the container on an empty file',
    run: (stage) => refusedPlan(stage, 'fetch', { inputs: ['/tmp/a/missing.txt'] }, /missing\.txt/, 'bad_input'),
  },
  {
    id: 'B-18',
    title: 'an input folder of nothing is an empty folder, and the task runs',
    async run(stage) {
      const done = await sh(stage, 'empty', 'ls -A /tmp/kb | wc -l', { inputs: ['/tmp/kb/'] })
      succeeded(done)
      assert.equal(done.console, '0\n')
    },
  },
  {
    id: 'B-19',
    title: 'an image that does not exist fails, and leaves no container',
    async run(stage) {
      await failure('not_found', stage.run(borealis, record('none', {}), `sha256:${'0'.repeat(64)}`))
      assert.deepEqual(await stage.left(), [])
    },
  },
  {
    id: 'B-20',
    title: 'a console that is not UTF-8 changes no verdict, and is stored byte for byte',
    differs: 'the reference breaks off without a log',
    async run(stage) {
      const done = await sh(stage, 'latin', 'printf "caf\\351\\n"', { outputs: ['>/tmp/said.txt', LOG('latin')] })
      succeeded(done)
      assert.deepEqual(done.bytes.get('said.txt'), Buffer.from('caf\xe9\n', 'latin1'))
      assert.ok(logOf(done).includes('caf'))
    },
  },
]

async function noSuchFile(stage: Stage): Promise<void> {
  const done = await sh(stage, 'no_such', 'cat /tmp/no-such-file', { outputs: ['>/tmp/no_such.txt', LOG('no_such')] })
  assert.equal(done.verdict.status, 'task_failed')
  assert.match(done.verdict.problem?.message ?? '', /exit code 1/)
  assert.match(logOf(done), /FAILED TASK: no_such/)
  assert.deepEqual(stored(done), [])
}

function timedOut({ verdict, end }: Done): void {
  assert.deepEqual([end.killedFor, end.outOfMemory], ['time limit', false])
  assert.equal(verdict.status, 'task_failed')
  assert.equal(verdict.problem?.code, 'run_timeout')
  assert.doesNotMatch(verdict.problem.message, /memory/)
}
