"""Brings the intensities of every volume into 0 to 255, between two percentiles of its own.

Each item of the channel keeps its folder: volumes/ITEM/x.nrrd becomes normalized/ITEM/x.nrrd.
"""

import os
import sys
from pathlib import Path

import nrrd

VOLUMES = Path('/home/kaapana/volumes')
NORMALIZED = Path('/home/kaapana/normalized')
#: What the platform takes as "there was nothing to do".
SKIPPED = 126


def main():
    lower, upper = (float(os.environ[name]) for name in ('LOWER_PERCENTILE', 'UPPER_PERCENTILE'))
    if not 0 <= lower < upper <= 100:
        sys.exit(f'LOWER_PERCENTILE {lower} and UPPER_PERCENTILE {upper} are no range')
    paths = sorted(VOLUMES.glob('*/**/*.nrrd'))
    if not paths:
        print('no volumes, nothing to do')
        sys.exit(SKIPPED)
    for path in paths:
        fields, values = nrrd.read(path)
        low, high = percentile(values, lower), percentile(values, upper)
        target = NORMALIZED / path.relative_to(VOLUMES)
        target.parent.mkdir(parents=True, exist_ok=True)
        nrrd.write(target, fields, [scaled(value, low, high) for value in values])
        print(f'{path.relative_to(VOLUMES)}: {low} to {high}', flush=True)


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[round(percent / 100 * (len(ordered) - 1))]


def scaled(value, low, high):
    if high == low:
        return 0
    return max(0, min(255, round((value - low) / (high - low) * 255)))


if __name__ == '__main__':
    main()
