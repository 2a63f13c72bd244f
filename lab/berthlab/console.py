"""A host's control console for others: a UNIX socket that behaves like the far end of the serial cable, for `berth apply --console` or a terminal."""
import os
import pathlib
import socket
import threading


class SharedConsole:
    """One client at a time. It sees everything that the host writes from then on, and its whole lines go to the host between the lab's own."""

    def __init__(self, path, send):
        """path: made, mode 0600. send(bytes): writes whole lines to the host."""
        self.path, self.send = pathlib.Path(path), send
        self.client, self.lock = None, threading.Lock()
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)  # secrets travel on it
        try:
            self.listener.bind(str(self.path))
        finally:
            os.umask(mask)
        self.listener.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.client = client
            self._read(client)
            with self.lock:
                self.client = None
            client.close()

    def _read(self, client):
        rest = b""
        while True:
            try:
                data = client.recv(65536)
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.send(line + b"\n")

    def host_wrote(self, data):
        with self.lock:
            client = self.client
        if client:
            try:
                client.sendall(data)
            except OSError:
                pass

    def close(self):
        self.listener.close()
        self.path.unlink(missing_ok=True)
