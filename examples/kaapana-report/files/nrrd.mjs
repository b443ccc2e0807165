/** The header of an NRRD volume of bytes and where its voxels begin. */
const END = Buffer.from('\n\n')

export function readVolume(bytes, name) {
  const end = bytes.indexOf(END)
  const lines = bytes.subarray(0, Math.max(0, end)).toString('ascii').split('\n')
  if (end < 0 || !lines[0]?.startsWith('NRRD000')) throw new Error(`${name} is not an NRRD file`)
  const fields = Object.fromEntries(lines.slice(1).map((line) => line.split(': ', 2)))
  if (fields.type !== 'uchar' || fields.encoding !== 'raw')
    throw new Error(`${name} has voxels of type ${fields.type}, encoded ${fields.encoding}; normalize it first`)
  const sizes = fields.sizes.split(' ').map(Number)
  const voxels = bytes.subarray(end + END.length)
  const expected = sizes.reduce((product, size) => product * size, 1)
  if (voxels.length !== expected) throw new Error(`${name} has ${voxels.length} voxels and says ${expected}`)
  return { sizes, voxels }
}
