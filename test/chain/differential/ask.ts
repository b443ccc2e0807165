/** Many eth_calls in one HTTP request, on a chain of our own, which answers each with a result or the bytes of a revert. */
import type { Hex } from '../../../src/core/units.ts'

export type Call = { from?: Hex; to: Hex; data: Hex; value?: Hex }
/** `code`: for this call alone, the account at this address has this code. */
export type Question = Call & { code?: { at: Hex; is: Hex } }
/** The returned bytes, or `revert` with those of the revert (`0x` where it gave none). */
export type Reply = { result: Hex } | { revert: Hex }

/** Keeps a request well below the node's 2 MiB. */
const AT_ONCE = 200

export async function askAll(url: string, questions: readonly Question[]): Promise<Reply[]> {
  const replies: Reply[] = []
  for (let i = 0; i < questions.length; i += AT_ONCE) replies.push(...(await ask(url, questions.slice(i, i + AT_ONCE))))
  return replies
}

type Answer = { id: number; result?: Hex; error?: { message: string; data?: Hex } }

async function ask(url: string, questions: readonly Question[]): Promise<Reply[]> {
  const body = questions.map(({ code, ...call }, id) => {
    const override = code === undefined ? [] : [{ [code.at]: { code: code.is } }]
    return { jsonrpc: '2.0', id, method: 'eth_call', params: [call, 'latest', ...override] }
  })
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const answers = (await response.json()) as Answer[]
  const byId = new Map(answers.map((answer) => [answer.id, answer]))
  return questions.map((_, id) => read(byId.get(id)))
}

function read(answer: Answer | undefined): Reply {
  if (answer?.result !== undefined) return { result: answer.result }
  const { message = 'no answer', data } = answer?.error ?? {}
  if (!/revert/i.test(message)) throw new Error(`the chain gave no verdict: ${message}`)
  return { revert: data ?? '0x' }
}
