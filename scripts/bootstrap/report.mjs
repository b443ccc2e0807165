/**
 * What the set-up tells: one line a step with its time on stderr, so that stdout stays the result of the command.
 * With `--json` the same lines are JSON documents.
 */

/** A step that could not be done: what and why in the message, what to do about it in `cure`. */
export class SetupError extends Error {
  /** @param {string} message @param {{ cure: string, exitCode?: number }} extra */
  constructor(message, { cure, exitCode = 2 }) {
    super(message)
    this.name = 'SetupError'
    this.cure = cure
    this.exitCode = exitCode
  }
}

/** @typedef {{ skipped?: boolean, detail: string }} Outcome */

/** @param {{ json: boolean, out?: NodeJS.WritableStream }} options */
export function createReport({ json, out = process.stderr }) {
  /** @param {string} step @param {string} status @param {string} detail @param {number} ms */
  function line(step, status, detail, ms) {
    out.write(json ? `${JSON.stringify({ step, status, detail, ms })}\n` : textLine(step, status, detail, ms))
  }

  return {
    /** Runs one step and prints how it went; `work` may say what takes long with `say`.
     * @param {string} name @param {(say: (text: string) => void) => Promise<Outcome>} work */
    async step(name, work) {
      const began = performance.now()
      const took = () => Math.round(performance.now() - began)
      try {
        const { skipped = false, detail } = await work((text) => line(name, 'under way', text, took()))
        line(name, skipped ? 'skipped' : 'done', detail, took())
      } catch (error) {
        line(name, 'failed', error instanceof Error ? error.message : String(error), took())
        throw error
      }
    },
    /** A word outside the steps. @param {string} text */
    note(text) {
      out.write(json ? `${JSON.stringify({ note: text })}\n` : `${text}\n`)
    },
  }
}

/** @typedef {ReturnType<typeof createReport>} Report */

/** @param {string} step @param {string} status @param {string} detail @param {number} ms */
function textLine(step, status, detail, ms) {
  const mark = { done: '+', skipped: '-', failed: 'x' }[status] ?? '.'
  const seconds = `${(ms / 1000).toFixed(1)} s`
  return `${mark} ${step.padEnd(12)} ${seconds.padStart(7)}  ${status === 'skipped' ? 'nothing to do: ' : ''}${detail}\n`
}
