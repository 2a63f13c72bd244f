"""lab/berth-lab as a person uses it: its options, exit statuses, statistics, and what it says of mistakes. Small multiboot guests.

usage: lab_options.py [CASE...]
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/guest"))
import build  # noqa: E402

LAB = ROOT / "lab/berth-lab"
LIMIT_S = 900  # of one run: the runner's own limit comes first
WAITS = '#include "guest.h"\nint main(void)\n{\n\tguest_print("waiting\\n");\n\tfor (;;)\n\t\t__asm__ volatile("hlt");\n}\n'
ONE = """host: {name: hv1}
vms:
  - {name: one, memory: 32MiB, boot: {multiboot: "module:guest"}, debug_exit: true}
"""
TWO = ONE + '  - {name: two, memory: 32MiB, boot: {multiboot: "module:other"}, debug_exit: true}\n'
FULL = """host: {name: hv1, io_cores: 1}
uplinks: [{name: uplink0, match: {mac: "52:54:00:12:34:56"}}]
vswitches: [{name: vSwitch0, uplinks: [uplink0]}]
portgroups: [{name: web, vswitch: vSwitch0, vlan: 20}]
datastores: [{name: ram1, ram: {size: 16MiB}}]
vms:
  - name: one
    memory: 32MiB
    boot: {multiboot: "module:guest"}
    debug_exit: true
    disks: [{datastore: ram1}]
    nics: [{portgroup: web, mac: "52:54:00:aa:00:01"}]
"""
HELLO, CRASHES = build.elf("debug-exit"), build.elf("triple-fault")


class Run:
    """One run of berth-lab: `status`, `text` (both outputs), `check`s on them."""

    def __init__(self, folder, yaml, *options):
        (folder / "host.yaml").write_text(yaml)
        r = subprocess.run([LAB, "run", folder / "host.yaml", *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace", timeout=LIMIT_S)
        self.status, self.text = r.returncode, r.stdout

    def check(self, status, *texts):
        wrong = [f"no {t!r}" for t in texts if t not in self.text]
        if self.status != status:
            wrong.append(f"exit status {self.status}, expected {status}")
        if "Traceback" in self.text:
            wrong.append("a traceback")
        if wrong:
            sys.exit(f"{self.text}\nFAILED: {'; '.join(wrong)}")
        return self


def cores(t):
    """One and four cores, with two VMs; the host says how many it has."""
    for n in (1, 4):
        Run(t, TWO, "--cores", n, "--file", f"guest={HELLO}", "--file", f"other={HELLO}").check(
            0, f"smp.ready: {n} cores", "[one] hello", "[two] hello", "[one] ended: debug-exit 42", "[two] ended: debug-exit 42")


def icount(t):
    """Instructions instead of time."""
    Run(t, ONE, "--icount", "--file", f"guest={HELLO}").check(0, "[one] hello", "[one] ended: debug-exit 42")


def crash(t):
    """A VM that crashes is status 1 and does not take the other with it."""
    Run(t, TWO, "--file", f"guest={CRASHES}", "--file", f"other={HELLO}").check(1, "[one] ended: crash: triple fault", "[two] ended: debug-exit 42")


def timeout(t):
    """A VM that never ends is status 124, and the counters so far are written. On a slow machine it takes longer until the VM runs."""
    source, stats = t / "waits.c", t / "stats.json"
    source.write_text(WAITS)
    waits = build.compile_program([source], t / "waits.elf")
    for seconds in (15, 60, 180):
        stats.unlink(missing_ok=True)
        r = Run(t, ONE, "--timeout", seconds, "--stats", stats, "--file", f"guest={waits}").check(124, f"timeout after {seconds} s")
        if "[one] waiting" in r.text:
            break
    r.check(124, "[one] waiting")
    if not stats.exists():
        sys.exit(f"{r.text}\nFAILED: no counters were written")
    vm = json.loads(stats.read_text())["vms"][0]
    if vm["name"] != "one" or not vm["exits"].get("hlt"):
        sys.exit(f"FAILED: the counters at the timeout: {vm}")


def stats(t):
    """Everything that is promised is in the counters, and an exit of the guest is counted."""
    out = t / "stats.json"
    Run(t, FULL, "--stats", out, "--file", f"guest={HELLO}").check(0, "[one] ended: debug-exit 42")
    s = json.loads(out.read_text())
    vm, disk, memory = s["vms"][0], s["disks"][0], s["memory"]
    ports = {p["name"]: p for p in s["ports"]}
    wrong = [name for name, right in {
        "exits by reason": vm["exits"].get("io", 0) > 0,
        "interrupts injected": vm["interrupts"] == 0,
        "memory of the VM": vm["memory_bytes"] >= 32 << 20,
        "disk": (disk["vm"], disk["datastore"], disk["size_bytes"]) == ("one", "ram1", 16 << 20),
        "I/Os, bytes, errors": all(set(disk[k]) >= {"read", "write", "flush"} for k in ("ios", "bytes", "errors")),
        "latency histogram": len(disk["latency_log2"]) > 8,
        "ports": {"uplink0", "one.nic0"} <= set(ports),
        "packets, bytes, drops by reason": all({"rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "drops"} <= set(p) for p in ports.values()),
        "host memory": 0 < memory["base_bytes"] < memory["total_bytes"],
        "datastore": [d["name"] for d in s["datastores"]] == ["ram1"],
    }.items() if not right]
    if wrong:
        sys.exit(f"{json.dumps(s, indent=1)}\nFAILED: not as promised: {', '.join(wrong)}")


def broken(t):
    """A broken configuration or a missing file is status 2, with the place and a hint, and nothing is started."""
    Run(t, ONE.replace("memory", "memori"), "--file", f"guest={HELLO}").check(2, "host.yaml:3:", 'did you mean "memory"?')
    Run(t, ONE).check(2, "host.yaml:3:", 'no file is given for boot module "guest"', "hint: add: --file guest=PATH")
    Run(t, ONE, "--file", "guest=/nowhere/guest").check(2, '"/nowhere/guest"', "No such file or directory")
    Run(t, ONE, "--file", "guest").check(2, "expected NAME=VALUE")
    Run(t, ONE, "--cores", 0).check(2, "--cores 0: 1 to 64")
    Run(t, ONE, "--memory", 10).check(2, "needs 128 MiB for itself")


def not_a_kernel(t):
    """What is no kernel fails its VM, by name, and no other."""
    Run(t, TWO, "--file", "guest=/etc/passwd", "--file", f"other={HELLO}").check(1, "one: kernel refused: no Multiboot header", "[two] ended: debug-exit 42")


def no_room(t):
    """A VM larger than the host's memory fails with the numbers; the other runs."""
    Run(t, TWO.replace("32MiB", "2GiB", 1), "--memory", 512, "--file", f"guest={HELLO}", "--file", f"other={HELLO}").check(
        1, "vm one: does not fit: it wants 2048 MiB, of the host's", "[one] ended: crash: not started", "[two] ended: debug-exit 42")


CASES = [cores, icount, crash, timeout, stats, broken, not_a_kernel, no_room]


def main():
    wanted = [c for c in CASES if c.__name__ in sys.argv[1:] or not sys.argv[1:]]
    build.build()
    for case in wanted:
        with tempfile.TemporaryDirectory(prefix="berth-options-") as t:
            case(pathlib.Path(t))
        print(f"ok {case.__name__}", flush=True)
    if not wanted:
        sys.exit(__doc__)


main()
