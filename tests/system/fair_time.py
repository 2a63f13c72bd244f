"""Fair time slices: three guests that never rest and one that wakes every 10 ms share the host's only core.

The busy ones get equal time, by the host's counters and by what they counted themselves, though one of them is interrupted half a millisecond after
it was given the core, which ends its slices early; the one that sleeps runs when its timer says so; the host answers meanwhile.

usage: fair_time.py [amd|intel]     Bochs's clock counts instructions: there it does not matter how busy this machine is
"""
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tests/guest")]
from berthlab.host import Host  # noqa: E402
import build  # noqa: E402

WINDOW_S = {"amd": 10, "intel": 5}
LAP = {"amd": 4000000, "intel": 500000}
IPS = 100_000_000  # of Bochs: fast enough that what the host does at each tick is little
APART = 0.05  # of the mean
TIMER = """#include "guest.h"
static volatile uint32_t ticks;
static bool again;
static void on_timer(void)
{
	ticks++;
	LAPIC[LAPIC_EOI] = 0;
	if (again)
		LAPIC[LAPIC_TIMER_INITIAL] = 500000;
}
static void timer_start(uint32_t ns)
{
	guest_handlers[0x40] = on_timer;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	LAPIC[LAPIC_TIMER_DIVIDE] = 0xb; /* by 1: 1 GHz */
	LAPIC[LAPIC_LVT_TIMER] = 0x40;   /* one-shot */
	LAPIC[LAPIC_TIMER_INITIAL] = ns;
}
"""
BUSY = TIMER + """int main(void)
{
	again = true;
	if (INTERRUPTED)
		timer_start(500000);
	__asm__ volatile("sti");
	for (;;) {
		for (volatile uint32_t i = 0; i < LAP; i++)
			;
		guest_print("@lap\\n");
	}
}
"""
# A tick is due 10 ms after the one before was taken; how late they were, in all, is what waiting for the core cost.
TICKS = TIMER + """int main(void)
{
	for (uint32_t i = 1;; i++) {
		timer_start(10000000);
		while (ticks < i)
			__asm__ volatile("sti; hlt; cli");
		guest_print("@tick\\n");
	}
}
"""
PROGRAMS = {"busy": "#define INTERRUPTED 0\n" + BUSY, "interrupted": "#define INTERRUPTED 1\n" + BUSY, "ticks": TICKS}
YAML = "host: {name: hv1}\nvms:\n" + "".join(
    f'  - {{name: {name}, memory: 32MiB, boot: {{multiboot: "module:{program}"}}}}\n'
    for name, program in (("busy1", "busy"), ("busy2", "busy"), ("busy3", "interrupted"), ("ticker", "ticks")))


class Sample:
    """Counters and console lines at one moment of the host's time."""

    def __init__(self, host):
        s = host.snapshot()
        self.ns = s["time_ns"]
        self.run_ns = {v["name"]: v["counters"]["run_ns"] for v in s["vms"]}
        self.core = s["cores"][0]
        lines = list(host.lines)
        self.laps = {v: sum(line.startswith(f"[{v}] @") for line in lines) for v in self.run_ns}


def wait_for_laps(host):
    end = time.monotonic() + 60 * host.patience
    while not all(any(line.startswith(f"[{v}] @") for line in list(host.lines)) for v in host.vms):
        if time.monotonic() > end or not host.running():
            sys.exit("FAILED: not all guests run:\n" + "\n".join(host.lines[-20:]))
        time.sleep(0.1)


def wrong(first, last):
    ns = last.ns - first.ns
    run = {v: last.run_ns[v] - first.run_ns[v] for v in first.run_ns}
    laps = {v: last.laps[v] - first.laps[v] for v in first.laps}
    busy, alike = ["busy1", "busy2", "busy3"], ["busy1", "busy2"]
    print(f"{ns / 1e9:.1f} s; time: " + ", ".join(f"{v} {100 * run[v] / ns:.1f} %" for v in run) + "; laps: " + ", ".join(f"{v} {laps[v]}" for v in laps))
    for what, got, among, apart in (("time", run, busy, APART), ("laps", laps, alike, APART + 2 / max(1, laps["busy1"]))):
        mean = sum(got[v] for v in among) / len(among)
        yield from (f"{v}: {what} {got[v]}, the mean is {mean:.0f}" for v in among if abs(got[v] - mean) > apart * mean)
    if sum(run.values()) < 0.8 * ns:
        yield f"the guests got {sum(run.values())} of {ns} ns"
    if last.core["run_ns"] - first.core["run_ns"] < 0.8 * ns or last.core["rounds"] == first.core["rounds"]:
        yield f"the core's counters do not say so: {last.core}"
    ticks = ns / laps["ticker"] if laps["ticker"] else ns
    print(f"a tick of 10 ms took {ticks / 1e6:.1f} ms")
    if ticks > 15e6:
        yield f"the ticker's 10 ms took {ticks / 1e6:.1f} ms: it waits for those that never rest"


def measure(host, window_s):
    first = Sample(host)
    while (last := Sample(host)).ns - first.ns < window_s * 1e9:
        time.sleep(0.5)
    return list(wrong(first, last))


def main(cpu="amd"):
    with tempfile.TemporaryDirectory(prefix="berth-fair-") as t:
        folder = pathlib.Path(t)
        files = {}
        for name, text in PROGRAMS.items():
            (folder / f"{name}.c").write_text(f"#define LAP {LAP[cpu]}\n" + text)
            files[name] = build.compile_program([folder / f"{name}.c"], folder / f"{name}.elf")
        (folder / "host.yaml").write_text(YAML)
        host = Host(folder / "host.yaml", cores=1, files=files, quiet=True, cpu=cpu)
        host.ips = IPS
        try:
            host.start()
            wait_for_laps(host)
            window_s = WINDOW_S[cpu]
            faults = measure(host, window_s) if cpu == "intel" else host.undisturbed(lambda: measure(host, window_s))
            for f in faults or []:
                print(f"FAILED: {f}")
            print("\n".join(line for line in host.lines if line.startswith("[host]") and (" warn " in line or " error " in line)))
            if host.platform_failure():
                sys.exit(75)
        finally:
            host.cleanup()
    if faults is None:
        print("SKIPPED: this machine is too busy to tell")
        sys.exit(77)
    if faults:
        sys.exit(1)
    print("PASSED")


main(*sys.argv[1:])
