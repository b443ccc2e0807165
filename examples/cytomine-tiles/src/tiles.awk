# Bytes of an uncompressed colour TIFF come in as numbers; one file for each tile and each bar of the histogram goes out.

{ for (i = 1; i <= NF; i++) byte[count++] = $i }

END {
  read_head()
  for (y = 0; y < height; y++) for (x = 0; x < width; x++) take(x, y, brightness(x, y))
  write_tiles()
  write_histogram()
  print columns > "/outputs/columns"
  printf "%d x %d pixels, %d tiles\n", width, height, columns * rows
}

function fail(why) {
  print "The image cannot be read: " why > "/dev/stderr"
  exit 1
}

# Little or big end first, as the first two bytes say.
function short(at) { return little ? byte[at] + 256 * byte[at + 1] : 256 * byte[at] + byte[at + 1] }
function long(at) { return little ? short(at) + 65536 * short(at + 2) : 65536 * short(at) + short(at + 2) }
function value(entry) { return short(entry + 2) == 3 ? short(entry + 8) : long(entry + 8) }

function read_head(   first, n, entry, tag) {
  little = byte[0] == 73
  first = long(4)
  n = short(first)
  samples = 1
  for (entry = first + 2; entry < first + 2 + 12 * n; entry += 12) {
    tag = short(entry)
    if (tag == 256) width = value(entry)
    if (tag == 257) height = value(entry)
    if (tag == 259) compression = value(entry)
    if (tag == 273) { strips = long(entry + 4); strip_at = strips == 1 ? entry + 8 : long(entry + 8); strip_kind = short(entry + 2) }
    if (tag == 277) samples = value(entry)
    if (tag == 278) strip_rows = value(entry)
  }
  if (compression > 1) fail("it is compressed")
  if (samples < 3) fail("it has no colours")
  if (width < 1 || height < 1 || strips < 1) fail("it has no pixels")
  if (strip_rows < 1) strip_rows = height
  columns = int((width + tile_size - 1) / tile_size)
  rows = int((height + tile_size - 1) / tile_size)
}

function strip_start(strip) {
  if (strip_kind == 3) return short(strip_at + 2 * strip)
  return long(strip_at + 4 * strip)
}

function brightness(x, y,   strip, at) {
  strip = int(y / strip_rows)
  at = strip_start(strip) + ((y - strip * strip_rows) * width + x) * samples
  return int((299 * byte[at] + 587 * byte[at + 1] + 114 * byte[at + 2]) / 1000)
}

function take(x, y, light,   tile) {
  tile = int(y / tile_size) * columns + int(x / tile_size)
  if (!(tile in pixels) || light < least[tile]) least[tile] = light
  if (!(tile in pixels) || light > most[tile]) most[tile] = light
  pixels[tile]++
  sum[tile] += light
  bars[int(light / 16)]++
}

function write_tiles(   tile, told) {
  print "size: " columns * rows > "/outputs/tiles/array.yml"
  for (tile = 0; tile < columns * rows; tile++) {
    told = statistic == "min" ? least[tile] : statistic == "max" ? most[tile] : sum[tile] / pixels[tile]
    printf "%.3f\n", told > ("/outputs/tiles/" tile)
    close("/outputs/tiles/" tile)
  }
}

function write_histogram(   bar) {
  print "size: 16" > "/outputs/histogram/array.yml"
  for (bar = 0; bar < 16; bar++) {
    printf "%d\n", bars[bar] > ("/outputs/histogram/" bar)
    close("/outputs/histogram/" bar)
  }
}
