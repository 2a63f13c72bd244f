"""The wire between a host and its storage server, read along: which writes were acknowledged, and which of them the server was told to make stable.

RFC 1813 lets an NFS server forget unstable writes when it crashes (3.3.7, 3.3.21). One that is killed does not, as its kernel still has them;
`unstable` says what it may forget, so that a test can take it away. A SCSI target may keep writes in a cache until SYNCHRONIZE CACHE (SBC-3 4.15).
"""
import socket
import struct
import threading

NFS, VERSION, WRITE, COMMIT = 100003, 3, 7, 21
UNSTABLE = 0
WCC_BEFORE, WCC_AFTER = 24, 84
BHS, SCSI_COMMAND, SCSI_RESPONSE = 48, 0x01, 0x21
WRITE_16, SYNCHRONIZE_CACHE_16 = 0x8a, 0x91


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


class ServerWire:
    """Passes on what comes to `port` to the server at `behind`, on loopback, and reads along: `_request` and `_answer` get whole messages,
    `_split` cuts them from a stream. One file or LUN is written."""

    def __init__(self, port, behind):
        self.behind, self.lock = behind, threading.Lock()
        self.requests = {}  # by their number: what they are, and how many writes were acknowledged when they were sent
        self.writes = []    # (offset, bytes) of each that was acknowledged and may be forgotten, in this order
        self.stable = 0     # so many of them are stable
        self.flushes = 0    # that made them so
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def unstable(self):
        """(offset, bytes) of all writes that were acknowledged and are not stable."""
        with self.lock:
            return self.writes[self.stable:]

    def forgotten(self):
        """The server has crashed: nothing of before is unstable any more."""
        with self.lock:
            self.requests, self.writes, self.stable = {}, [], 0

    def _sent(self, number, what, offset, count):
        with self.lock:
            self.requests[number] = what, offset, count, len(self.writes)

    def _flushed(self, acknowledged):
        self.flushes += 1
        self.stable = max(self.stable, acknowledged)

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
            for a, b, read in ((client, server, self._request), (server, client, self._answer)):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(a, b, read), daemon=True).start()

    def _pass(self, a, b, read):
        stream = b""
        try:
            while data := a.recv(1 << 20):
                stream = self._split(stream + data, read)  # first read, then passed on: what is acknowledged is known here before
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class NfsWire(ServerWire):
    @staticmethod
    def _split(stream, take):
        return records(stream, take)

    def _request(self, x):
        xid, kind, _rpc, program, version, procedure = (x.u32() for _ in range(6))
        if (kind, program, version) != (0, NFS, VERSION) or procedure not in (WRITE, COMMIT):
            return
        x.auth()
        x.auth()
        x.opaque()  # the file
        self._sent(xid, procedure, x.u64(), 0)

    def _answer(self, x):
        xid, kind, denied = (x.u32() for _ in range(3))
        with self.lock:
            procedure, offset, _, acknowledged = self.requests.pop(xid, (None, 0, 0, 0))
            if procedure is None or kind != 1 or denied:
                return
            x.auth()
            if x.u32() or x.u32():  # not accepted, or an NFS error
                return
            x.wcc_data()
            if procedure == COMMIT:
                self._flushed(acknowledged)
                return
            count, how = x.u32(), x.u32()
            if how == UNSTABLE:
                self.writes.append((offset, count))


class IscsiWire(ServerWire):
    """Without digests."""

    @staticmethod
    def _split(stream, take):
        while len(stream) >= BHS:
            size = BHS + 4 * stream[4] + (int.from_bytes(stream[5:8], "big") + 3 & ~3)  # RFC 7143 section 11.2.1
            if len(stream) < size:
                break
            take(stream[:BHS])
            stream = stream[size:]
        return stream

    def _request(self, header):
        cdb = header[32:48]
        if header[0] & 0x3f == SCSI_COMMAND and cdb[0] in (WRITE_16, SYNCHRONIZE_CACHE_16):
            self._sent(header[16:20], cdb[0], int.from_bytes(cdb[2:10], "big"), int.from_bytes(cdb[10:14], "big"))

    def _answer(self, header):
        if header[0] & 0x3f != SCSI_RESPONSE:
            return
        with self.lock:
            operation, block, count, acknowledged = self.requests.pop(header[16:20], (None, 0, 0, 0))
            if operation is None or header[2] or header[3]:  # response, status
                return
            if operation == SYNCHRONIZE_CACHE_16:
                self._flushed(acknowledged)
            else:
                self.writes.append((block, count))
