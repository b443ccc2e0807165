"""Connected components of dark pixels, and the outline around one."""


def components(rows, threshold):
    """Lists of (x, y), neighbours by their edges, from top left to bottom right."""
    height, width = len(rows), len(rows[0]) if rows else 0
    seen = [bytearray(width) for _ in rows]
    found = []
    for y in range(height):
        for x in range(width):
            if rows[y][x] < threshold and not seen[y][x]:
                found.append(fill(rows, seen, x, y, threshold))
    return found


def fill(rows, seen, x, y, threshold):
    height, width = len(rows), len(rows[0])
    seen[y][x] = 1
    component, waiting = [], [(x, y)]
    while waiting:
        x, y = waiting.pop()
        component.append((x, y))
        for nx, ny in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
            if 0 <= nx < width and 0 <= ny < height and not seen[ny][nx] and rows[ny][nx] < threshold:
                seen[ny][nx] = 1
                waiting.append((nx, ny))
    return component


def hull(pixels):
    """The convex hull of the pixels' corners, without the first point again."""
    corners = sorted({(x + dx, y + dy) for x, y in pixels for dx in (0, 1) for dy in (0, 1)})
    return half(corners)[:-1] + half(corners[::-1])[:-1]


def half(points):
    chain = []
    for point in points:
        while len(chain) > 1 and turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def turn(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
