// The question of MECA's knn example (which label have the nearest neighbours?), answered without the libraries of the original.
import { createServer } from 'node:http'

const distance = (a, b) => Math.hypot(...a.map((x, i) => x - b[i]))

/** The label that most of the k nearest have; of equals the nearer. */
function labelOf(query, { k, points, labels }) {
  const nearest = points.map((point, i) => ({ label: labels[i], d: distance(point, query) })).sort((a, b) => a.d - b.d)
  const votes = new Map()
  for (const { label } of nearest.slice(0, k)) votes.set(label, (votes.get(label) ?? 0) + 1)
  return [...votes].sort((a, b) => b[1] - a[1])[0][0]
}

createServer((request, reply) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const input = JSON.parse(Buffer.concat(chunks))
    reply.end(JSON.stringify(input.queries.map((query) => labelOf(query, input))))
  })
}).listen(8080, '0.0.0.0', () => console.log('meca-init-done'))
