#!/usr/bin/env python3
"""Runs all tests and ends with a line `N passed, N failed`.

Four kinds: unit tests and lints (meson's), image tests (tests/image/<name>: a host image without guests), guest tests (tests/guest/<name>: a
small program booted in one VM on one host) and system tests (tests/system: real servers, Linux guests). All but the first run two at a time; a
failed one prints its whole output.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lab"))
sys.path.insert(0, str(ROOT / "tests" / "guest"))
from berthlab import BUILD, guest  # noqa: E402
import build as guest_programs  # noqa: E402

SYSTEM = [  # name, arguments, seconds it may take
    ("storage_native", ["steady"], 120),
    ("storage_native", ["chap-wrong"], 120),
    ("storage_native", ["san-kill"], 120),
    ("storage_native", ["san-hang"], 120),
    ("storage_native", ["san-late"], 120),
    ("storage_native", ["conn-drop"], 120),
    ("storage_native", ["nas-kill"], 120),
    ("storage_native", ["nas-hang"], 120),
    ("chap_right_and_wrong", [], 400),
    ("storage_loss", ["san"], 500),
    ("storage_loss", ["nas"], 500),
    ("storage_loss", ["san-hang"], 500),
    ("storage_loss", ["nas-hang"], 500),
    ("san_absent", [], 400),
    ("vlans", [], 400),
    ("smp_guest", ["3"], 300),
    ("smp_guest", ["1"], 300),
    ("outside_machine", [], 500),
    ("main_job", [], 1800),
]
LOGS = BUILD / "test-logs"


def run(name, args, seconds):
    """(name, passed, seconds it took, output)"""
    start = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / (name.replace("/", "-").replace(" ", "-") + ".log")
    with open(log, "wb") as out:
        p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = p.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, 9)
            p.wait()
            status = f"no end after {seconds} s"
    return name, status == 0, time.monotonic() - start, log.read_text(errors="replace") + ("" if status == 0 else f"\n[{name}: status {status}]")


def unit_tests(wanted):
    r = subprocess.run(["meson", "test", "-C", str(BUILD / "native"), "--no-rebuild", "--num-processes", "2", "--print-errorlogs", *wanted],
                       stdout=open(LOGS / "unit.log", "wb"), stderr=subprocess.STDOUT)
    results = []
    for line in (BUILD / "native/meson-logs/testlog.json").read_text().splitlines():
        t = json.loads(line)
        ok = t["result"] in ("OK", "EXPECTEDFAIL")
        results.append(("unit/" + t["name"].split(" / ")[-1], ok, t["duration"], t.get("stdout", "") + t.get("stderr", "")))
    if r.returncode and all(ok for _, ok, _, _ in results):
        results.append(("unit", False, 0, (LOGS / "unit.log").read_text(errors="replace")[-4000:]))
    return results


def unit_names():
    out = subprocess.run(["meson", "test", "-C", str(BUILD / "native"), "--no-rebuild", "--list"], capture_output=True, text=True).stdout
    return [line.split(" / ")[-1].strip() for line in out.splitlines() if line.strip() and not line.startswith(("ninja", "Available"))]


def image_tests():
    """Each tests/image/<name>/run lists its cases."""
    tests = []
    for runner in sorted((ROOT / "tests/image").glob("*/run")):
        for case in subprocess.run([runner, "--list"], capture_output=True, text=True, check=True).stdout.split():
            tests.append((f"image/{runner.parent.name}/{case}", [str(runner), case], 180))
    return tests


def tell(result):
    name, ok, took, output = result
    print(f"{'ok    ' if ok else 'FAILED'} {name} ({took:.1f} s)", flush=True)
    if not ok:
        print("    " + "\n    ".join(output.splitlines()[-60:]), flush=True)


def main():
    patterns = [a for a in sys.argv[1:] if not a.startswith("-")]
    LOGS.mkdir(parents=True, exist_ok=True)

    def want(name):
        return not patterns or any(p in name for p in patterns)

    units = [n for n in unit_names() if want("unit/" + n)]
    guests = [(f"guest/{n}", [str(ROOT / "tests/guest/run-one"), n], 300) for n in guest_programs.names() if want(f"guest/{n}")]
    images = [t for t in image_tests() if want(t[0])]
    systems = []
    for name, args, seconds in SYSTEM:
        full = "system/" + " ".join([name, *args])
        if want(full):
            systems.append((full, [sys.executable, str(ROOT / f"tests/system/{name}.py"), *args], seconds))
    if "--list" in sys.argv:
        print("\n".join([f"unit/{n}" for n in units] + [t[0] for t in images + guests + systems]))
        return 0
    results = []
    if units:
        for r in unit_tests(units):
            results.append(r)
            tell(r)
    if guests:
        guest_programs.build()
    if systems:
        guest.make()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for f in concurrent.futures.as_completed([pool.submit(run, *t) for t in sorted(systems + guests + images, key=lambda t: -t[2])]):
            results.append(f.result())
            tell(f.result())
    failed = [r for r in results if not r[1]]
    for r in failed:
        print(f"failed: {r[0]}")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
