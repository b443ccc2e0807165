/**
 * Named places where a test may make the program die, fail or stall, so that a crash between any two steps can be
 * tried on purpose. Off, a place costs one comparison. Only config.ts reads the variable (MECA_FAILPOINTS) that arms them.
 */

type Action = 'kill' | 'throw' | 'stall'
type Armed = { action: Action; stallMs: number; hitsLeft: number }

let armed: Map<string, Armed> | undefined

export function failpoint(name: string): void {
  if (armed !== undefined) fire(armed, name)
}

const ONE = /^([a-z0-9.-]+)=(kill|throw|stall:([0-9]{1,6}))(?:@([1-9][0-9]{0,8}))?$/

/**
 * `store.synced=kill@3,blob.named=throw,home.locked=stall:200`: what happens at the n-th passage (the first where no
 * number stands), once. Returns what is wrong with the text, or undefined when it is armed. Empty text disarms all.
 */
export function armFailpoints(text: string): string | undefined {
  const next = new Map<string, Armed>()
  for (const part of text.split(',').filter((p) => p !== '')) {
    const match = ONE.exec(part)
    if (match === null) return `"${part}" is not name=kill, name=throw or name=stall:MS, with @N after it or not`
    const [, name = '', what = '', stallMs, hit] = match
    const action: Action = what === 'kill' || what === 'throw' ? what : 'stall'
    next.set(name, { action, stallMs: Number(stallMs ?? 0), hitsLeft: Number(hit ?? 1) })
  }
  armed = next.size === 0 ? undefined : next
  return undefined
}

function fire(points: Map<string, Armed>, name: string): void {
  const point = points.get(name)
  if (point === undefined || --point.hitsLeft !== 0) return
  switch (point.action) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL')
      return
    case 'throw':
      throw new Error(`failpoint ${name}`)
    case 'stall':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, point.stallMs)
  }
}
