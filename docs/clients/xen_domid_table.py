#!/usr/bin/env python3
"""Finds the domid of a VM by its UUID in the table that `xen-domid serve` keeps, and confirms it by one hypercall.

    table = Table()                            # /run/xen-domid/domids; raises OSError or ValueError
    domid = table.lookup(uuid, confirm_by_xc)

`domid` is None where the table has no answer. That does NOT mean that there is no such VM: ask the service
(domid.py), or list all domains. The format is described in docs/table.md.

As a program: xen_domid_table.py UUID... prints the domid of each, or "ask"; in dom0, as root, with Debian's xen-utils.
"""
import errno
import json
import mmap
import os
import socket
import stat
import struct
import sys
import uuid as uuids

PATH = '/run/xen-domid/domids'
RETIRED = 3
TOMBSTONE = bytes.fromhex('deadbeefdeadbeefdeadbeef0000')
BYTES_MAX = 256 << 20


class Table:
    """A mapped table. Look-ups may run in several threads at once."""

    def __init__(self, path=PATH):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            info = os.fstat(fd)
            # Another user could shorten the file, and reading it would raise SIGBUS.
            if not stat.S_ISREG(info.st_mode) or info.st_uid not in (0, os.geteuid()):
                raise ValueError('%s: not a file of root or of this user' % path)
            if not 4096 <= info.st_size <= BYTES_MAX:
                raise ValueError('%s: not a table' % path)
            self._map = mmap.mmap(fd, info.st_size, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)
        magic, version, header, buckets, size, slots = struct.unpack_from('<8s5I', self._map)
        if (magic != b'XENDOMID' or version != 1 or header < 72 or header % 64 or not 0 < buckets <= 1 << 24
                or buckets & (buckets - 1) or size % 64 or size > 4096 or not 0 < slots <= 64
                or slots * 18 + 2 > size or header + buckets * size > len(self._map)):
            self._map.close()
            raise ValueError('%s: not a table of format 1' % path)
        self._header, self._buckets, self._bucket_bytes, self._slots = header, buckets, size, slots

    def close(self):
        self._map.close()

    def retired(self):
        """Whether another file is at the path now, for a change of format: open it again."""
        return struct.unpack_from('<I', self._map, 28)[0] == RETIRED

    def hint(self, uuid):
        """Where to look for a UUID (text or uuid.UUID). It may be old or half written: this is no answer."""
        handle = as_handle(uuid)
        at = self._header + (hash_of(handle) & (self._buckets - 1)) * self._bucket_bytes
        bucket = self._map[at:at + self._bucket_bytes]
        for slot in range(self._slots):
            if bucket[slot * 16:slot * 16 + 16] == handle:
                hint = struct.unpack_from('<H', bucket, self._slots * 16 + slot * 2)[0]
                domid = hint & 0x7fff
                return domid if hint & 0x8000 and domid < 0x7ff0 else None
        return None

    def lookup(self, uuid, confirm):
        """The domid that had this UUID, and was not dying, at one moment of this call; None: ask the service.

        confirm(domid) makes a hypercall that shows one domain, and returns its handle, 16 bytes, if the hypervisor
        shows a domain with exactly this domid that is not dying; else None.
        """
        domid = self.hint(uuid)
        if domid is not None and confirm(domid) == as_handle(uuid):
            return domid
        return None


def as_handle(uuid):
    handle = uuid.bytes if isinstance(uuid, uuids.UUID) else uuids.UUID(uuid).bytes
    if not any(handle) or handle.startswith(TOMBSTONE):
        raise ValueError('%s names no VM' % uuid)
    return handle


def hash_of(handle):
    value = 0
    for word in struct.unpack('<4I', handle):
        value = (value ^ word) * 0x9e3779b1 & 0xffffffff
        value ^= value >> 15
    value = (value ^ value >> 16) * 0x85ebca6b & 0xffffffff
    value = (value ^ value >> 13) * 0xc2b2ae35 & 0xffffffff
    return value ^ value >> 16


_xc = _xc_error = None


def confirm_by_xc(domid):
    """Confirms by Debian's xen-utils; its module is in a folder of the running release."""
    global _xc, _xc_error
    if _xc is None:
        with open('/sys/hypervisor/version/major') as major, open('/sys/hypervisor/version/minor') as minor:
            sys.path.append('/usr/lib/xen-%s.%s/lib/python' % (major.read().strip(), minor.read().strip()))
        import xen.lowlevel.xc
        _xc, _xc_error = xen.lowlevel.xc.xc(), xen.lowlevel.xc.Error
    try:
        found = _xc.domain_getinfo(domid, 1)
    except _xc_error as error:
        # No domain has this domid or a higher one.
        if error.args[0] == errno.ESRCH:
            return None
        raise
    # Where the domid has no domain, the next one is shown.
    for info in found:
        if info['domid'] == domid and not info['dying']:
            return bytes(info['handle'])
    return None


def confirm_by_socket(path):
    """Returns a function that confirms by the service on this socket, for tests on a machine without Xen:
    `xen-domid serve --simulate 20 --socket PATH --table PATH`."""
    def confirm(domid):
        request = {'jsonrpc': '2.0', 'id': 1, 'method': 'get', 'params': {'domid': domid}}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(json.dumps(request).encode() + b'\n')
            domain = json.loads(connection.makefile().readline())['result'].get('domain')
        if domain and domain['domid'] == domid and not domain['dying']:
            return uuids.UUID(domain['uuid']).bytes
        return None
    return confirm


def main(argv):
    table = Table(os.environ.get('XEN_DOMID_TABLE', PATH))
    for uuid in argv:
        domid = table.lookup(uuid, confirm_by_xc)
        print('ask' if domid is None else domid)


if __name__ == '__main__':
    main(sys.argv[1:])
