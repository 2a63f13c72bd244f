"""A cable between an uplink of a host and a NIC of a peer (peer.py). It can swallow frames while both ends keep their link (a black hole), and
writes down what passes. Cutting it is done at the NICs: Host.set_link, Peer.set_link.

Frames travel as QEMU's socket networks send them over TCP: four bytes of length, then the frame. Nothing is lost but what is told to be.
"""
import socket
import struct
import threading
import time

TO_PEER, TO_HOST = 0, 1
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


class Wire:
    def __init__(self, name):
        self.name = name
        self.swallow = [False, False]  # by direction
        self.passed, self.swallowed = [0, 0], [0, 0]
        self._pcap, self._lock = None, threading.Lock()
        self._ends = [None, None]  # sockets: the host's, the peer's
        self._listeners = []
        for end in (0, 1):
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            s.listen(1)
            self._listeners.append(s)
            threading.Thread(target=self._serve, args=(end,), daemon=True).start()

    @property
    def host(self):
        """QEMU's -netdev for the host's end."""
        return f"socket,connect=127.0.0.1:{self._listeners[0].getsockname()[1]}"

    @property
    def peer(self):
        return f"socket,connect=127.0.0.1:{self._listeners[1].getsockname()[1]}"

    def black_hole(self, to_peer=True, to_host=True):
        """From now on frames vanish, in both directions or in one."""
        self.swallow = [to_peer, to_host]

    def heal(self):
        self.swallow = [False, False]

    def capture(self, path):
        """What enters the wire from now on, swallowed or not, as a pcap file (for tshark), until capture_end."""
        self._pcap = open(path, "wb")
        self._pcap.write(PCAP_HEADER)

    def capture_end(self):
        with self._lock:
            pcap, self._pcap = self._pcap, None
        pcap.close()

    def _write(self, frame):
        now = time.time()
        with self._lock:
            if self._pcap:
                self._pcap.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(frame), len(frame)) + frame)

    def _serve(self, end):
        """One direction: what the machine at `end` sends. When it goes, the next one may come."""
        while True:
            try:
                s, _ = self._listeners[end].accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end] = s
            try:
                self._carry(s, end)
            except OSError:
                pass
            self._ends[end] = None
            s.close()

    def _carry(self, s, end):
        buffer = bytearray()
        while data := s.recv(1 << 17):
            buffer += data
            at, out = 0, bytearray()
            while len(buffer) - at >= 4:
                size = int.from_bytes(buffer[at:at + 4], "big")
                if len(buffer) - at - 4 < size:
                    break
                if self._pcap:
                    self._write(bytes(buffer[at + 4:at + 4 + size]))
                if self.swallow[end] or not self._ends[1 - end]:
                    self.swallowed[end] += 1
                else:
                    self.passed[end] += 1
                    out += buffer[at:at + 4 + size]
                at += 4 + size
            del buffer[:at]
            other = self._ends[1 - end]
            if out and other:
                try:
                    other.sendall(out)
                except OSError:  # that machine has gone; ours has not
                    pass
