/** The task's door: the bytes of a PNG come in, the bytes of a smaller PNG go out. */
import { createServer } from 'node:http'
import { decodePng, encodePng } from './png.mjs'
import { shrink } from './shrink.mjs'

const MAX_BODY_BYTES = 16 * 1024 * 1024
const MAX_SIDE = 64

const server = createServer(async (request, response) => {
  const answer = (status, type, body) => response.writeHead(status, { 'content-type': type }).end(body)
  try {
    const chunks = []
    let bytes = 0
    for await (const chunk of request) {
      bytes += chunk.length
      if (bytes > MAX_BODY_BYTES) return answer(413, 'text/plain', `The picture is larger than ${MAX_BODY_BYTES} bytes`)
      chunks.push(chunk)
    }
    answer(200, 'image/png', encodePng(shrink(decodePng(Buffer.concat(chunks)), MAX_SIDE)))
  } catch (error) {
    answer(400, 'text/plain', `Not a picture that this task reads: ${error.message}`)
  }
})

server.listen(8080, '0.0.0.0', () => process.stdout.write('meca-init-done\n'))
