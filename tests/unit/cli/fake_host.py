"""A host's control console as far as `config` and `ask` go, written from docs/control-console.md, on a UNIX socket; and a line to it that may be bad.

A line's faults are functions from bytes to what really goes over: `Line.requests` for each line that the client sends, `Line.answers` for each
that the host sends.
"""
import base64
import binascii
import json
import os
import random
import socket
import threading

LIMIT = 4 << 20


def crc(data):
    return f"{binascii.crc32(data):08x}"


class Host:
    """What a host does with the lines that reach it. `verdict(config, parts)` is the answer to check and apply, `commands[name](words)` what `ask` is
    answered by: an object."""

    def __init__(self, verdict=None, commands=None):
        self.commands, self.asked = commands or {}, []
        self.verdict = verdict or (lambda config, parts: {"state": "applied", "changes": [], "problems": []})
        self.id, self.parts, self.result = None, [], None
        self.applied, self.checked, self.aborted, self.verbs = [], 0, 0, []

    def line(self, raw):
        """The answers to one line (without its newline): bytes."""
        text = raw.decode("ascii", "replace")
        if not text:
            return []
        if text.startswith("ask "):
            return [self.ask(raw[len(b"ask "):], *text[len("ask "):].split(" "))]
        if not text.startswith("config "):
            return [json.dumps({"event": "error", "text": "unknown command; `help` lists them"}).encode() + b"\n"]
        arguments = text[len("config "):]
        return [self.with_crc({"event": "config", "request": crc(raw[len(b"config "):]), **self.config(arguments.split(" "))})]

    @staticmethod
    def with_crc(answer):
        rest = json.dumps(answer).encode()[1:]
        return b'{"crc":"' + crc(rest).encode() + b'",' + rest + b"\n"

    def ask(self, raw, number, command="", *words):
        if not number.isdigit() or int(number) > 0xffffffff:
            return json.dumps({"event": "error", "text": "ask ID COMMAND; `help` lists the commands"}).encode() + b"\n"
        self.asked.append((command, *words))
        run = self.commands.get(command, lambda *_: {"event": "error", "text": "unknown command; `help` lists them"})
        try:
            answer = run(*words)
        except (TypeError, ValueError):
            answer = {"event": "error", "text": "that is damaged"}
        return self.with_crc({**answer, "id": int(number), "request": crc(raw)})

    def config(self, words):
        verb, number = words[0], int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        run = getattr(self, "do_" + verb, None)
        if not run or not number:
            return {"id": number, "state": "error", "offset": 0, "text": "config begin ID, part, data, check, apply or abort"}
        self.verbs.append(verb)
        if verb == "apply" and self.result and self.result[0] == number and self.id is None:
            return {"id": number, **self.result[1]}
        if verb != "begin" and number != self.id:
            return {"id": number, "state": "error", "offset": 0, "text": "no transfer of this number is open"}
        try:
            return {"id": number, **run(number, *words[2:])}
        except (TypeError, ValueError):
            return {"id": number, "state": "again" if verb == "data" and self.parts else "error", "offset": self.got(), "text": "a number is wrong"}

    def got(self):
        return len(self.parts[-1]["bytes"]) if self.parts else 0

    def progress(self, state=None, text=""):
        whole = self.parts and self.got() == self.parts[-1]["size"]
        return {"state": state or ("ready" if not self.parts else "received" if whole else "receiving"), "offset": self.got(), "text": text}

    def do_begin(self, number):
        if self.id != number:
            self.id, self.parts = number, []
        return self.progress()

    def do_part(self, _number, name, size, checksum):
        part = {"name": name, "size": int(size), "crc": f"{int(checksum, 16):08x}" if len(checksum) == 8 else int("bad"), "bytes": b""}
        if self.parts and all(self.parts[-1][k] == part[k] for k in ("name", "size", "crc")):
            return self.progress()
        if self.parts and not self.got():
            self.parts.pop()
        if int(size) > LIMIT or (self.parts and self.got() != self.parts[-1]["size"]):
            return self.progress("error", "another part is not complete")
        self.parts.append(part)
        return self.progress()

    def do_data(self, _number, offset, checksum, text):
        part, data = self.parts[-1], base64.b64decode(text, validate=True)
        if not 0 < len(data) <= 720 or crc(data) != checksum:
            return self.progress("again", "the line's checksum is wrong")
        if int(offset) + len(data) <= self.got():
            return self.progress()
        if int(offset) != self.got() or self.got() + len(data) > part["size"]:
            return self.progress("again", "another offset is expected")
        part["bytes"] += data
        if self.got() == part["size"] and crc(part["bytes"]) != part["crc"]:
            part["bytes"] = b""
            return self.progress("again", "the checksum of the whole part is wrong")
        return self.progress()

    def _whole(self):
        if not self.parts or self.got() != self.parts[-1]["size"]:
            return None
        parts = {p["name"]: p["bytes"] for p in self.parts}
        return self.verdict(json.loads(parts["config.json"]), parts), parts

    def do_check(self, _number):
        self.checked += 1
        whole = self._whole()
        return {**whole[0], "state": "checked" if whole[0]["state"] == "applied" else "refused"} if whole else self.progress("error", "not complete")

    def do_apply(self, number):
        whole = self._whole()
        if not whole:
            return self.progress("error", "not complete")
        self.applied.append(whole[1])
        self.result, self.id, self.parts = (number, whole[0]), None, []
        return whole[0]

    def do_abort(self, _number):
        self.aborted += 1
        self.id, self.parts = None, []
        return {"state": "aborted", "offset": 0, "text": ""}


