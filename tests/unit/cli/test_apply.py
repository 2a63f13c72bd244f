#!/usr/bin/env python3
"""`berth apply` against a fake host (fake_host.py), on good and on bad lines. Usage: test_apply.py BERTH

Whatever the line does, the host gets the configuration and the secrets byte by byte and applies them once, or the user is told that it did not
work out, and nobody waits for ever.
"""
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from fake_host import Host, Line, Noise

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "config" / "examples"
BERTH = pathlib.Path(sys.argv[1]).resolve()
SECRET = "berth-lab-chap"
WAIT_S = "1"  # what a lost line costs
CHANGE = {"at": "host.yaml:12", "text": 'port group "web": vlan changes from 20 to 30'}
PROBLEM = {"at": "host.yaml:22", "path": "vms[0].memory", "severity": "error", "message": "the memory of a running VM cannot be changed", "hint": "stop the VM"}
failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}", flush=True)


def verdict(state, *problems):
    return lambda config, parts: {"state": state, "changes": [CHANGE], "problems": list(problems)}


def apply(folder, host, *options, wait=WAIT_S, **line):
    """Runs `berth apply` against the host; the finished process."""
    yaml, secret, console = folder / "host.yaml", folder / "san1.secret", folder / "console"
    shutil.copy(EXAMPLES / "first-light.yaml", yaml)
    secret.write_text(SECRET)
    secret.chmod(0o600)
    console.unlink(missing_ok=True)
    far = Line(console, host, **line)
    try:
        return subprocess.run([BERTH, "apply", "--console", console, "--wait", wait, *options, yaml], capture_output=True, text=True, timeout=120)
    finally:
        far.close()


def wanted(folder):
    """What the host must get."""
    compiled = subprocess.run([BERTH, "compile", folder / "host.yaml"], capture_output=True, check=True).stdout
    return json.loads(compiled), SECRET.encode()


def expect_applied(folder, host, r, what):
    expect(r.returncode == 0 and r.stdout == f"{CHANGE['at']}: {CHANGE['text']}\napplied: 1 change\n" and r.stderr == "",
           f"{what}: status {r.returncode}\n{r.stdout}{r.stderr}")
    expect(len(host.applied) == 1, f"{what}: applied {len(host.applied)} times")
    expect([(json.loads(p["config.json"]), p["san1.secret"]) for p in host.applied[:1]] == [wanted(folder)], f"{what}: what arrived is not what was sent")
    expect(SECRET not in r.stdout + r.stderr, f"{what}: the secret is shown")


def test_good_line(folder):
    host = Host(verdict("applied"))
    expect_applied(folder, host, apply(folder, host), "a good line")
    expect(host.verbs.count("begin") == 1 and host.verbs.count("part") == 2 and host.verbs[-1] == "apply" and host.aborted == 0, f"lines: {host.verbs}")


def test_dry_run(folder):
    host = Host(verdict("applied"))
    r = apply(folder, host, "--dry-run")
    expect(r.returncode == 0 and r.stdout.endswith("checked: 1 change\n") and not host.applied and host.checked == 1 and host.aborted == 1, f"--dry-run: {r.stdout}{r.stderr}")


def test_refusal(folder):
    host = Host(verdict("refused", PROBLEM))
    r = apply(folder, host)
    expect(r.returncode == 1 and r.stdout.endswith("refused: nothing was changed\n")
           and "host.yaml:22: error: vms[0].memory: the memory of a running VM cannot be changed\n  hint: stop the VM\n" in r.stderr, f"refused: {r.stdout}{r.stderr}")


def test_host_says_error(folder):
    host = Host()
    host.do_part = lambda *words: {"state": "error", "offset": 0, "text": "the host has no memory for it"}
    r = apply(folder, host)
    expect(r.returncode == 3 and r.stderr == "berth: the host says: the host has no memory for it\n" and host.aborted == 1, f"an error: {r.stderr}")


