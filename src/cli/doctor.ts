/**
 * `meca doctor`: what is wrong with this node, each finding with its cure. The exit code names the first error's kind:
 * 7 the engine, 6 chain, peers or content, 5 money in danger, 2 anything else; 0 where there is no error. It never asks for a password.
 */
import type { Command } from 'commander'
import type { Loaded } from '../config.ts'
import { asMecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { DoctorReport, NodeApi } from '../role/api.ts'
import type { Context } from './context.ts'
import { useThenClose } from './home-node.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

type Finding = DoctorReport['findings'][number]

export function addDoctor(doctor: Command, act: Act): void {
  doctor.action(act(examine))
  examples(doctor, [
    ['meca doctor', 'every finding with its cure'],
    ['meca doctor --json', 'the same for programs'],
  ])
}

/** A running node examines itself. Where none runs, what needs no node comes first, and a node only if it can be had. */
async function examine(context: Context): Promise<number> {
  const daemon = await context.daemon()
  if (daemon !== undefined) return useThenClose(daemon, (api) => ask(context, api), context.signal)
  const loaded = await context.settings()
  const offline = await context.world.doors.checkUp(loaded, context.signal)
  return show(context, offline.ok ? await withNode(context, loaded, offline) : offline)
}

async function ask(context: Context, api: NodeApi): Promise<number> {
  return show(context, await api.doctor(context.signal))
}

/** Nobody is asked for a password: a locked wallet is a finding. */
async function withNode(context: Context, loaded: Loaded, offline: DoctorReport): Promise<DoctorReport> {
  const { doors } = context.world
  try {
    const node = await doors.openNode(loaded, { role: 'node', daemon: false }, context.signal)
    return await useThenClose(node, (api) => api.doctor(context.signal), context.signal)
  } catch (error) {
    if (context.signal.aborted) throw error
    const { code, message, cure } = asMecaError(error)
    const locked = code === 'would_ask'
    const finding: Finding = {
      what: locked ? 'password' : 'node',
      ok: locked,
      level: locked ? 'warning' : 'error',
      detail: locked ? `${message}, so peers, balance and records were not examined` : message,
      ...(cure === undefined ? {} : { cure }),
    }
    return { ok: locked, findings: [...offline.findings, finding] }
  }
}

function show(context: Context, report: DoctorReport): number {
  const text = report.findings.map(({ what, level, detail, cure }) => {
    const mark = {
      ok: context.output.paint('green', 'ok     '),
      warning: context.output.paint('yellow', 'warning'),
      error: context.output.paint('red', 'error  '),
    }[level]
    return `${mark} ${printable(`${what}: ${detail}`)}${cure === undefined ? '' : `\n        do: ${printable(cure)}`}`
  })
  context.output.result({ json: report, text: text.join('\n') })
  return exitOf(report)
}

function exitOf({ ok, findings }: DoctorReport): number {
  if (ok) return 0
  const first = findings.find(({ level }) => level === 'error')?.what ?? ''
  if (/engine|docker/i.test(first)) return 7
  if (first === 'money') return 5
  return /chain|ipfs|peer|p2p|contract/i.test(first) ? 6 : 2
}
