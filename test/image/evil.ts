/** Images that would harm a host (security.md 1.1.3), one to a line: what it is, the image, what must be answered. */
import { gzipSync } from 'node:zlib'
import { DEFAULT_CAPS, type ImageCaps } from '../../src/image/caps.ts'
import { END, entry, header, layoutOf, pax, tar, type Change, type Files, type Raw } from './support.ts'

export type Evil = {
  name: string
  files: Files
  code: 'invalid_task' | 'too_large'
  message: RegExp
  caps?: ImageCaps
}

/** One layer of these entries. */
const layer = (name: string, message: RegExp, ...entries: (Raw | Buffer)[]): Evil => ({
  name,
  files: layoutOf([tar(...entries)]),
  code: 'invalid_task',
  message,
})

/** These very bytes as the only layer. */
const bytes = (name: string, message: RegExp, content: Buffer): Evil => ({
  name,
  files: layoutOf([content]),
  code: 'invalid_task',
  message,
})

const two = (name: string, message: RegExp, first: Raw[], second: Raw[]): Evil => ({
  name,
  files: layoutOf([tar(...first), tar(...second)]),
  code: 'invalid_task',
  message,
})

/** A harmless layer, changed elsewhere. */
const document = (name: string, message: RegExp, change: Change, code: Evil['code'] = 'invalid_task'): Evil => ({
  name,
  files: layoutOf([tar({ name: 'a', content: 'x' })], change),
  code,
  message,
})

const big = (name: string, message: RegExp, files: Files, caps: Partial<ImageCaps> = {}): Evil => ({
  name,
  files,
  code: 'too_large',
  message,
  caps: { ...DEFAULT_CAPS, ...caps },
})

const FILE: Raw = { name: 'a', content: 'x' }
const good = tar(FILE)
const packed = gzipSync(good)
const names = (n: number): Raw[] => Array.from({ length: n }, (_, i) => ({ name: `f${i}` }))
const config = (settings: object): Change => ({ config: (c) => ({ ...c, config: settings }) })
const manifestLayer = (part: object): Change => ({
  manifest: (m) => ({ ...m, layers: [{ ...(m['layers'] as object[])[0], ...part }] }),
})

/** The right files, but one of them other than its name says. */
function tampered(change: (files: Files, layerPath: string) => void): Files {
  const files = layoutOf([good])
  const layerPath = [...files.keys()].find((path) => files.get(path)?.[0] === 0x1f) ?? ''
  change(files, layerPath)
  return files
}

const paths: Evil[] = [
  layer('parent folder', /"\.\." cannot be/, { name: '../a' }),
  layer('parent folder inside', /"\.\." cannot be/, { name: 'a/../../b' }),
  layer('parent folder by PAX', /"\.\." cannot be/, pax({ path: '../../etc/passwd' }), FILE),
  layer(
    'parent folder by GNU long name',
    /"\.\." cannot be/,
    entry({ name: 'x', type: 'L', content: '../../etc/cron\0' }),
    FILE,
  ),
  layer('parent folder by USTAR prefix', /"\.\." cannot be/, { name: 'a', prefix: '../..' }),
  layer('absolute path', /absolute path/, { name: '/etc/passwd' }),
  layer('absolute path behind a dot', /absolute path/, { name: './/etc/passwd' }),
  layer('empty name inside', /"" cannot be/, { name: 'a//b' }),
  layer('dot inside', /"\." cannot be/, { name: 'a/./b' }),
  layer('name of nothing', /the root is not a folder/, { name: '' }),
  layer('file as the root', /the root is not a folder/, { name: './', type: '2', link: 'x' }),
  layer('zero byte by PAX', /zero byte/, pax({ path: 'a\0b' }), FILE),
  layer('name of 256 bytes', /cannot be the name/, pax({ path: 'n'.repeat(256) }), FILE),
  layer('path of 5,000 bytes', /5000 bytes, 4095/, pax({ path: 'ab/'.repeat(1666) + 'cd' }), FILE),
  layer('65 folders deep', /65 folders deep, 64/, pax({ path: 'd/'.repeat(64) + 'f' }), FILE),
]

