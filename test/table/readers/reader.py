"""Reads tables for the tests: the commands and arguments of reader.c; `xc` as argument confirms by xen.lowlevel.xc."""
import mmap
import os
import random
import struct
import sys
import time

# In dom0 of the lab, it lies next to this file.
sys.path.insert(0, os.environ.get('READERS', sys.path[0]))
import xen_domid_table as tables


class Truth:
    def __init__(self, path):
        with open(path, 'rb') as file:
            self.map = mmap.mmap(file.fileno(), 64 + 32752 * 32, access=mmap.ACCESS_READ)

    def step(self, index):
        return struct.unpack_from('<I', self.map, index * 4)[0]

    def confirm(self, domid):
        at = 64 + domid * 32
        while True:
            before = struct.unpack_from('<I', self.map, at)[0]
            alive, handle = struct.unpack_from('<I16s', self.map, at + 4)
            if before % 2 == 0 and struct.unpack_from('<I', self.map, at)[0] == before:
                return handle if alive == 1 else None


def storm(table, truth, ms, seed, path):
    with open(path) as file:
        uuids = file.read().split()
    picks = random.Random(seed)
    out = sys.stdout.buffer
    end = time.monotonic() + ms / 1000
    lookups = 0
    while time.monotonic() < end:
        index = picks.randrange(len(uuids))
        first = truth.step(1)
        domid = table.lookup(uuids[index], truth.confirm)
        lookups += 1
        if domid is not None:
            out.write(struct.pack('<IIII', index, domid, first, truth.step(0)))
    out.write(struct.pack('<IIII', 0xffffffff, lookups, 0, 0))
    out.flush()


def said(find):
    try:
        domid = find()
    except ValueError:
        return 'invalid'
    return 'ask' if domid is None else 'found %d' % domid


def main():
    kind, _, path = sys.argv[1].partition(':')
    source = Truth(path) if kind == 'truth' else None
    confirm = source.confirm if source else tables.confirm_by_socket(path) if kind == 'socket' else tables.confirm_by_xc
    table = None
    for line in sys.stdin:
        word, _, rest = line.rstrip('\n').partition(' ')
        if word == 'open':
            table = None
            try:
                table = tables.Table(rest)
                print('open', flush=True)
            except (OSError, ValueError):
                print('refused', flush=True)
        elif word == 'storm':
            ms, seed, file = rest.split(' ', 2)
            storm(table, source, int(ms), int(seed), file)
        elif word == 'retired':
            print('yes' if table and table.retired() else 'no', flush=True)
        elif word == 'lookup':
            print(said(lambda: table.lookup(rest, confirm) if table else tables.as_handle(rest) and None), flush=True)
        elif word == 'hint':
            print(said(lambda: table.hint(rest) if table else tables.as_handle(rest) and None), flush=True)


main()
