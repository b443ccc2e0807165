"""Brightness of PNG and baseline TIFF images, 8 bits a sample, with the standard library alone."""
import struct
import zlib


def brightness(data):
    """Rows of values from 0 to 255."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, samples, rows = png(data)
    elif data[:4] in (b"II*\0", b"MM\0*"):
        width, samples, rows = tiff(data)
    else:
        raise ValueError("it is neither a PNG nor a TIFF")
    if samples in (1, 2):
        return [row[::samples] for row in rows]
    # The eye sees green brightest and blue darkest.
    return [
        bytes((299 * row[i] + 587 * row[i + 1] + 114 * row[i + 2]) // 1000 for i in range(0, width * samples, samples))
        for row in rows
    ]


def png(data):
    at, packed, head = 8, b"", None
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += length + 12
    samples = {0: 1, 2: 3, 4: 2, 6: 4}.get(head[3]) if head else None
    if samples is None or head[2] != 8 or head[6] != 0:
        raise ValueError("only PNG of 8 bits, grey or colour, not interlaced")
    return head[0], samples, unfilter(zlib.decompress(packed), head[0] * samples, head[1], samples)


def unfilter(data, stride, height, step):
    rows, above = [], bytes(stride)
    for y in range(height):
        start = y * (stride + 1)
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + stride])
        for i in range(stride):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            row[i] = (row[i] + predicted(kind, left, above[i], corner)) & 255
        rows.append(bytes(row))
        above = row
    return rows


def predicted(kind, left, up, corner):
    if kind == 4:
        guess = left + up - corner
        nearest = min((abs(guess - left), 0), (abs(guess - up), 1), (abs(guess - corner), 2))[1]
        return (left, up, corner)[nearest]
    return (0, left, up, (left + up) // 2)[kind]


def tiff(data):
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack(order + "I", data[4:8])[0]
    tags = {}
    for entry in range(struct.unpack(order + "H", data[start : start + 2])[0]):
        at = start + 2 + entry * 12
        tag, kind, count = struct.unpack(order + "HHI", data[at : at + 8])
        size = {3: 2, 4: 4}.get(kind)
        if size is None:
            continue
        where = at + 8 if size * count <= 4 else struct.unpack(order + "I", data[at + 8 : at + 12])[0]
        tags[tag] = struct.unpack(f"{order}{count}{'H' if size == 2 else 'I'}", data[where : where + size * count])
    width, height, samples = tags[256][0], tags[257][0], tags.get(277, (1,))[0]
    if tags.get(259, (1,))[0] != 1 or set(tags.get(258, (8,))) != {8} or 273 not in tags:
        raise ValueError("only TIFF of 8 bits in strips, not compressed")
    pixels = b"".join(data[at : at + size] for at, size in zip(tags[273], tags[279]))
    stride = width * samples
    return width, samples, [pixels[y * stride : (y + 1) * stride] for y in range(height)]
