"""Reads the trajectories of a simulation and writes how the mean and the spread over cells move: a table and a plot.

    analyse.py TRAJECTORY FOLDER
"""

import csv
import sys
from collections import defaultdict
from math import sqrt
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 480, 240, 40
COLOURS = {'mrna': '#1b6ca8', 'protein': '#c8553d'}


def main(trajectory, folder):
    by_time = read(trajectory)
    rows = [(time, *moments(cells['mrna']), *moments(cells['protein'])) for time, cells in sorted(by_time.items())]
    write_table(rows, folder / 'moments.tsv')
    write_plot(rows, folder / 'moments.svg')
    last = rows[-1]
    print(f'{len(rows)} times, {len(by_time[last[0]]["mrna"])} cells')
    print(f'at {last[0]:.0f} min: mRNA {last[1]:.2f} +/- {last[2]:.2f}, protein {last[3]:.2f} +/- {last[4]:.2f}')


def read(path):
    by_time = defaultdict(lambda: defaultdict(list))
    with open(path, newline='') as file:
        for row in csv.DictReader(file, delimiter='\t'):
            for kind in COLOURS:
                by_time[float(row['minutes'])][kind].append(int(row[kind]))
    if not by_time:
        sys.exit(f'{path} holds no trajectory')
    return by_time


def moments(counts):
    mean = sum(counts) / len(counts)
    return mean, sqrt(sum((count - mean) ** 2 for count in counts) / len(counts))


def write_table(rows, path):
    lines = ['minutes\tmrna_mean\tmrna_sd\tprotein_mean\tprotein_sd']
    lines += ['\t'.join(f'{value:.3f}' for value in row) for row in rows]
    path.write_text('\n'.join(lines) + '\n')


def write_plot(rows, path):
    longest = max(row[0] for row in rows) or 1
    highest = max(max(row[1], row[3]) for row in rows) or 1

    def place(time, count):
        x = MARGIN + time / longest * (WIDTH - 2 * MARGIN)
        y = HEIGHT - MARGIN - count / highest * (HEIGHT - 2 * MARGIN)
        return f'{x:.1f},{y:.1f}'

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">']
    for kind, column in (('mrna', 1), ('protein', 3)):
        points = ' '.join(place(row[0], row[column]) for row in rows)
        lines.append(f'  <polyline fill="none" stroke="{COLOURS[kind]}" stroke-width="2" points="{points}"/>')
        lines.append(f'  <text x="{MARGIN}" y="{20 if kind == "mrna" else 34}" fill="{COLOURS[kind]}">{kind}</text>')
    path.write_text('\n'.join([*lines, '</svg>']) + '\n')


if __name__ == '__main__':
    main(Path(sys.argv[1]), Path(sys.argv[2]))
