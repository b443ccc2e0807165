/**
 * Statistics of normalized volumes. `report items` writes one statistics.json per item, under the item's own folder;
 * `report cohort` combines all items into one, which gets an id of its own.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readVolume } from './nrrd.mjs'

const INPUT = '/home/kaapana/normalized'
const OUTPUT = '/home/kaapana/report'

const bins = Number(process.env.BINS)
const files = (await readdir(INPUT, { recursive: true })).filter((path) => path.endsWith('.nrrd')).sort()
const volumes = await Promise.all(files.map(measure))

if (process.argv[2] === 'items') {
  for (const item of new Set(volumes.map((volume) => volume.item))) {
    await write(
      item,
      'statistics.json',
      `${JSON.stringify(
        volumes.filter((volume) => volume.item === item),
        null,
        2,
      )}\n`,
    )
  }
} else {
  await write('cohort', 'volumes.csv', table())
}
console.log(`${volumes.length} volumes, ${bins} bins`)

async function measure(path) {
  const { sizes, voxels } = readVolume(await readFile(join(INPUT, path)), path)
  const histogram = Array.from({ length: bins }, () => 0)
  let sum = 0
  for (const voxel of voxels) {
    sum += voxel
    histogram[Math.floor((voxel * bins) / 256)]++
  }
  const mean = Number((sum / voxels.length).toFixed(3))
  return { item: path.split('/')[0], file: path, sizes, mean, histogram }
}

function table() {
  const head = ['item', 'file', 'mean', ...Array.from({ length: bins }, (_, i) => `bin${i}`)]
  const rows = volumes.map(({ item, file, mean, histogram }) => [item, file, mean, ...histogram])
  return `${[head, ...rows].map((row) => row.join(',')).join('\n')}\n`
}

async function write(item, name, text) {
  await mkdir(join(OUTPUT, item), { recursive: true })
  await writeFile(join(OUTPUT, item, name), text)
}
