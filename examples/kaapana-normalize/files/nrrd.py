"""Volumes in NRRD files: as much of the format as scanners' exports need (one block of raw or gzip data after the header)."""

import gzip
import sys
from array import array

TYPES = {'short': 'h', 'int16': 'h', 'unsigned short': 'H', 'uint16': 'H', 'uchar': 'B', 'uint8': 'B', 'float': 'f'}


def read(path):
    """The header's fields and the voxels."""
    with open(path, 'rb') as file:
        if not file.readline().startswith(b'NRRD000'):
            raise ValueError(f'{path} is not an NRRD file')
        fields = {}
        for line in iter(file.readline, b'\n'):
            if line == b'':
                raise ValueError(f'{path} ends in its header')
            name, found, value = line.decode('ascii').strip().partition(': ')
            if found:
                fields[name] = value
        data = file.read()
    if fields.get('encoding') in ('gzip', 'gz'):
        data = gzip.decompress(data)
    elif fields.get('encoding') != 'raw':
        raise ValueError(f'{path} has the encoding {fields.get("encoding")}')
    return fields, voxels(path, fields, data)


def voxels(path, fields, data):
    kind = TYPES.get(fields.get('type', ''))
    if kind is None:
        raise ValueError(f'{path} has voxels of type {fields.get("type")}')
    values = array(kind, data)
    if fields.get('endian', sys.byteorder) != sys.byteorder:
        values.byteswap()
    count = 1
    for size in fields['sizes'].split():
        count *= int(size)
    if len(values) != count:
        raise ValueError(f'{path} has {len(values)} voxels and says {count}')
    return values


def write(path, fields, values):
    """The same header with bytes for voxels."""
    kept = {**fields, 'type': 'uchar', 'encoding': 'raw'}
    kept.pop('endian', None)
    header = ['NRRD0004', *(f'{name}: {value}' for name, value in kept.items())]
    path.write_bytes('\n'.join(header).encode('ascii') + b'\n\n' + bytes(values))
