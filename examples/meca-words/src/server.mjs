/** The task's door: one POST with a JSON document, answered with its statistics; a bad document is the caller's fault. */
import { createServer } from 'node:http'
import { statistics } from './statistics.mjs'

/** The body, its text and its words live in memory together; this keeps them inside the 128 MiB of config.json. */
const MAX_BODY_BYTES = 4 * 1024 * 1024

const server = createServer(async (request, response) => {
  const answer = (status, value) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(value))
  }
  try {
    const chunks = []
    let bytes = 0
    for await (const chunk of request) {
      bytes += chunk.length
      if (bytes > MAX_BODY_BYTES) return answer(413, { error: `The document is larger than ${MAX_BODY_BYTES} bytes` })
      chunks.push(chunk)
    }
    answer(200, statistics(JSON.parse(Buffer.concat(chunks).toString('utf8'))))
  } catch (error) {
    answer(400, { error: `Not a JSON document: ${error.message}` })
  }
})

server.listen(8080, '0.0.0.0', () => process.stdout.write('meca-init-done\n'))