def as_it_is(line):
    return line


class Line:
    """The socket `path`, and a Host behind it. silent: nothing is ever answered. hang_up: after so many lines the far end closes."""

    def __init__(self, path, host, requests=as_it_is, answers=as_it_is, silent=False, hang_up=1 << 30, greeting=b""):
        self.host, self.requests, self.answers, self.silent, self.hang_up, self.greeting = host, requests, answers, silent, hang_up, greeting
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        with client:
            try:
                self._talk(client)
            except OSError:
                pass  # the client has gone

    def _talk(self, client):
        client.sendall(self.greeting)
        sent, wire, lines = b"", b"", 0
        while True:
            data = client.recv(65536)
            if not data:
                return
            *whole, sent = (sent + data).split(b"\n")
            for line in whole:
                wire += self.requests(line + b"\n")
            *arrived, wire = wire.split(b"\n")
            for line in arrived:
                lines += line != b""
                if lines > self.hang_up:
                    return
                for answer in self.host.line(line):
                    client.sendall(b"" if self.silent else self.answers(answer))

    def close(self):
        self.listener.close()
        self.thread.join(10)


# ---- faults ----

class Noise:
    """A line on which anything may happen, the same for the same seed. share: of lines that are hit."""

    def __init__(self, seed, share):
        self.random, self.share, self.late, self.hits = random.Random(seed), share, b"", []

    def _hit(self, names):
        if self.random.random() >= self.share:
            return None
        self.hits.append(self.random.choice(names))
        return self.hits[-1]

    def _flip(self, line):
        at = self.random.randrange(len(line) - 1)
        return line[:at] + bytes([line[at] ^ 1 << self.random.randrange(7)]) + line[at + 1:]

    def request(self, line):
        if len(line) < 2:
            return line
        hit, cut = self._hit(["lost", "flipped", "cut", "no newline", "twice"]), self.random.randrange(1, len(line))
        return {None: line, "lost": b"", "flipped": self._flip(line), "cut": line[:cut] + b"\n", "no newline": line[:cut], "twice": line + line}[hit]

    def answer(self, line):
        hit = self._hit(["lost", "flipped", "cut", "twice", "three times", "garbage", "binary", "late", "other events"])
        cut, late, self.late = self.random.randrange(1, len(line)), self.late, b""
        if hit == "late":  # it arrives in front of the next one
            self.late = line
            return late
        return late + {None: line, "lost": b"", "flipped": self._flip(line), "cut": line[:cut], "twice": line + line, "three times": line * 3,
                       "garbage": b'{"event": "config", "id": 1}\n[[[[\n{"event": ' + line, "binary": os.urandom(3000) + b"\n" + line,
                       "other events": b'{"event": "vm-ended", "vm": "a"}\n{"event": "error", "text": "x"}\n' + line}[hit]
