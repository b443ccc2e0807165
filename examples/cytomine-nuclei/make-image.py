"""Draws example/inputs/image: a stained section of 128 x 96 pixels with nuclei, always the same one."""
import struct
import sys
import zlib

WIDTH, HEIGHT = 128, 96
state = 20240131


def noise(below):
    """A small generator of its own, so that the picture never changes."""
    global state
    state = (1103515245 * state + 12345) % 2**31
    return (state >> 8) % below


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


nuclei = [(noise(WIDTH), noise(HEIGHT), 4 + noise(5), 3 + noise(5)) for _ in range(12)]
lines = []
for y in range(HEIGHT):
    line = bytearray([0])
    for x in range(WIDTH):
        inside = any(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1 for cx, cy, rx, ry in nuclei)
        colour = (96, 62, 128) if inside else (232, 190, 214)
        line += bytes(value + noise(7) - 3 for value in colour)
    lines.append(bytes(line))
head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
with open(sys.argv[1], "wb") as file:
    file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(lines), 9)) + chunk(b"IEND", b""))
