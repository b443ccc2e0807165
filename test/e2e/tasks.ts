/** Tasks of a few lines of shell that do something wrong, written to folders of their own and published from there. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NodeApi } from '../../src/role/api.ts'
import type { Published } from '../../src/role/api-developer.ts'

export const FEE = 1_000_000n

export type TaskScript = {
  name: string
  /** What the container runs. */
  run: string
  /** What answers a request, as CGI; its body is on stdin. */
  cgi?: string
  resource?: { cpu: number; mem: number; use_gpu: boolean; gpu_count: number }
}

const SMALL = { cpu: 0.5, mem: 32, use_gpu: false, gpu_count: 0 }

/** Serves the CGI until it ends, and ends with 7: a shell as the first process, so that the server can be killed. */
export const SERVE = `
echo meca-init-done
httpd -f -p 8080 -h /app/www &
echo $! > /tmp/server
wait $!
exit $(cat /tmp/code || echo 7)
`

/** Does what the first word of its input says. Whoever answers before it has read all may break the line under its caller. */
const WICKED_CGI = `
case "$(head -c 12 | tr -d ' ')" in
  crash) kill $(cat /tmp/server) ;;
  endless) printf 'Content-Type: text/plain\\r\\n\\r\\n'; cat /dev/zero ;;
  binary) printf 'Content-Type: application/octet-stream\\r\\n\\r\\n'; printf '\\000\\001\\377\\376\\r\\n\\000' ;;
  large) printf 'Content-Type: text/plain\\r\\n\\r\\n'; head -c 900000 /dev/zero | tr '\\000' x ;;
  memory) head -c 500000000 /dev/zero | tail -c 400000000 > /dev/null; echo 137 > /tmp/code; kill $(cat /tmp/server) ;;
  flood) yes 'all work and no play makes a long log' >&2 ;;
  slow) sleep 600 ;;
  wait) sleep 6; printf 'Content-Type: text/plain\\r\\n\\r\\nwaited' ;;
  status) printf 'Status: 500 Oh no\\r\\nContent-Type: text/plain\\r\\n\\r\\nbroken' ;;
  *) cat > /dev/null; printf 'Content-Type: text/plain\\r\\n\\r\\nfine' ;;
esac
`

export async function publishScript(developer: NodeApi, task: TaskScript, signal: AbortSignal): Promise<Published> {
  const dir = await mkdtemp(join(tmpdir(), 'meca-wicked-'))
  try {
    await mkdir(join(dir, 'src', 'www', 'cgi-bin'), { recursive: true })
    const files: [string, string][] = [
      ['Dockerfile', 'ARG BASE\nFROM ${BASE}\nCOPY src/ /app/\nEXPOSE 8080\nCMD ["sh", "/app/run.sh"]\n'],
      ['config.json', JSON.stringify({ resource: task.resource ?? SMALL })],
      ['name.txt', task.name],
      ['description.txt', 'does something wrong'],
      ['example_input.bin', 'fine'],
      ['example_output.bin', 'fine'],
      ['src/run.sh', task.run],
      ['src/www/cgi-bin/index.cgi', `#!/bin/sh\n${task.cgi ?? WICKED_CGI}`],
    ]
    for (const [path, text] of files) await writeFile(join(dir, path), text)
    await chmod(join(dir, 'src/www/cgi-bin/index.cgi'), 0o755)
    const options = {
      fee: FEE,
      name: task.name,
      version: '1.0.0',
      skipTest: true,
      buildArgs: { BASE: 'meca-base/busybox' },
    }
    return await developer.developer.publish(dir, options, () => undefined, signal)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
