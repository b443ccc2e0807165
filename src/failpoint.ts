/**
 * Named places where a test may make the program die, fail or stall, so that a crash between any two steps can be
 * tried on purpose. Off, a place costs one comparison. Only config.ts reads the variable (MECA_FAILPOINTS) that arms them.
 */

/** Every place that there is, and what has just happened there. `npm run crash:points` visits each. */
export const FAILPOINTS = {
  'home.locked': 'the home folder is ours, nothing of it was read',
  'store.verified': 'the whole journal was read and holds',
  'store.before-sync': 'a change is encoded, not on disk',
  'store.synced': 'a change is on disk, the database does not have it',
  'store.taken-over': 'the database has what is in the tail, nothing of it is synced',
  'store.before-head': 'the database is synced, the head is about to say so',
  'store.acknowledged': 'a change is on disk, nobody was told',
  'file.before-rename': 'a file is written beside its place: keystore, identity, version',
  'file.placed': 'a file has its name, its folder is not synced',
  'blob.before-name': 'the bytes of a large input or output are on disk under no name',
  'blob.taken': 'a piece of a large input or output is written, more is to come',
  'blob.named': 'they have their name, the folder is not synced',
  'wallet.key-made': 'a new key is in memory only',
  'node.closing': 'the owner asked the node to end',
  'janitor.tidying': 'it is known what nobody needs any more, nothing is removed',
  'chain.signed': 'a transaction is signed, not written down',
  'chain.intent-written': 'a transaction is written down, not sent',
  'chain.broadcast': 'a transaction was sent, whether it is mined is not known',
  'chain.confirmed': 'a transaction is mined, it still stands written down as open',
  'client.channel-intent': 'a channel is written down, not opened',
  'client.channel-opened': 'a channel is open on chain, the book says opening',
  'client.voucher-written': 'a voucher and its jobs are on disk, not sent',
  'client.job-sent': 'jobs and their voucher were sent',
  'client.before-result': 'a result is checked, and told to its caller, not on disk',
  'client.input-going': 'a host waits for a large input, of which a piece is about to be sent',
  'client.output-fetched': 'a large output is on disk, nothing of its job is booked',
  'client.result-written': 'a result is on disk, not acknowledged',
  'client.acknowledged': 'results are acknowledged, and the exact sum is signed',
  'client.close-agreed': 'the host gave its word to end a channel, nothing is sent',
  'client.close-mined': 'a channel is ended on chain, the book says open',
  'host.offer-signed': 'an offer is signed, not published',
  'host.frame-read': 'a message of a client was read, not decoded',
  'host.hello-checked': 'a client said truly who it is',
  'host.job-read': 'jobs and their voucher are decoded, nothing is checked',
  'host.before-verify': 'a voucher has passed every check but that of its signature',
  'host.voucher-verified': 'a voucher is good, not written down',
  'host.before-accept': 'jobs are admitted in memory, not on disk',
  'host.accepted': 'a job and its voucher are on disk, nothing is started',
  'host.input-written': 'a large input is on disk',
  'host.before-result': 'a receipt is signed, not on disk',
  'host.result-written': 'a receipt and its output are on disk, not sent',
  'host.results-sent': 'receipts and outputs were sent',
  'host.exact-verified': 'a voucher over the exact sum is good, not written down',
  'host.acknowledged': 'a client has what it was sent, and this is on disk',
  'host.before-claim': 'vouchers are chosen, no transaction is made',
  'host.claimed': 'a claim is mined, the book does not know',
  'host.release-written': 'no more work is taken on a channel, the word to end it is not given',
  'image.before-fetch': 'an image is missing, nothing is fetched',
  'image.fetched': 'all blocks of an image are here, unchecked',
  'image.verified': 'an image is checked, the engine does not have it',
  'image.loaded': 'the engine has an image, nobody remembers',
  'engine.sidecar-taken': 'a sidecar is taken, there is no container',
  'engine.created': 'a container is made, not started',
  'engine.started': 'a container runs, it is not ready',
  'engine.ready': 'a container is ready, nobody has asked it',
  'engine.request-sent': 'the task was asked',
  'engine.mid-response': 'the reply has begun, its body has not come',
  'engine.room-made': 'a job with files has volumes and their holder, empty and not started',
  'engine.staged': 'its inputs lie in its volumes, its container is not started',
  'engine.files-started': 'its container runs',
  'engine.files-ended': 'its container has ended, nothing is collected',
  'files.collected': 'its outputs are on our disk, not judged',
  'files.kept': 'outputs are pinned on IPFS, no receipt names them',
  'files.packed': 'its result is on disk as one bundle, no receipt names it',
  'money.withdrawn': 'credit was drawn, the book does not know',
} as const

export type Failpoint = keyof typeof FAILPOINTS

type Action = 'kill' | 'throw' | 'stall'
type Armed = { action: Action; stallMs: number; hitsLeft: number }

let armed: Map<string, Armed> | undefined

export function failpoint(name: Failpoint): void {
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
    if (!(name in FAILPOINTS)) return `there is no failpoint ${name}`
    const action: Action = what === 'kill' || what === 'throw' ? what : 'stall'
    next.set(name, { action, stallMs: Number(stallMs ?? 0), hitsLeft: Number(hit ?? 1) })
  }
  armed = next.size === 0 ? undefined : next
  return undefined
}

function fire(points: Map<string, Armed>, name: Failpoint): void {
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