const links: Evil[] = [
  layer(
    'write through an absolute link',
    /below "l", which is a symbolic link/,
    { name: 'l', type: '2', link: '/etc' },
    { name: 'l/passwd' },
  ),
  layer('write through a relative link', /below "l"/, { name: 'l', type: '2', link: '../../..' }, { name: 'l/x' }),
  layer(
    'write through a link to a link',
    /below "m"/,
    { name: 'l', type: '2', link: '/' },
    { name: 'm', type: '2', link: 'l' },
    { name: 'm/x' },
  ),
  two(
    'write through a link of the layer before',
    /below "l"/,
    [{ name: 'l', type: '2', link: '/etc' }],
    [{ name: 'l/x' }],
  ),
  two(
    'write through a hard link to a link',
    /below "h"/,
    [{ name: 'l', type: '2', link: '/' }],
    [{ name: 'h', type: '1', link: 'l' }, { name: 'h/x' }],
  ),
  layer('hard link outside', /hard link to "\.\.\/x"/, { name: 'h', type: '1', link: '../x' }),
  layer('absolute hard link', /hard link to "\/etc\/shadow"/, { name: 'h', type: '1', link: '/etc/shadow' }),
  layer(
    'hard link through a link',
    /hard link to "l\/shadow"/,
    { name: 'l', type: '2', link: '/etc' },
    { name: 'h', type: '1', link: 'l/shadow' },
  ),
  layer('hard link to a folder', /the folder "d"/, { name: 'd/', type: '5' }, { name: 'h', type: '1', link: 'd' }),
  layer('hard link to the root', /names the root/, { name: 'h', type: '1', link: './' }),
  layer('link to nothing', /without a usable target/, { name: 'l', type: '2', link: '' }),
  layer('file below a file', /below "a", a file/, FILE, { name: 'a/b' }),
]

const kinds: Evil[] = [
  layer('character device', /device node/, { name: 'dev/mem', type: '3' }),
  layer('block device', /device node/, { name: 'sda', type: '4' }),
  layer('whiteout without a name', /malformed whiteout/, { name: '.wh.' }),
  layer('whiteout of the folder itself', /malformed whiteout/, { name: 'd/.wh..' }),
  layer('whiteout of the parent', /malformed whiteout/, { name: 'd/.wh...' }),
  layer('whiteout path', /below a whiteout/, { name: '.wh.../..wh' }),
  layer('whiteout of a whiteout', /malformed whiteout/, { name: '.wh..wh.plnk' }),
  layer('whiteout that is a folder', /not an empty file/, { name: '.wh.a/', type: '5' }),
  layer('whiteout with content', /not an empty file/, { name: '.wh.a', content: 'x' }),
  layer('whiteout that is a link', /not an empty file/, { name: '.wh.a', type: '2', link: '/' }),
  layer('the same file twice', /twice/, FILE, FILE),
  layer('a file where a folder was', /twice/, { name: 'a/', type: '5' }, FILE),
  layer('the same path with and without a dot', /twice/, FILE, { name: './a' }),
]

