#!/usr/bin/env python3
"""Asks xen-domid from Python: 3.6 or newer, and nothing but its standard library.

    domid.py lookup UUID    its domid; exit status 1: no domain has it, 2: not a UUID, 3: several have it, 4: no answer
    domid.py wait UUID [STATE [SECONDS]]    the same once it is present (default), running, shutdown or gone; 4: not in time (30 s)
    domid.py list           domid and UUID of every domain, a line each
    domid.py watch          every change, a line each: kind, domid, UUID; survives restarts of the service
"""
import json
import os
import socket
import sys
import time

DEFAULT_SOCKET = "/run/xen-domid/xen-domid.sock"


class Refused(Exception):
    """An invalid request: not a UUID, or one that names no VM. Asking again does not help."""


class Unavailable(Exception):
    """The service or the hypervisor did not answer in time. Says nothing about the UUID."""


class Connection:
    """One connection, with at most one pending request."""

    def __init__(self, path, timeout):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._last_id = 0
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="\n")

    def call(self, method, params, timeout):
        self._socket.settimeout(timeout)
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            reply = self.read()
            if reply.get("id") == self._last_id:
                break
        if "error" not in reply:
            return reply["result"]
        error = Refused if reply["error"]["code"] == -32602 else Unavailable
        raise error(reply["error"]["message"])

    def read(self):
        line = self._lines.readline()
        if not line.endswith("\n"):
            raise ConnectionError("the service ended the connection")
        try:
            return json.loads(line)
        except ValueError:
            raise ConnectionError("the process on the socket is not xen-domid")

    def wait_for_ever(self):
        self._socket.settimeout(None)

    def close(self):
        self._lines.close()
        self._socket.close()


class Client:
    """Connects at the first request, and again after the connection has ended."""

    def __init__(self, path=None, timeout=6):
        self._path = path or os.environ.get("XEN_DOMID_SOCKET") or DEFAULT_SOCKET
        self._timeout = timeout
        self._connection = None

    def lookup(self, uuid):
        """Returns the live domids that have this UUID: none, one or several. Raises Refused, Unavailable."""
        result = self._ask("domid", {"uuid": uuid})
        if result["status"] == "found":
            return [result["domid"]]
        return result.get("domids", [])

    def wait_for(self, uuid, state="present", seconds=30):
        """Waits until the VM is "present", "running", "shutdown" or "gone". Returns whether it is, and its live domids.
        A restart of the service does not end the wait. Raises Refused, Unavailable."""
        result = self._ask("waitFor", {"uuid": uuid, "state": state}, seconds)
        domains = [result["domain"]] if result["status"] == "found" else result.get("domains", [])
        return result["reached"], [domain["domid"] for domain in domains]

    def list(self):
        """Returns all domains in ascending domid."""
        return self._ask("list", {})["domains"]

    def follow(self):
        """Yields ("snapshot", domains), then ("changes", changes) for ever. A further snapshot replaces
        everything before. Continues from its last token after a restart of the service or a disconnect."""
        token = None
        while True:
            try:
                connection = Connection(self._path, self._timeout)
                try:
                    begin = connection.call("subscribe", {} if token is None else {"token": token}, self._timeout)
                    if "domains" in begin:
                        yield "snapshot", begin["domains"]
                    token = begin["token"]
                    connection.wait_for_ever()
                    while True:
                        message = connection.read()
                        said = message.get("params")
                        if said is None:
                            raise ConnectionError(message["error"]["message"])
                        if message["method"] == "resync":
                            yield "snapshot", said["domains"]
                        elif message["method"] == "changes":
                            yield "changes", said["changes"]
                        token = said["token"]
                finally:
                    connection.close()
            except (OSError, Unavailable):
                time.sleep(0.5)

    def _ask(self, method, params, wait=None):
        """Retries on a new connection until the timeout. This is safe: all methods only read.
        The service may take `wait` seconds longer to answer; it is told how many of them are left."""
        end = time.monotonic() + (wait or 0)
        while True:
            left = max(0, end - time.monotonic())
            if wait is not None:
                params["timeoutMs"] = max(1, int(left * 1000))
            try:
                if self._connection is None:
                    self._connection = Connection(self._path, self._timeout)
                return self._connection.call(method, params, left + self._timeout)
            except OSError as error:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                if time.monotonic() > end + self._timeout:
                    raise Unavailable("no answer at {}: {}".format(self._path, error))
                time.sleep(0.2)


def main(arguments):
    client = Client()
    command = arguments[0] if arguments else None
    try:
        if command == "lookup" and len(arguments) == 2:
            domids = client.lookup(arguments[1])
            for domid in domids:
                print(domid)
            return {0: 1, 1: 0}.get(len(domids), 3)
        if command == "wait" and len(arguments) in (2, 3, 4):
            uuid, state, seconds = arguments[1:] + ["present", "30"][len(arguments) - 2:]
            reached, domids = client.wait_for(uuid, state, int(seconds))
            if not reached:
                raise Unavailable("{} is not {} after {} s".format(uuid, state, seconds))
            for domid in domids:
                print(domid)
            return 3 if len(domids) > 1 else 0
        if command == "list":
            for domain in client.list():
                print(domain["domid"], domain["uuid"])
            return 0
        if command == "watch":
            for kind, said in client.follow():
                if kind == "snapshot":
                    print("snapshot", len(said), flush=True)
                else:
                    for change in said:
                        print(change["kind"], change["domid"], change["uuid"], flush=True)
    except (Refused, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 4
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(0)
