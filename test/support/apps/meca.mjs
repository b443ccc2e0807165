// A MECA task for tests: what it does is said by MODE, so that one image plays every case of task-contracts.md 1.8.
import { createServer } from 'node:http'
import { writeFileSync } from 'node:fs'

const mode = process.env.MODE ?? 'echo'
const PNG = Buffer.concat([
  Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
  Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256)),
])
let count = 0

const answers = {
  echo: (request, body, reply) => reply.end(body),
  describe: (request, body, reply) =>
    reply.end(
      JSON.stringify({
        method: request.method,
        path: request.url,
        type: request.headers['content-type'],
        body: body.toString('base64'),
      }),
    ),
  counter: (_request, _body, reply) => reply.end(String(++count)),
  slow: (_request, _body, reply) => setTimeout(() => reply.end('slept'), Number(process.env.SLEEP_MS ?? 1000)),
  error: (_request, _body, reply) =>
    reply.writeHead(400, { 'content-type': 'text/html', 'set-cookie': 'a=b' }).end('<h1>Bad Request</h1>'),
  png: (_request, _body, reply) => reply.writeHead(200, { 'content-type': 'image/png' }).end(PNG),
  crash: () => process.exit(7),
  memory: () => {
    const kept = []
    for (;;) kept.push(Buffer.alloc(8 * 2 ** 20, 1))
  },
  flood: (_request, _body, reply) => {
    reply.on('error', () => {})
    const line = 'x'.repeat(1000) + '\n'
    const print = () => process.stdout.write(line.repeat(100), () => setImmediate(print))
    print()
  },
  log: (_request, body, reply) => {
    console.log(`out ${body}`)
    console.error(`err ${body}`)
    reply.end('logged')
  },
  files: (_request, _body, reply) => {
    const tried = (path) => {
      try {
        writeFileSync(path, 'x')
        return 'written'
      } catch (error) {
        return error.code
      }
    }
    reply.end(JSON.stringify({ root: tried('/x'), tmp: tried('/tmp/x'), app: tried('/app/x') }))
  },
  // undici follows the keep-alive of the server: this closes after every reply, as WSGI servers do.
  close: (_request, body, reply) => reply.writeHead(200, { connection: 'close' }).end(body),
}

const server = createServer((request, reply) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => (answers[mode] ?? answers.echo)(request, Buffer.concat(chunks), reply))
})
const listen = () => server.listen(8080, '0.0.0.0')

if (mode === 'crash-early') {
  console.log('about to fail')
  console.error('reason: no model')
  process.exit(1)
} else if (mode === 'never') {
  console.log('not yet')
  listen()
} else if (mode === 'stderr-marker') {
  console.error('meca-init-done')
  listen()
} else if (mode === 'late') {
  console.log('meca-init-done')
  setTimeout(listen, 3000)
} else if (mode === 'midline') {
  console.log('starting')
  process.stdout.write('[12:00] worker 3 says meca-init-do')
  setTimeout(() => process.stdout.write('ne, go on\n'), 50)
  listen()
} else if (mode === 'no-port') {
  console.log('meca-init-done')
  setInterval(() => {}, 1000)
} else if (mode === 'flood-early') {
  answers.flood(undefined, undefined, { on: () => {} })
} else {
  server.listen(8080, '0.0.0.0', () => console.log('meca-init-done'))
}
