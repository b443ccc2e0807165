/** Pure: every pixel of the small picture is the mean of the rectangle that it covers in the large one. */

export function shrink(picture, maxSide) {
  const scale = Math.max(picture.width, picture.height) / maxSide
  if (scale <= 1) return picture
  const width = Math.max(1, Math.round(picture.width / scale))
  const height = Math.max(1, Math.round(picture.height / scale))
  const rgba = new Uint8Array(width * height * 4)
  for (let y = 0; y < height; y++) {
    const rows = covered(y, height, picture.height)
    for (let x = 0; x < width; x++) rgba.set(mean(picture, covered(x, width, picture.width), rows), (y * width + x) * 4)
  }
  return { width, height, rgba }
}

/** The whole pixels of the large side that one pixel of the small side stands for. */
function covered(index, small, large) {
  const from = Math.floor((index * large) / small)
  return { from, to: Math.max(from + 1, Math.floor(((index + 1) * large) / small)) }
}

/** Colours count by their opacity, so that what cannot be seen does not bleed into what can. */
function mean({ width, rgba }, columns, rows) {
  let [red, green, blue, opacity] = [0, 0, 0, 0]
  for (let y = rows.from; y < rows.to; y++) {
    for (let x = columns.from; x < columns.to; x++) {
      const at = (y * width + x) * 4
      const alpha = rgba[at + 3]
      red += rgba[at] * alpha
      green += rgba[at + 1] * alpha
      blue += rgba[at + 2] * alpha
      opacity += alpha
    }
  }
  const pixels = (columns.to - columns.from) * (rows.to - rows.from)
  if (opacity === 0) return [0, 0, 0, 0]
  return [red, green, blue, (opacity * opacity) / pixels].map((sum) => Math.round(sum / opacity))
}