const framing: Evil[] = [
  bytes('no end mark', /end mark is missing/, entry(FILE)),
  bytes('half an end mark', /half an end mark/, Buffer.concat([entry(FILE), Buffer.alloc(512)])),
  bytes('cut inside a header', /end mark is missing/, entry(FILE).subarray(0, 300)),
  bytes('cut inside a file', /ends inside an entry/, header({ name: 'a', size: 9_000 })),
  bytes('cut inside padding', /ends inside an entry/, entry(FILE).subarray(0, 600)),
  bytes('bytes after the end', /after the end mark/, Buffer.concat([good, Buffer.from('hidden')])),
  bytes('an entry after the end', /after the end mark/, Buffer.concat([good, entry({ name: 'late' }), END])),
  bytes('nothing at all', /end mark is missing/, Buffer.alloc(0)),
  bytes('not a tar', /not octal/, Buffer.alloc(2048, 'x')),
  layer('wrong checksum', /checksum/, { ...FILE, breakChecksum: true }),
  layer('unknown format', /unknown format/, { ...FILE, magic: 'zstar' }),
  layer('sparse file of old GNU', /"S" is not supported/, { name: 'a', type: 'S' }),
  layer('sparse file by PAX', /sparse/, pax({ 'GNU.sparse.major': '1' }), FILE),
  layer('volume label', /"V" is not supported/, { name: 'a', type: 'V' }),
  layer('unknown type', /"Q" is not supported/, { name: 'a', type: 'Q' }),
  layer('size by PAX beyond the stream', /ends inside an entry/, pax({ size: '99999999' }), FILE),
  layer('size by PAX that is no number', /not a number/, pax({ size: '-1' }), FILE),
  layer(
    'path twice in one PAX header',
    /path twice/,
    entry({ name: 'x', type: 'x', content: '9 path=a\n9 path=b\n' }),
    FILE,
  ),
  layer('two PAX headers that both name', /both set the path/, pax({ path: 'a' }), pax({ path: 'b' }), FILE),
  layer(
    'long name and PAX name',
    /both set the path/,
    entry({ name: 'x', type: 'L', content: 'a\0' }),
    pax({ path: 'b' }),
    FILE,
  ),
  layer('global PAX path', /global PAX header/, pax({ path: 'b' }, 'g'), FILE),
  layer('PAX length lie', /does not fit/, entry({ name: 'x', type: 'x', content: '99 path=a\n' }), FILE),
  layer('PAX without a length', /without a length/, entry({ name: 'x', type: 'x', content: 'path=a\n' }), FILE),
  layer('PAX header of 2 MiB', /2097152 bytes, 1048576/, header({ name: 'x', type: 'x', size: 2 ** 21 }), FILE),
  layer('PAX header before the end', /no entry after it/, pax({ path: 'a' })),
  layer('long name of 1 MiB', /a name of 1048576 bytes/, header({ name: 'x', type: 'L', size: 2 ** 20 }), FILE),
  layer('folder with content', /with 1 bytes of content/, { name: 'a/', content: 'x' }),
  layer('link with content', /with 1 bytes of content/, { name: 'a', type: '1', link: 'b', content: 'x' }),
  layer('size in base 256 beyond counting', /too large/, wide()),
]

