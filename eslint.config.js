/**
 * The rules of the house that a machine can hold: types that mean something, promises that are waited for, and the
 * fences between the rooms. A fence is an allow-list, so that a new arrow between rooms shows up here as a change.
 */
import eslint from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

const sources = ['src/**/*.ts', 'test/**/*.ts', 'scripts/**/*.{ts,mjs}']

/** Every folder of src that has a fence: what it may import beside itself. */
const rooms = {
  core: {
    packages: ['zod', 'keccak', 'secp256k1', 'multiformats/.+', 'node:buffer', 'node:path/posix'],
    pure: true,
  },
  task: { rooms: ['core'], packages: ['zod', 'yaml', 'multiformats/.+', 'node:buffer', 'node:path/posix'], pure: true },
  image: { rooms: ['core'], packages: ['node:.+', 'tar-stream', 'zod'] },
  ipfs: {
    rooms: ['core'],
    packages: ['node:.+', 'helia', '@helia/.+', 'kubo-rpc-client', 'libp2p', '@libp2p/.+', '@multiformats/.+'].concat([
      'multiformats/.+',
      'blockstore-.+',
      'datastore-.+',
      'interface-.+',
      'ipfs-unixfs.*',
      'it-.+',
      '@ipld/.+',
    ]),
  },
  engine: {
    rooms: ['core'],
    packages: ['node:.+', 'dockerode', 'undici', 'tar-stream', 'systeminformation', 'lru-cache', 'zod'],
  },
  chain: { rooms: ['core'], packages: ['node:.+', 'ethers', 'abitype', 'zod'] },
  p2p: {
    rooms: ['core'],
    packages: ['node:.+', 'libp2p', '@libp2p/.+', '@multiformats/.+', 'multiformats/.+', 'datastore-.+'].concat([
      'interface-.+',
      'it-.+',
      'uint8arraylist',
      'uint8arrays.*',
      'zod',
      'lru-cache',
    ]),
  },
  store: { rooms: ['core'], packages: ['node:.+', 'level', 'lru-cache', 'zod'] },
  bundle: { rooms: ['core'], packages: ['node:.+', 'tar-stream', 'yauzl'] },
  flow: { rooms: ['core', 'task'], packages: ['zod', 'dependency-graph'], typesFromAnywhere: true },
  role: { rooms: ['core', 'task', 'bundle'], packages: ['node:.+', 'zod', 'lru-cache'], typesFromAnywhere: true },
  http: { rooms: ['core', 'bundle'], packages: ['node:.+', 'express', 'zod', 'zod-openapi'], typesFromAnywhere: true },
  cli: {
    rooms: ['core', 'task', 'bundle', 'flow'],
    packages: ['node:.+', 'commander', 'zod', 'undici', 'yaml'],
    typesFromAnywhere: true,
  },
}

/** Small files of src that a room may use without crossing a fence. */
const shared = { inRooms: ['log', 'failpoint'], inCli: ['log', 'failpoint', 'config'] }

const random = [
  'randomBytes',
  'randomUUID',
  'randomInt',
  'randomFillSync',
  'randomFill',
  'webcrypto',
  'getRandomValues',
]

/** A room's own files, and those of its inner folders, from which everything else is one step further away. */
function fences(name, room) {
  return [
    fence(name, room, { files: [`src/${name}/*.ts`], up: '\\.\\./', own: ['\\./'] }),
    fence(name, room, { files: [`src/${name}/*/**/*.ts`], up: '(\\.\\./){2}', own: ['\\./', '\\.\\./(?!\\.)'] }),
  ]
}

function fence(
  name,
  { rooms: others = [], packages, pure = false, typesFromAnywhere = false },
  { files: of, up, own },
) {
  const files = pure ? [] : (name === 'cli' ? shared.inCli : shared.inRooms).map((file) => `${up}${file}\\.ts$`)
  const beside = [...own, `${up}${name}/`, ...others.map((other) => `${up}${other}/`), ...files]
  const outside = [...packages, pure ? 'node:crypto' : 'pino'].map((text) => `${text}$`)
  const patterns = [
    {
      regex: `^(?=\\.)(?!${beside.join('|')})`,
      message: `src/${name} imports only itself${others.map((other) => `, src/${other}`).join('')}; node.ts does the wiring.`,
      allowTypeImports: typesFromAnywhere,
    },
    {
      regex: `^(?!\\.|${outside.join('|')})`,
      message: `src/${name} may not use this package; the fences are in eslint.config.js.`,
    },
    {
      regex: '/(node\\.ts|wiring/.+)$',
      message: 'Only main.ts, the tests and the scripts import node.ts, and only node.ts what it is made of.',
      allowTypeImports: true,
    },
    { regex: '^pino$', message: 'Only log.ts makes loggers; others are handed theirs.', allowTypeImports: true },
    ...(pure ? [{ regex: '^node:crypto$', importNames: random, message: `src/${name} is pure: no randomness.` }] : []),
  ]
  return {
    files: of,
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns }] },
  }
}

const clocks = [
  { selector: "MemberExpression[object.name='Date'][property.name='now']", what: 'Date.now' },
  { selector: "NewExpression[callee.name='Date'][arguments.length=0]", what: 'new Date()' },
  { selector: "MemberExpression[object.name='Math'][property.name='random']", what: 'Math.random' },
  { selector: "MemberExpression[object.name='performance'][property.name='now']", what: 'performance.now' },
  { selector: "MemberExpression[object.name='crypto']", what: 'the global crypto' },
].map(({ selector, what }) => ({ selector, message: `${what}: time and randomness are arguments here.` }))

export default defineConfig(
  globalIgnores(['node_modules/', 'out/', 'cache/', 'contracts/', 'examples/', 'src/chain/abi.ts']),
  { files: [...sources, 'eslint.config.js'], extends: [eslint.configs.recommended] },
  {
    files: sources,
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'no-undef': 'off', // the type check knows every name
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'it', 'describe', 'suite'] },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': 'off', // no-base-to-string holds what matters of it
      '@typescript-eslint/unbound-method': 'off', // rooms hand over objects of closures; there is no this to lose
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'config.ts is the only reader of the environment.' },
      ],
    },
  },
  { files: ['src/config.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    files: ['src/*.ts'],
    ignores: ['src/main.ts', 'src/node.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '/(node\\.ts|wiring/.+)$', message: 'Only main.ts imports node.ts, only node.ts the wiring.' },
          ],
        },
      ],
    },
  },
  { files: ['src/core/**/*.ts', 'src/task/**/*.ts'], rules: { 'no-restricted-syntax': ['error', ...clocks] } },
  Object.entries(rooms).flatMap(([name, allowed]) => fences(name, allowed)),
)
