/** `meca doctor`: what is wrong with this node, each finding with its cure. The exit code names the first error's kind. */
import type { Command } from 'commander'
import type { DoctorReport } from '../role/api.ts'
import type { Context } from './context.ts'
import { printable } from '../core/text.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addDoctor(doctor: Command, act: Act): void {
  doctor.action(act(examine))
  examples(doctor, [
    ['meca doctor', 'every finding with its cure'],
    ['meca doctor --json', 'the same for programs'],
  ])
}

function examine(context: Context): Promise<number> {
  return context.withApi(async (api) => {
    const report = await api.doctor(context.signal)
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
  })
}

function exitOf({ ok, findings }: DoctorReport): number {
  if (ok) return 0
  const first = findings.find(({ level }) => level === 'error')?.what ?? ''
  if (/engine|docker/i.test(first)) return 7
  return /chain|ipfs|peer|p2p|contract/i.test(first) ? 6 : 2
}