function wide(): Buffer {
  const block = header(FILE)
  block.fill(0xff, 125, 136)
  block[124] = 0x80
  block.write('        ', 148, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

const packing: Evil[] = [
  document('layer that is not gzip', /is not gzip/, { layers: [{ packed: good }] }),
  document('gzip that is cut', /is not gzip/, { layers: [{ packed: packed.subarray(0, -9) }] }),
  document('gzip with a wrong checksum', /is not gzip/, { layers: [{ packed: flip(packed, packed.length - 6) }] }),
  document('text after the gzip', /is not gzip/, {
    layers: [{ packed: Buffer.concat([packed, Buffer.from('more')]) }],
  }),
  document('zeros after the gzip', /bytes after its end/, {
    layers: [{ packed: Buffer.concat([packed, Buffer.alloc(9)]) }],
  }),
  document('wrong diff id', /unpacks to other bytes/, { layers: [{ packed, diffId: `sha256:${'0'.repeat(64)}` }] }),
  document(
    'zstd by media type',
    /layers\.0\.mediaType/,
    manifestLayer({ mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd' }),
  ),
  document('foreign layer with urls', /layers\.0/, manifestLayer({ urls: ['http://127.0.0.1/'] })),
  document(
    'layer name that leads outside',
    /layers\.0\.digest/,
    manifestLayer({ digest: 'sha256:../../../etc/passwd' }),
  ),
  document('layer of another hash', /layers\.0\.digest/, manifestLayer({ digest: `sha512:${'0'.repeat(128)}` })),
  document('layer size lie', /other bytes than its name says|bytes after its end/, manifestLayer({ size: 5 })),
  document('negative size', /layers\.0\.size/, manifestLayer({ size: -1 })),
  {
    ...document('layer changed', /is not gzip|other bytes/, {}),
    files: tampered((files, path) => files.set(path, gzipSync(tar({ name: 'b' })))),
  },
  { ...document('config changed', /other bytes than its name says/, {}), files: tampered(swapConfig) },
]

function flip(bytesIn: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytesIn)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

function swapConfig(files: Files): void {
  for (const [path, content] of files) {
    if (Buffer.from(content).includes('diff_ids'))
      files.set(path, Buffer.from(Buffer.from(content).toString().replace('/a', '/b')))
  }
}

const documents: Evil[] = [
  {
    ...document('index that is not JSON', /index is not JSON/, {}),
    files: tampered((files) => files.set('index.json', Buffer.from('{'))),
  },
  document('index with two images', /index is not valid at manifests/, {
    index: (i) => ({ ...i, manifests: [0, 0].map(() => (i['manifests'] as object[])[0]) }),
  }),
  document('index with a tag', /index is not valid/, {
    index: (i) => ({
      ...i,
      manifests: [
        {
          ...(i['manifests'] as object[])[0],
          annotations: { 'org.opencontainers.image.ref.name': 'other-task:latest' },
        },
      ],
    }),
  }),
  document('manifest with an unknown field', /manifest is not valid/, { manifest: (m) => ({ ...m, subject: {} }) }),
  document('manifest of schema 1', /schemaVersion/, { manifest: (m) => ({ ...m, schemaVersion: 1 }) }),
  document('manifest without layers', /layers/, { manifest: (m) => ({ ...m, layers: [] }) }),
  document(
    'config of 1.1 MB',
    /size|bytes, 1048576/,
    { config: (c) => ({ ...c, padding: 'x'.repeat(1_100_000) }) },
    'too_large',
  ),
  document('config with more diff ids', /1 layers, the config 2/, {
    config: (c) => ({ ...c, rootfs: { type: 'layers', diff_ids: [0, 0].map(() => `sha256:${'0'.repeat(64)}`) } }),
  }),
  document('config for Windows', /config is not valid at os/, { config: (c) => ({ ...c, os: 'windows' }) }),
  document('config for another processor than the index', /the config (amd64|arm64)/, {
    config: (c) => ({ ...c, architecture: c['architecture'] === 'amd64' ? 'arm64' : 'amd64' }),
  }),
  document(
    'config with 2,000 ports',
    /ExposedPorts: more than 128/,
    config({ ExposedPorts: Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`${i}/tcp`, {}])) }),
  ),
  document('config with 200 KB of environment', /Env/, config({ Env: [`A=${'x'.repeat(200_000)}`] })),
  document(
    'config with 100 volumes',
    /Volumes: more than 32/,
    config({ Volumes: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`/v${i}`, {}])) }),
  ),
  document('config whose command is an object', /Cmd/, config({ Cmd: { a: 1 } })),
  {
    ...document('another layout version', /layout version/, {}),
    files: tampered((files) => files.set('oci-layout', Buffer.from('{"imageLayoutVersion":"2"}'))),
  },
]

const sizes: Evil[] = [
  big('101 layers', /101 layers, 100/, layoutOf(Array.from({ length: 101 }, (_, i) => tar({ name: `f${i}` })))),
  big('100,001 files', /more than 100000 files/, layoutOf([tar(...names(100_001))])),
  big('files over the cap in the second layer', /more than 5 files/, layoutOf([tar(...names(4)), tar(...names(4))]), {
    entries: 5,
  }),
  big(
    '64 MiB of zeros in 65 KB',
    /more than 100 times/,
    layoutOf([tar({ name: 'zeros', content: Buffer.alloc(64 * 2 ** 20) })]),
  ),
  big('layers over the compressed cap', /bytes, 10 are allowed/, layoutOf([good]), { compressedBytes: 10 }),
  big('layers over the unpacked cap', /more than 1000 unpacked/, layoutOf([good, good]), { unpackedBytes: 1000 }),
]

export const EVIL: readonly Evil[] = [paths, links, kinds, framing, packing, documents, sizes].flat()
