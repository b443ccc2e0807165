/**
 * Switches the contracts' defences off, one at a time, in a copy of the tree, and runs forge on each: a mutant that no
 * test notices is a hole in the tests, and the exit code says so. `node scripts/contracts-mutants.ts [FIRST [LAST]]`.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findForge } from './contracts.ts'

const ROOT = join(import.meta.dirname, '..')

/** `from` must stand in the file exactly once; it becomes `to`. */
type Mutant = { name: string; file: 'Channels' | 'Hosts' | 'Tasks'; from: string; to: string }

const MUTANTS: readonly Mutant[] = [
  channels(
    'anybody opens',
    'if (msg.sender != terms.client) revert NotClient(msg.sender, terms.client);\n        id',
    'id',
  ),
  channels('no authority of the client', '_requireSigned(Typed.hashOpen(id, amount), authority, terms.client);', ''),
  channels('a permit that fails is fatal', ' {} catch {}', ' {} catch { revert BadSignature(); }'),
  channels('zero parties', 'terms.signer == address(0) || terms.host == address(0)', 'false'),
  channels('no least delay', 'terms.closeDelay < MIN_CLOSE_DELAY || ', ''),
  channels('no largest delay', ' || terms.closeDelay > MAX_CLOSE_DELAY', ''),
  channels('an id opens twice', 'if (state.deposit != 0) revert AlreadyOpened(id);', ''),
  channels('value is not compared', 'if (msg.value != amount) revert WrongValue(msg.value, amount);', ''),
  channels('value beside a token', 'if (msg.value != 0) revert WrongValue(msg.value, 0);', ''),
  channels(
    'the amount counts, not what arrived',
    'arrived = IERC20(token).balanceOf(address(this)) - before;',
    'arrived = amount + before - before;',
  ),
  channels('empty deposits', 'if (arrived == 0) revert NothingDeposited();', ''),
  channels('no largest deposit', 'if (deposit > type(uint96).max) revert DepositTooLarge(deposit);', ''),
  channels('claims after the end', 'state.closesAt == FINISHED ? 0 : state.deposit', 'state.deposit'),
  channels('anybody claims', 'return msg.sender == HOSTS.payeeOf(host);', 'return true;'),
  channels('payees do not claim', 'return msg.sender == HOSTS.payeeOf(host);', 'return false;'),
  channels('any authority', '_isSigned(Typed.hashClaimer(id, msg.sender), authorities[index], host)', 'true'),
  channels('a host needs a signature to release', 'if (msg.sender != terms.host) _requireSigned', '_requireSigned'),
  channels('older jobs', 'jobs < lane_.jobs || ', ''),
  channels('older host amounts', 'host < hostPaid || ', ''),
  channels('older developer amounts', ' || developer < developerPaid) return', ') return'),
  channels('no signature on vouchers', '!_isSigned(Typed.hashVoucher(id, row), row.signature, terms.signer)', 'false'),
  channels('unknown tasks', 'if (payee == address(0)) return (Skip.UnknownTask, 0);', ''),
  channels('tokens mixed', 'if (fee != 0 && feeToken != token) return (Skip.WrongToken, 0);', ''),
  channels('developers left out', 'developer + developerPaid < jobs * fee', 'false'),
  channels('more than the deposit', 'if (due > left) {', 'if (false) {'),
  channels('rounded down for the developer', '(left * developer + due - 1)', '(left * developer)'),
  channels('host not credited', '_credits[terms.token][terms.host] += hostPaid;', ''),
  channels('developer not credited', 'till.credit = uint128(credited + developer);', ''),
  channels('claims not counted', 'state.claimed += uint96(paid);', ''),
  channels(
    'anybody starts to close',
    'if (msg.sender != terms.client) revert NotClient(msg.sender, terms.client);\n        if',
    'if',
  ),
  channels('a close started again', 'if (state.closesAt != 0) revert AlreadyClosing(state.closesAt);', ''),
  channels('finish without a close', 'state.closesAt == 0 || ', ''),
  channels('finish before the delay', ' || block.timestamp < state.closesAt', ''),
  channels(
    'release before it is claimed',
    'if (state.claimed < claimed) revert ClaimFirst(state.claimed, claimed);',
    '',
  ),
  channels(
    'release without the host',
    'if (msg.sender != terms.host) _requireSigned(Typed.hashRelease(id, claimed), hostSignature, terms.host);',
    '',
  ),
  channels('an end that does not last', 'state.closesAt = FINISHED;', ''),
  channels('a refused refund is lost', 'if (!sent) _credits[terms.token][terms.client] += refund;', ''),
  channels('a refund is sent and credited', 'if (!sent) _credits', '_credits'),
  channels('anybody withdraws anywhere', 'if (msg.sender != payee) revert NotPayee(msg.sender, payee);', ''),
  channels('credit stays after withdrawal', '_credits[token][account] = 0;', ''),
  channels('fees stay after withdrawal', 'till.credit = 0;', ''),
  channels('fees of others', 'if (TASKS.payeeOf(taskIds[i]) != payee) continue;', ''),
  channels(
    'withdraw to the hot key',
    '_withdraw(token, account, HOSTS.payeeOf(account));',
    '_withdraw(token, account, account);',
  ),
  channels(
    'top-up re-entered',
    'uint96 amount) external payable nonReentrant {\n        bytes32 id',
    'uint96 amount) external payable {\n        bytes32 id',
  ),
  channels('zero signs', ' && recovered != address(0)', ''),
  channels(
    'hosts of another market',
    'if (hosts.channels() != address(this)) revert NotPointingHere(address(hosts));',
    '',
  ),
  hosts('the hot key moves the payee', 'if (msg.sender != entry.payee) revert NotPayee(msg.sender, entry.payee);', ''),
  hosts('no delay of the bond', ' || block.timestamp < entry.unbondsAt', ''),
  hosts('the same output slashes', 'first.receipt.outputHash == second.receipt.outputHash', 'false'),
  hosts('other jobs slash', 'first.receipt.jobHash != second.receipt.jobHash ||', ''),
  hosts('unsigned evidence', 'if (_signerOf(second) != host) revert NotSignedByHost(1);', ''),
  hosts('the bond stays after slashing', '(entry.bond, entry.unbondsAt) = (0, 0);\n        rewards', 'rewards'),
  hosts('rewards twice', 'rewards[reporter] = 0;', ''),
  tasks('published twice', 'if (_entries[taskId].payee != address(0)) revert AlreadyPublished(taskId);', ''),
  tasks('one version twice', 'if (_versions[versionKey] != 0) revert VersionTaken(_versions[versionKey]);', ''),
  tasks('anybody moves the payee', 'if (msg.sender != entry.payee) revert NotPayee(msg.sender, entry.payee);', ''),
  tasks('anybody retires', 'if (msg.sender != entry.developer) revert NotDeveloper(msg.sender, entry.developer);', ''),
]

