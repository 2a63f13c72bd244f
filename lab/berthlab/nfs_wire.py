"""The wire between a host and an NFS server (version 3): what was written unstable and not committed, and how often it was committed.

RFC 1813 lets a server forget unstable writes when it crashes (3.3.7, 3.3.21). One that is killed does not, as its kernel still has them; `lost`
says what it may forget, so that a test can take it away.
"""
import socket
import struct
import threading

NFS, VERSION, WRITE, COMMIT = 100003, 3, 7, 21
UNSTABLE = 0
WCC_BEFORE, WCC_AFTER = 24, 84


class Xdr:
    """Reads what is behind each other in a record."""

    def __init__(self, record):
        self.record, self.at = record, 0

    def u32(self):
        return struct.unpack(">I", self._take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self._take(8))[0]

    def opaque(self):
        n = self.u32()
        return self._take(n + (-n % 4))[:n]

    def auth(self):
        self.u32()
        self.opaque()

    def wcc_data(self):
        for size in (WCC_BEFORE, WCC_AFTER):
            if self.u32():
                self._take(size)

    def _take(self, n):
        if self.at + n > len(self.record):
            raise ValueError("a record ends early")
        self.at += n
        return self.record[self.at - n:self.at]


def records(stream, take):
    """Hands each whole record (RFC 5531 section 11) of a growing stream to take; what is left of the stream."""
    while len(stream) >= 4:
        head = struct.unpack(">I", stream[:4])[0]
        if len(stream) < 4 + (head & 0x7fffffff):
            break
        if not head >> 31:
            raise ValueError("a record of several fragments")
        take(Xdr(stream[4:4 + (head & 0x7fffffff)]))
        stream = stream[4 + (head & 0x7fffffff):]
    return stream


class NfsWire:
    """Passes on what comes to `port` to the server at `behind`, on loopback, and reads along. One file is written."""

    def __init__(self, port, behind):
        self.behind, self.lock = behind, threading.Lock()
        self.calls = {}      # xid -> (procedure, offset, how many unstable writes were acknowledged when it was sent)
        self.unstable = []   # (offset, bytes) in the order of the acknowledgements
        self.committed = 0   # so many of them are stable
        self.commits = 0
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def lost(self):
        """(offset, bytes) of all writes that were acknowledged and are not stable."""
        with self.lock:
            return self.unstable[self.committed:]

    def forgotten(self):
        """The server has crashed: nothing of before is unstable any more."""
        with self.lock:
            self.calls, self.unstable, self.committed = {}, [], 0

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.behind))
            except OSError:
                client.close()
                continue
            for a, b, read in ((client, server, self._call), (server, client, self._reply)):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(a, b, read), daemon=True).start()

    def _pass(self, a, b, read):
        stream = b""
        try:
            while data := a.recv(1 << 20):
                stream = records(stream + data, read)  # first read, then passed on: what is acknowledged is known here before
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _call(self, x):
        xid, kind, _rpc, program, version, procedure = (x.u32() for _ in range(6))
        if (kind, program, version) != (0, NFS, VERSION) or procedure not in (WRITE, COMMIT):
            return
        x.auth()
        x.auth()
        x.opaque()  # the file
        with self.lock:
            self.calls[xid] = procedure, x.u64(), len(self.unstable)

    def _reply(self, x):
        xid, kind, denied = (x.u32() for _ in range(3))
        with self.lock:
            procedure, offset, acknowledged = self.calls.pop(xid, (None, 0, 0))
            if procedure is None or kind != 1 or denied:
                return
            x.auth()
            if x.u32() or x.u32():  # not accepted, or an NFS error
                return
            x.wcc_data()
            if procedure == COMMIT:
                self.commits += 1
                self.committed = max(self.committed, acknowledged)
                return
            count, how = x.u32(), x.u32()
            if how == UNSTABLE:
                self.unstable.append((offset, count))

    def close(self):
        self.listener.close()
