#!/usr/bin/env python3
"""Runs all tests and ends with a line `N passed, N failed` (and `, N skipped` if there are any).

usage: tests/run.py [PATTERN...]     only tests whose name contains a PATTERN; --list prints the names

Six kinds: unit tests and lints (meson's), image tests (tests/image/<name>: a host image without guests), guest tests (tests/guest/<name>: a
small program booted in one VM on one host), generated programs (tests/differential), the cost of exits (tests/bench) and system tests (tests/system:
real servers, Linux guests). All but the first run two at a time, the longest first, each contained: when it ends, fails, is killed or out of
time, no QEMU and no server of it is left. A failed one prints the end of its output at once, and again, with the reason, before the last line; one
that counts something (COUNTS) prints what it counted. A test whose emulator aborted itself is run again. Exit status 77 of a test is a skip.
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lab"))
sys.path.insert(0, str(ROOT / "tests" / "guest"))
from berthlab import BUILD, contain, guest, peer  # noqa: E402
from berthlab.qemu import PLATFORM_ABORT  # noqa: E402
import build as guest_programs  # noqa: E402

SYSTEM = [  # name, arguments, seconds it usually takes (the longest are started first), seconds it may take
    ("main_job", [], 200, 1800),
    ("outside_machine", [], 100, 500),
    ("storage_loss", ["san"], 120, 500),
    ("storage_loss", ["nas"], 120, 500),
    ("storage_loss", ["san-hang"], 120, 500),
    ("storage_loss", ["nas-hang"], 120, 500),
    ("chap_right_and_wrong", [], 60, 400),
    ("san_absent", [], 40, 400),
    ("vlans", [], 50, 400),
    ("trunk", [], 70, 500),
    ("uplink_teams", ["link"], 80, 400),
    ("uplink_teams", ["beacon"], 90, 400),
    ("uplink_teams", ["lacp"], 90, 500),
    ("live_change", [], 80, 500),
    ("see_everything", [], 90, 500),
    ("snooping", [], 80, 500),
    ("private_vlans", [], 80, 500),
    ("policies", [], 100, 500),
    ("smp_guest", ["3"], 25, 300),
    ("smp_guest", ["1"], 25, 300),
    ("smp_guest", ["intel"], 150, 1800),
    ("multi_queue", [], 40, 300),
    ("lab_options", [], 60, 900),
    ("stop_vm", ["san"], 60, 500),
    ("stop_vm", ["nas"], 60, 500),
    ("stop_vm", ["san-hang"], 70, 500),
    ("stop_vm", ["nas-hang"], 70, 500),
    ("idle_host", [], 30, 400),
    ("idle_host", ["intel"], 30, 400),
    ("stop_guest", ["amd"], 10, 300),
    ("stop_guest", ["intel"], 20, 400),
    ("damaged_config", [], 15, 300),
    ("fair_time", ["amd"], 15, 400),
    ("fair_time", ["intel"], 20, 400),
    ("iso", ["uefi"], 30, 300),
    ("iso", ["bios"], 15, 300),
    ("iso", ["intel"], 20, 300),
    ("intel_interrupts", [], 50, 600),
    ("no_virtualization", ["amd-none"], 10, 300),
    ("no_virtualization", ["amd-no-npt"], 10, 300),
    ("no_virtualization", ["intel-old"], 15, 300),
    ("dirty_log", ["amd"], 10, 300),
    ("dirty_log", ["intel"], 15, 300),
    ("dirty_log", ["intel", "without=pml"], 15, 300),
    ("main_job", ["intel"], 300, 3600),
    ("storage_native", ["nas-kill"], 45, 150),
    ("storage_native", ["san-hang"], 30, 150),
    ("storage_native", ["nas-hang"], 30, 150),
    ("storage_native", ["san-kill"], 20, 150),
    ("storage_native", ["san-late"], 20, 150),
    ("storage_native", ["conn-drop"], 20, 150),
    ("storage_native", ["steady"], 10, 150),
    ("storage_native", ["chap-wrong"], 10, 150),
]
DIFFERENTIAL_PROGRAMS = 1200
COUNTS = {"differential/generated": 1, "bench/exits": 8}  # lines
IMAGE_USUAL_S, IMAGE_LIMIT_S = 6, 180
GUEST_USUAL_S, GUEST_LIMIT_S = 5, 300
PLATFORM, SKIP = 75, 77
ATTEMPTS = 3
SUMMARY_LINES = 20
WHY = re.compile(r"FAILED\b|\[  ERROR   \]|(==\d+==)?ERROR: |[\w.]+(Error|Exception|Expired): ")  # ours, cmocka's, sanitizers', Python's
AT_ONCE = 2
LOGS = BUILD / "test-logs"
Test = collections.namedtuple("Test", "name args usual limit")
Result = collections.namedtuple("Result", "name outcome seconds output")
OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"


class Runner:
    """Runs contained tests; `stop` ends those that run."""

    def __init__(self):
        self.running, self.lock, self.stopped = set(), threading.Lock(), False

    def run(self, test):
        start = time.monotonic()
        for attempt in range(ATTEMPTS):
            status, output = self._once(test)
            if status == 0 or not (status == PLATFORM or PLATFORM_ABORT in output):
                break
            print(f"again  {test.name}: the emulator aborted itself (attempt {attempt + 1} of {ATTEMPTS})", flush=True)
        outcome = {0: OK, SKIP: SKIPPED}.get(status, FAILED)
        return Result(test.name, outcome, time.monotonic() - start, output + ("" if status == 0 else f"\n[{test.name}: status {status}]"))

    def _once(self, test):
        log = LOGS / (test.name.replace("/", "-").replace(" ", "-") + ".log")
        folder = tempfile.mkdtemp(prefix="berth-test-")
        try:
            with open(log, "wb") as out, self.lock:
                if self.stopped:
                    return "not started", ""
                p = subprocess.Popen(contain.contained(test.args), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                     env=dict(os.environ, TMPDIR=folder, PYTHONUNBUFFERED="1"))
                self.running.add(p)
            try:
                status = p.wait(test.limit)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
                status = f"no end after {test.limit} s"
            with self.lock:
                self.running.discard(p)
            return status, log.read_text(errors="replace")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self):
        with self.lock:
            self.stopped = True
            for p in self.running:
                p.kill()


def unit_tests(wanted):
    r = subprocess.run(["meson", "test", "-C", str(BUILD / "native"), "--no-rebuild", "--num-processes", str(AT_ONCE), "--timeout-multiplier", "3",
                        "--print-errorlogs", *wanted], stdin=subprocess.DEVNULL, stdout=open(LOGS / "unit.log", "wb"), stderr=subprocess.STDOUT)
    results = []
    for line in (BUILD / "native/meson-logs/testlog.json").read_text().splitlines():
        t = json.loads(line)
        outcome = {"OK": OK, "EXPECTEDFAIL": OK, "SKIP": SKIPPED}.get(t["result"], FAILED)
        results.append(Result("unit/" + t["name"].split(" / ")[-1], outcome, t["duration"], t.get("stdout", "") + t.get("stderr", "")))
    if r.returncode and all(r.outcome != FAILED for r in results):
        results.append(Result("unit", FAILED, 0, (LOGS / "unit.log").read_text(errors="replace")[-4000:]))
    return results


def unit_names():
    out = subprocess.run(["meson", "test", "-C", str(BUILD / "native"), "--no-rebuild", "--list"], capture_output=True, text=True).stdout
    return [line.split(" / ")[-1].strip() for line in out.splitlines() if line.strip() and not line.startswith(("ninja", "Available"))]


def image_tests():
    """Each tests/image/<name>/run lists its cases."""
    tests = []
    for runner in sorted((ROOT / "tests/image").glob("*/run")):
        for case in subprocess.run([runner, "--list"], capture_output=True, text=True, check=True).stdout.split():
            tests.append(Test(f"image/{runner.parent.name}/{case}", [str(runner), case], IMAGE_USUAL_S, IMAGE_LIMIT_S))
    return tests


def booted_tests():
    tests = [Test(f"guest/{n}", [str(ROOT / "tests/guest/run-one"), n], GUEST_USUAL_S, GUEST_LIMIT_S) for n in guest_programs.names()]
    tests += [Test(f"guest-intel/{n}", [str(ROOT / "tests/guest/run-one"), n, "both"], 3 * GUEST_USUAL_S, GUEST_LIMIT_S) for n in guest_programs.names()
              if guest_programs.runs_on(n, "intel")]
    tests.append(Test("differential/generated", [str(ROOT / "tests/differential/run"), "--count", str(DIFFERENTIAL_PROGRAMS)], 150, 900))
    tests.append(Test("bench/exits", [str(ROOT / "tests/bench/run"), "exits", "--check"], 20, 300))
    for name, args, usual, limit in SYSTEM:
        tests.append(Test("system/" + " ".join([name, *args]), [sys.executable, str(ROOT / f"tests/system/{name}.py"), *args], usual, limit))
    return sorted(image_tests() + tests, key=lambda t: -t.usual)


def reason(output):
    """The line of a failed test's output that says why: the first that calls itself a failure or an error; if there is none, the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next(filter(WHY.match, lines), lines[-1] if lines else "no output")


