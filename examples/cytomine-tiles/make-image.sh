# Draws example/inputs/image: a TIFF of 48 x 32 pixels with a bright disc on a slope of grey and some colour.
#   sh make-image.sh example/inputs/image
set -eu

awk 'function short(n) { return sprintf("\\%03o\\%03o", n % 256, int(n / 256)) }
  function long(n) { return short(n % 65536) short(int(n / 65536)) }
  function tag(number, kind, many, value) { return short(number) short(kind) long(many) long(value) }
  BEGIN {
    width = 48; height = 32; head = 8 + 2 + 10 * 12 + 4
    printf "II*\\000%s%s", long(8), short(10)
    printf "%s%s", tag(256, 3, 1, width), tag(257, 3, 1, height)
    printf "%s%s%s", tag(258, 3, 3, head), tag(259, 3, 1, 1), tag(262, 3, 1, 2)
    printf "%s%s%s", tag(273, 4, 1, head + 6), tag(277, 3, 1, 3), tag(278, 3, 1, height)
    printf "%s%s%s", tag(279, 4, 1, width * height * 3), tag(284, 3, 1, 1), long(0)
    printf "%s%s%s", short(8), short(8), short(8)
    for (y = 0; y < height; y++) for (x = 0; x < width; x++) {
      disc = (x - 30) * (x - 30) + (y - 14) * (y - 14) < 81
      printf "\\%03o\\%03o\\%03o", disc ? 240 : x * 3, disc ? 220 : y * 4 + x, disc ? 120 : 90 + y
    }
  }' | xargs -0 printf '%b' > "$1"