function channels(name: string, from: string, to: string): Mutant {
  return { name, file: 'Channels', from, to }
}

function hosts(name: string, from: string, to: string): Mutant {
  return { name, file: 'Hosts', from, to }
}

function tasks(name: string, from: string, to: string): Mutant {
  return { name, file: 'Tasks', from, to }
}

/** What caught the mutant, or undefined where nothing did. */
function hunt(folder: string, { file, from, to }: Mutant): string | undefined {
  const path = join(folder, `contracts/${file}.sol`)
  const sound = readFileSync(join(ROOT, `contracts/${file}.sol`), 'utf8')
  if (sound.split(from).length !== 2) throw new Error(`does not stand once in ${file}.sol: ${from}`)
  writeFileSync(path, sound.replace(from, to))
  const env = { ...process.env, NODE: process.execPath, FOUNDRY_FUZZ_RUNS: '64', FOUNDRY_INVARIANT_RUNS: '16' }
  const { status, stdout } = spawnSync(findForge() ?? '', ['test'], {
    cwd: folder,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  writeFileSync(path, sound)
  if (/Compil(er run|ation) failed/.test(stdout)) throw new Error(stdout.slice(-2000))
  if (status === 0) return undefined
  const report = stdout.slice(stdout.indexOf('[FAIL'))
  return /\b(?:test|testFuzz|invariant)_\w+/.exec(report)?.[0] ?? 'forge'
}

function copyTree(): string {
  const folder = mkdtempSync(join(tmpdir(), 'meca-mutants-'))
  for (const name of ['contracts', 'foundry.toml', 'scripts', 'test/contracts', 'node_modules/solc']) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  }
  for (const name of ['@openzeppelin', ...SOLC_NEEDS]) {
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
  }
  return folder
}

/** Packages that npm's solc requires. */
const SOLC_NEEDS = ['command-exists', 'commander', 'follow-redirects', 'js-sha3', 'memorystream', 'semver', 'tmp']

if (import.meta.main) {
  const [first = 0, last = MUTANTS.length - 1] = process.argv.slice(2).map(Number)
  const folder = copyTree()
  try {
    for (const [i, mutant] of MUTANTS.entries()) {
      if (i < first || i > last) continue
      const caught = hunt(folder, mutant)
      process.stdout.write(`${i} ${mutant.file}, ${mutant.name}: ${caught ?? 'NOTHING NOTICED'}\n`)
      if (caught === undefined) process.exitCode = 1
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
