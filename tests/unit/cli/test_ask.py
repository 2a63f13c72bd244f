#!/usr/bin/env python3
"""`berth trace` and `berth capture` against a fake host (fake_host.py), on good and on bad lines. Usage: test_ask.py BERTH

Whatever else is on the line (noise, other events, answers to others and to earlier lines), what is shown is what the host answered to this very
question; or the user is told that it did not work out.
"""
import base64
import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile

from fake_host import Host, Line, Noise

BERTH = pathlib.Path(sys.argv[1]).resolve()
STEP = {"stage": "result", "text": "delivered to a2.nic0", "path": "", "at": ""}
WRONG = {"event": "trace", "port": "x", "result": "dropped", "steps": [{"stage": "result", "text": "WRONG", "path": "", "at": ""}]}
FRAMES = 40
failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}", flush=True)


def run(folder, name, host, *arguments, wait="3", **line):
    console = folder / name
    far = Line(console, host, **line)
    try:
        return subprocess.run([BERTH, arguments[0], "--console", console, "--wait", wait, *arguments[1:]], capture_output=True, text=True, timeout=120)
    finally:
        far.close()


# ---- trace ----

def traced(port, frame, length):
    """A damaged line may arrive: the host answers what it understands of it."""
    return {"event": "trace", "port": port, "result": "delivered", "steps": [dict(STEP, text=f"{port} {frame} {length}")]}


def trace(folder, name, host=None, **line):
    host = host or Host(commands={"trace": traced})
    return host, run(folder, name, host, "trace", "a1.nic0", "--frame", "52540000000a52540000000b0800", **line)


def good(r):
    return r.returncode == 0 and r.stdout == "result    a1.nic0 52540000000a52540000000b0800 14\n" and r.stderr == ""


def test_trace(folder):
    host, r = trace(folder, "trace")
    expect(good(r) and len(host.asked) == 1, f"trace: {r}")


def test_others_answers(folder):
    """Answers and errors that wait in the line already, and those that are nearly ours."""
    def near(answer):
        return (json_line({**WRONG, "id": 7, "request": "00000000"}) + json_line(WRONG) + Host.with_crc({**WRONG, "id": 1, "request": "01234567"})
                + json_line({"event": "error", "text": "unknown command"}) + answer)

    greeting = json_line(WRONG) + b"\x00\xff{{{\n" + json_line({"event": "error", "text": "WRONG"}) + Host.with_crc({**WRONG, "id": 0, "request": "0"})
    host, r = trace(folder, "others", greeting=greeting, answers=near)
    expect(good(r) and len(host.asked) == 1, f"others' answers: {r}")


def json_line(o):
    return json.dumps(o).encode() + b"\n"


def test_a_damaged_line(folder):
    """The frame's last digit is another one on its way: the host answers that question, and the client asks again, at once."""
    hit = []

    def once(line):
        if hit or not line.startswith(b"ask"):
            return line
        hit.append(line)
        return line.replace(b"0800 ", b"0801 ")

    host, r = trace(folder, "damaged", requests=once)
    expect(good(r) and len(host.asked) == 2 and host.asked[0][2].endswith("0801"), f"a damaged line: {r} {host.asked}")


def test_the_last_answer_comes_late(folder):
    """It is not the answer to the line that was sent again."""
    late = []

    def first_late(answer):
        late.append(answer)
        return b"" if len(late) == 1 else late[0].replace(b"a1.nic0", b"WRONG") + late[0] + answer

    host, r = trace(folder, "late", answers=first_late)
    expect(good(r) and len(host.asked) == 2 and host.asked[0] == host.asked[1], f"late: {r}")


def test_error(folder):
    _, r = trace(folder, "error", Host(commands={"trace": lambda *words: {"event": "error", "text": "no port of this name"}}))
    expect(r.returncode == 3 and r.stderr == "berth: the host says: no port of this name\n" and not r.stdout, f"an error: {r}")


# ---- capture ----

def frame(i):
    return bytes([0x52, 0x54, 0, 0, 0, i]) + bytes([0x52, 0x54, 0, 0, 1, i]) + b"\x08\x00" + f"frame {i:03}".encode() * (1 + i * 4)


def captured(_session, sequence, offset="0"):
    """As docs/control-console.md has it, 500 bytes an answer."""
    sequence, offset, room, frames = int(sequence), int(offset), 500, []
    while sequence < FRAMES and room:
        whole = frame(sequence)
        piece = whole[offset:offset + room]
        frames.append({"sequence": sequence, "time_ns": 1000 * sequence, "port": "a1.nic0", "direction": "in", "frame_bytes": len(whole), "captured_bytes": len(whole),
                       "offset": offset, "data": base64.b64encode(piece).decode()})
        room -= len(piece)
        if offset + len(piece) < len(whole):
            break
        sequence, offset = sequence + 1, 0
    return {"event": "capture", "session": "all", "now_ns": 10 ** 9, "first": 0, "next": FRAMES, "overwritten": 0, "frames": frames}


def capture(folder, name, **line):
    host, out = Host(commands={"capture": captured}), folder / f"{name}.pcapng"
    r = run(folder, name, host, "capture", "all", "-o", out, **line)
    return r, out.read_bytes()


def complete(data):
    """Each frame once, in order."""
    at = 0
    for i in range(FRAMES):
        found = data.find(frame(i), at)
        if found < 0 or data.count(frame(i)[:12]) != 1:
            return False
        at = found
    return True


def test_capture(folder):
    r, data = capture(folder, "capture")
    expect(r.returncode == 0 and complete(data), f"capture: {r}")


def test_capture_with_every_answer_twice_and_noise(folder):
    last = [b""]

    def noisy(answer):
        before, last[0] = last[0], answer
        return before + b'{"event": "capture", "frames": [\n' + answer + b"\n" + json_line({"event": "vm-ended", "vm": "x"}) + answer

    r, data = capture(folder, "noisy", answers=noisy)
    expect(r.returncode == 0 and complete(data), f"every answer twice: {r}")


def test_capture_on_bad_lines(folder):
    """Whole and right, or a failure that is told."""
    def one(seed):
        noise = Noise(seed, 0.15)
        r, data = capture(folder, f"bad{seed}", wait="0.5", requests=noise.request, answers=noise.answer)
        return seed, noise.hits, r, complete(data)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = list(pool.map(one, range(12)))
    for seed, hits, r, whole in results:
        expect((r.returncode == 0 and whole) or (r.returncode == 3 and r.stderr.startswith("berth: ")), f"seed {seed}, {hits}: {r}")
    worked = sum(r.returncode == 0 for _, _, r, _ in results)
    expect(worked >= 8 and any(hits for _, hits, _, _ in results), f"only {worked} of {len(results)} bad lines were overcome")


def main():
    tests = [f for name, f in list(globals().items()) if name.startswith("test_")]
    with tempfile.TemporaryDirectory() as folder:
        for f in tests:
            f(pathlib.Path(folder))
    print(f"{len(tests)} tests, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
