/** Questions to the person at the terminal. Where nobody can be asked, `would_ask` says what to give instead. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { MecaError } from '../core/errors.ts'
import type { Terminal } from './world.ts'

export type Asking = { terminal: Terminal; mayAsk: boolean; signal: AbortSignal }

/** Typed letters are not shown. */
export function askPassword(asking: Asking, question: string): Promise<string> {
  return ask(
    asking,
    question,
    true,
    'set MECA_PASSWORD_FILE or MECA_PASSWORD, or write it to keys/password in the home folder (mode 0600)',
  )
}

export async function confirm(asking: Asking, question: string): Promise<void> {
  const answer = await ask(asking, `${question} [y/N] `, false, 'repeat the command with --yes')
  if (!/^y(es)?$/i.test(answer.trim())) throw new MecaError('cancelled', 'You said no; nothing was done')
}

async function ask(
  { terminal, mayAsk, signal }: Asking,
  question: string,
  hidden: boolean,
  cure: string,
): Promise<string> {
  if (!mayAsk || terminal.stdin.isTTY !== true) {
    throw new MecaError('would_ask', `This needs an answer to: ${question.trim()}`, { cure })
  }
  terminal.stderr.write(question)
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: terminal.stdin, output: hidden ? mute : terminal.stderr, terminal: true })
  try {
    return await new Promise<string>((resolve, reject) => {
      const give = () => reject(new MecaError('cancelled', 'The question was not answered'))
      lines.once('line', resolve).once('close', give).once('SIGINT', give)
      if (signal.aborted) give()
      else signal.addEventListener('abort', give, { once: true })
    })
  } finally {
    lines.close()
    if (hidden) terminal.stderr.write('\n')
  }
}
