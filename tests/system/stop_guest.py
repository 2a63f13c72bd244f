"""`stop VM` ends a guest at once whatever its CPU does: it spins with interrupts off, is halted with and without a way to wake, takes a timer's
interrupts, or exits without end. The others run on, and the host has the memory back.

usage: stop_guest.py amd|intel
"""
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tests/guest")]
from berthlab import LabError  # noqa: E402
from berthlab.host import Host  # noqa: E402
import build  # noqa: E402

PATIENCE_S = 60
LEFT_BYTES = 1 << 20  # counters of VMs that have ended
BEATS = 3
MAIN = """#include "guest.h"
static void on_timer(void)
{
	LAPIC[LAPIC_EOI] = 0;
}
int main(void)
{
	guest_handlers[0x40] = on_timer;
	LAPIC[LAPIC_SPURIOUS] = 0x1ff;
	LAPIC[LAPIC_TIMER_DIVIDE] = 0xb; /* by 1: 1 GHz */
	guest_print("@runs\\n");
	for (;;) {
%s
	}
}
"""
TICKS = "		LAPIC[LAPIC_LVT_TIMER] = 0x20040; /* periodic */\n		LAPIC[LAPIC_TIMER_INITIAL] = 1000000;\n"
GUESTS = {
    "spins": '		__asm__ volatile("cli");\n',
    "waits": '		__asm__ volatile("sti; hlt");\n',
    "dead": '		__asm__ volatile("cli; hlt");\n',
    "ticks": TICKS + '		for (;;)\n			__asm__ volatile("sti; hlt");\n',
    "exits": '		__asm__ volatile("cpuid" : : "a"(0) : "ebx", "ecx", "edx");\n',
    "beats": '		for (volatile uint32_t i = 0; i < 200000; i++)\n			;\n		guest_print("@beat\\n");\n',
}
YAML = "host: {name: hv1, power_off_when_idle: false}\nvms:\n" + "".join(
    f'  - {{name: {name}, memory: 32MiB, boot: {{multiboot: "module:{name}"}}}}\n' for name in GUESTS)


def check(ok, what):
    if not ok:
        print(f"FAILED: {what}")
        sys.exit(1)


def until(host, what, test):
    end = time.monotonic() + PATIENCE_S * host.patience
    while not test():
        if host.platform_failure():
            sys.exit(75)
        check(host.running() and time.monotonic() < end, f"{what}: did not come; last lines:\n" + "\n".join(host.lines[-10:]))
        time.sleep(0.05)


def said(host, vm, word):
    return sum(line.startswith(f"[{vm}] @{word}") for line in list(host.lines))


def stop(host, vm):
    before = host.snapshot()
    host.send(f"stop {vm}")
    until(host, f"the end of {vm}", lambda: vm in host.ended)
    check(host.ended[vm] == "stopped", f"{vm} ended: {host.ended[vm]}")
    held = next(v["memory_bytes"] for v in before["vms"] if v["name"] == vm)
    until(host, f"the memory of {vm}", lambda: host.snapshot()["memory"]["free_bytes"] - before["memory"]["free_bytes"] >= held)
    if vm != "beats":
        beats = said(host, "beats", "beat")
        until(host, f"the others' run after the end of {vm}", lambda: said(host, "beats", "beat") >= beats + BEATS)
    print(f"{vm}: stopped, {held >> 20} MiB came back", flush=True)


def main(cpu):
    with tempfile.TemporaryDirectory(prefix="berth-stop-") as t:
        folder = pathlib.Path(t)
        files = {}
        for name, body in GUESTS.items():
            (folder / f"{name}.c").write_text(MAIN % body)
            files[name] = build.compile_program([folder / f"{name}.c"], folder / f"{name}.elf")
        (folder / "host.yaml").write_text(YAML)
        host = Host(folder / "host.yaml", cores=1, files=files, quiet=True, cpu=cpu)
        try:
            host.start()
            until(host, "all guests", lambda: all(said(host, v, "runs") for v in GUESTS))
            for vm in GUESTS:
                stop(host, vm)
            memory = host.snapshot()["memory"]
            used = memory["total_bytes"] - memory["free_bytes"] - memory["base_bytes"]
            check(used <= LEFT_BYTES, f"{used} bytes are in use after the last VM")
            print(f"{used} bytes left of all")
        finally:
            host.cleanup()
    print("PASSED")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except LabError as e:
        print(f"FAILED: {e}")
        sys.exit(1)
