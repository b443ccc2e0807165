# Brightness of a TIFF by tiles. The parameters lie in /inputs, the results go to /outputs.
set -eu

statistic=$(cat /inputs/statistic)
tile_size=$(cat /inputs/tile_size)
mkdir -p /outputs/tiles /outputs/histogram

# awk reads numbers, so each byte becomes one. The file's end tells awk that all is there.
od -An -v -tu1 /inputs/image | awk -v statistic="$statistic" -v tile_size="$tile_size" -f /app/tiles.awk
