"""Counts nuclei: reads the parameters from /inputs, writes the results to /outputs."""
import json
import os
import sys

from pixels import brightness
from shapes import components, hull

INPUTS, OUTPUTS = "/inputs", "/outputs"


def parameter(name):
    """The text of an input, or None where an optional one was not given."""
    path = os.path.join(INPUTS, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(name, text):
    path = os.path.join(OUTPUTS, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_array(name, texts):
    write(f"{name}/array.yml", f"size: {len(texts)}\n")
    for index, text in enumerate(texts):
        write(f"{name}/{index}", text)


def otsu(rows):
    """The brightness that parts dark from light best: the largest variance between the two."""
    histogram = [0] * 256
    for row in rows:
        for value in row:
            histogram[value] += 1
    total = sum(histogram)
    whole = sum(value * count for value, count in enumerate(histogram))
    best, threshold, dark, dark_sum = -1.0, 128, 0, 0
    for value, count in enumerate(histogram):
        dark += count
        dark_sum += value * count
        if dark in (0, total):
            continue
        gap = dark_sum / dark - (whole - dark_sum) / (total - dark)
        variance = dark * (total - dark) * gap * gap
        if variance > best:
            best, threshold = variance, value + 1
    return threshold


def polygon(points):
    ring = [[x, y] for x, y in hull(points)]
    return json.dumps({"type": "Polygon", "coordinates": [ring + ring[:1]]}, separators=(",", ":"))


def main():
    with open(os.path.join(INPUTS, "image"), "rb") as file:
        rows = brightness(file.read())
    given = parameter("threshold")
    threshold = otsu(rows) if given is None else int(given)
    found = [c for c in components(rows, threshold) if len(c) >= int(parameter("min_area"))]
    print(f"threshold {threshold}, {len(found)} nuclei")
    write("count", str(len(found)))
    write("mean_area", f"{sum(map(len, found)) / len(found) if found else 0:.3f}")
    write_array("nuclei", [polygon(component) for component in found])
    write_array("areas", [f"{len(component)}.0" for component in found])


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"The image cannot be read: {error}")