def indented(output, count):
    return "    " + "\n    ".join(output.splitlines()[-count:])


def tell(result):
    print(f"{result.outcome:7}{result.name} ({result.seconds:.1f} s)", flush=True)
    lines = {OK: COUNTS.get(result.name, 0), SKIPPED: 3, FAILED: 60}[result.outcome]
    if lines:
        print(indented(result.output, lines), flush=True)


def run_booted(tests):
    if any(t.name.startswith(("guest/", "guest-intel/", "bench/", "system/")) for t in tests):
        guest_programs.build()
    if any(t.name.startswith("system/") for t in tests):
        guest.make()
        guest.make(peer.KIND)
    if any(t.name == "system/intel_interrupts" for t in tests):
        subprocess.run([ROOT / "lab/bochs"], stdout=subprocess.DEVNULL)  # says itself why not; the test then fails
    runner = Runner()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for f in concurrent.futures.as_completed([pool.submit(runner.run, t) for t in tests]):
                tell(f.result())
                yield f.result()
        except BaseException:
            runner.stop()
            raise


def main():
    patterns = [a for a in sys.argv[1:] if not a.startswith("-")]
    LOGS.mkdir(parents=True, exist_ok=True)

    def want(name):
        return not patterns or any(p in name for p in patterns)

    units = [n for n in unit_names() if want("unit/" + n)]
    booted = [t for t in booted_tests() if want(t.name)]
    if "--list" in sys.argv:
        print("\n".join([f"unit/{n}" for n in units] + sorted(t.name for t in booted)))
        return 0
    why = contain.possible() if booted else None
    if why:
        sys.exit(f"tests: image, guest and system tests need namespaces, and root to make them: {why}")
    start, results = time.monotonic(), []
    if units:
        for r in unit_tests(units):
            results.append(r)
            tell(r)
    between = time.monotonic()
    if booted:
        results += run_booted(booted)
    count = collections.Counter(r.outcome for r in results)
    for r in results:  # again, and shorter, for who sees only the end of a long log
        if r.outcome == FAILED:
            print(f"failed: {r.name}: {reason(r.output)}\n{indented(r.output, SUMMARY_LINES)}")
    print(f"unit tests and lints {between - start:.0f} s, booted tests {time.monotonic() - between:.0f} s")
    print(f"{count[OK]} passed, {count[FAILED]} failed" + (f", {count[SKIPPED]} skipped" if count[SKIPPED] else ""))
    return 1 if count[FAILED] or not results else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