def test_an_invalid_file_is_not_sent(folder):
    host = Host()
    (folder / "bad.yaml").write_text("host: {nam: x}\n")
    far = Line(folder / "console", host)
    r = subprocess.run([BERTH, "apply", "--console", folder / "console", folder / "bad.yaml"], capture_output=True, text=True, timeout=60)
    far.close()
    expect(r.returncode == 1 and "bad.yaml:1:" in r.stderr and not host.verbs, f"an invalid file: {r.stderr}")


def test_nobody_answers(folder):
    r = apply(folder, Host(), wait="0.05", silent=True)
    expect(r.returncode == 3 and "does not answer" in r.stderr and "hint:" in r.stderr, f"no answer: {r.stderr}")


def test_only_noise(folder):
    """Noise without an end that never is an answer: it takes as long as silence."""
    host = Host()
    host.line = lambda raw: [bytes(range(256)) * 200 + b"\n", b'{"event": "config"}\n', b"[" * 5000 + b"\n", b"\n" * 1000]
    r = apply(folder, host, wait="0.05")
    expect(r.returncode == 3 and "does not answer" in r.stderr, f"noise: {r.stderr}")


def test_the_far_end_closes(folder):
    for lines in (0, 1, 3):
        host = Host()
        r = apply(folder, host, hang_up=lines)
        expect(r.returncode == 3 and "the console failed" in r.stderr and not host.applied, f"closed after {lines} lines: {r.stderr}")


def test_result_gets_lost(folder):
    """The host has applied it, but says so in vain: the user is told what is known. When it says so again, all is well."""
    host = Host(verdict("applied"))
    r = apply(folder, host, wait="0.3", answers=lambda a: b"" if b'"applied"' in a else a)
    expect(r.returncode == 3 and "is not known" in r.stderr and len(host.applied) == 1, f"no result: {r.stderr}")
    host, lost = Host(verdict("applied")), []
    expect_applied(folder, host, apply(folder, host, answers=lambda a: b"" if b'"applied"' in a and not lost and not lost.append(a) else a), "a result that is lost once")
    expect(host.verbs.count("apply") == 2, f"apply is sent again: {host.verbs}")


def test_each_fault_alone(folder):
    """Every line, or every answer, suffers the same."""
    seen = set()

    def first_time_lost(line):
        fresh = line not in seen
        seen.add(line)
        return b"" if fresh and len(line) > 1 else line

    pieces = {
        "all answers twice": {"answers": lambda a: a + a},
        "all answers three times": {"answers": lambda a: a * 3},
        "all lines twice": {"requests": lambda q: q + q},
        "every line is lost once": {"requests": first_time_lost, "wait": "0.3"},
        "noise around all answers": {"answers": lambda a: b"\xff\x00garbage\n" + a + b'{"event": "config", "id": 7, "state": "refused"}\n{"event":'},
        "noise in front of the first answer": {"greeting": b'login: {"event": "stats"}\n\x00\x00{"event": '},
    }
    for what, line in pieces.items():
        host = Host(verdict("applied"))
        expect_applied(folder, host, apply(folder, host, **line), what)


def noisy(seed):
    with tempfile.TemporaryDirectory(prefix="berth-apply-") as t:
        folder, host, noise = pathlib.Path(t), Host(verdict("applied")), Noise(seed, 0.2)
        r = apply(folder, host, wait="0.5", requests=noise.request, answers=noise.answer)
        expect_applied(folder, host, r, f"noise of seed {seed} ({', '.join(noise.hits)})")
        return len(noise.hits)


def test_noise(folder):
    """All kinds of faults, on a fifth of all lines and answers."""
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        hits = list(pool.map(noisy, range(24)))
    print(f"{sum(hits)} faults in {len(hits)} transfers")
    expect(sum(hits) > 50, "there was no noise")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            with tempfile.TemporaryDirectory(prefix="berth-apply-") as folder:
                test(pathlib.Path(folder))
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
