// Servers that answer wrongly, one by MODE; each writes raw bytes, because no library would.
import { createServer } from 'node:net'
import { gzipSync } from 'node:zlib'

const ok = (headers, body = '') => `HTTP/1.1 200 OK\r\n${headers}\r\n\r\n${body}`
const forever = (socket, text, everyMs) => {
  const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write(text)), everyMs)
}
const flood = (socket, text) => {
  const push = () => {
    while (!socket.destroyed && socket.write(text));
  }
  socket.on('drain', push)
  push()
}

const wicked = {
  'endless-body': (s) => {
    s.write(ok('Transfer-Encoding: chunked'))
    flood(s, `10000\r\n${'x'.repeat(65536)}\r\n`)
  },
  'huge-declared': (s) => {
    s.write(ok('Content-Length: 99999999999'))
    flood(s, 'x'.repeat(65536))
  },
  'short-body': (s) => s.end(ok('Content-Length: 1000', 'only this')),
  'early-close': (s) => s.end(),
  'half-headers': (s) => s.end('HTTP/1.1 200 OK\r\nContent-Le'),
  reset: (s) => s.resetAndDestroy(),
  redirect: (s) =>
    s.end(ok('Location: http://127.0.0.1:8080/again\r\nContent-Length: 0').replace('200 OK', '307 Temporary Redirect')),
  'trickle-headers': (s) => {
    s.write('HTTP/1.1 200 OK\r\n')
    forever(s, 'X: y\r\n', 100)
  },
  'trickle-body': (s) => {
    s.write(ok('Content-Length: 100000'))
    forever(s, 'x', 50)
  },
  silent: () => {},
  'header-bomb': (s) => {
    s.write('HTTP/1.1 200 OK\r\n')
    flood(s, `X-A: ${'y'.repeat(4096)}\r\n`)
  },
  'one-header-bomb': (s) => {
    s.write('HTTP/1.1 200 OK\r\nX-A: ')
    flood(s, 'y'.repeat(65536))
  },
  'gzip-bomb': (s) => {
    const body = gzipSync(Buffer.alloc(64 * 2 ** 20))
    s.write(ok(`Content-Encoding: gzip\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}`))
    s.end(body)
  },
  'not-http': (s) => s.end('SSH-2.0-OpenSSH_9.2p1\r\n'),
  'bad-chunk': (s) => s.end(ok('Transfer-Encoding: chunked', 'zz\r\nhello\r\n0\r\n\r\n')),
  'two-lengths': (s) => s.end(ok('Content-Length: 5\r\nContent-Length: 3', 'hello')),
  'length-and-chunked': (s) => s.end(ok('Content-Length: 3\r\nTransfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n')),
  'many-1xx': (s) => flood(s, 'HTTP/1.1 102 Processing\r\n\r\n'),
  upgrade: (s) => s.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
  // Correct, then a reply nobody asked for on the same connection.
  smuggle: (s) => s.write(ok('Content-Length: 5', 'first') + ok('Content-Length: 6', 'second')),
  'bad-type': (s) => s.end(ok('Content-Type: text/\x01html\r\nContent-Length: 2', 'ok')),
}

const act = wicked[process.env.MODE]
createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', () => act(socket))
}).listen(8080, '0.0.0.0', () => console.log('meca-init-done'))
