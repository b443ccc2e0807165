/**
 * The words that can follow `meca`, in the order of its help. A noun's own file is loaded when the noun is used, so that
 * help and mistakes answer at once.
 */
import type { Command } from 'commander'
import type { Act } from './usage.ts'

export type Noun = { name: string; what: string; load: () => Promise<(command: Command, act: Act) => void> }

const noun = (name: string, what: string, load: Noun['load']): Noun => ({ name, what, load })

export const NOUNS: readonly Noun[] = [
  noun(
    'devnet',
    'a whole market on this machine: chain, contracts, hosts, a developer and a client',
    async () => (await import('./devnet-command.ts')).addDevnet,
  ),
  noun('task', 'make, test and publish tasks; look them up', async () => (await import('./task.ts')).addTask),
  noun(
    'quote',
    'which hosts would run a task for how much; nothing is paid',
    async () => (await import('./quote.ts')).addQuote,
  ),
  noun(
    'run',
    'run a task on the best host, pay for it and print its answer',
    async () => (await import('./run.ts')).addRun,
  ),
  noun('flow', 'workflows: steps that feed each other', async () => (await import('./flow.ts')).addFlow),
  noun('job', 'jobs that this node ran as a client', async () => (await import('./job.ts')).addJob),
  noun('hosts', 'hosts on the market', async () => (await import('./hosts.ts')).addHosts),
  noun('host', 'rent out this machine', async () => (await import('./host.ts')).addHost),
  noun('node', 'keep this node running, with its API', async () => (await import('./node-command.ts')).addNode),
  noun('channel', 'money locked between a client and a host', async () => (await import('./channel.ts')).addChannel),
  noun(
    'claim',
    'collect what clients vouched for (a running host does it by itself, too)',
    async () => (await import('./settle.ts')).addClaim,
  ),
  noun(
    'withdraw',
    "bring this address's credits out of the contract",
    async () => (await import('./settle.ts')).addWithdraw,
  ),
  noun(
    'earnings',
    'what was run, billed, claimed and withdrawn, by day, task or client',
    async () => (await import('./earnings.ts')).addEarnings,
  ),
  noun(
    'reconcile',
    'compare the ledgers with the chain, to the last unit',
    async () => (await import('./settle.ts')).addReconcile,
  ),
  noun('wallet', "this node's keys and balances", async () => (await import('./wallet.ts')).addWallet),
  noun(
    'doctor',
    'check engine, IPFS, chain, clock, peers and disk',
    async () => (await import('./doctor.ts')).addDoctor,
  ),
  noun('config', 'settings and where they come from', async () => (await import('./config.ts')).addConfig),
  noun(
    'version',
    'of this program and of the Node.js that runs it',
    async () => (await import('./version.ts')).addVersion,
  ),
]
