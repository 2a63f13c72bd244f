"""With virtual-interrupt delivery an interrupt to a running guest and its EOI cost no exit besides the doorbell; without it they do, and the
guest sees no difference, nor without the TPR shadow and VPIDs. The guest is tests/guest/apic-interrupts, the numbers are the host's counters."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent.parent / "lab"), str(HERE.parent / "guest")]
from berthlab import LabError  # noqa: E402
from berthlab.host import Host  # noqa: E402
import build  # noqa: E402

YAML = """host: {name: hv1}
vms:
  - name: guest
    cpus: 1
    memory: 32MiB
    boot: {multiboot: "module:guest"}
    debug_exit: true
"""
SELF, TICKS = 2000, 100  # interrupts that the guest sends itself; ticks of its timer, each a host's timer interrupt: the doorbell
SLICES = 50              # doorbells that are none of its interrupts: ends of its time slices
SETUP = 120              # exits for all else: programming timers and the I/O APIC, three level-triggered interrupts


def check(ok, what):
    if not ok:
        print(f"FAILED: {what}")
        sys.exit(1)


def run(yaml, append):
    for _ in range(3):
        host = Host(yaml, cores=1, files={"guest": build.elf("apic-interrupts")}, cpu="intel", append=append)
        try:
            host.start()
            ended = host.wait(200)
            if host.platform_failure():
                continue
            check(ended and host.ended == {"guest": "debug-exit 0"}, f"{append or 'all features'}: {host.ended}")
            return next(v for v in host.stats["vms"] if v["name"] == "guest")
        finally:
            host.cleanup()
    raise LabError("the emulator aborted itself three times")


def main():
    with tempfile.TemporaryDirectory() as t:
        yaml = pathlib.Path(t) / "host.yaml"
        yaml.write_text(YAML)
        for append in ("", "without=apicv", "without=apicv,tpr-shadow,vpid"):
            vm = run(yaml, append)
            doorbells = vm["exits"].get("interrupt", 0)
            others = sum(n for why, n in vm["exits"].items() if why != "interrupt")
            print(f"{append or 'all features'}: {SELF + TICKS} interrupts, {doorbells} doorbells, {others} other exits: {vm['exits']}")
            if append:
                check(others > 2 * SELF, "without virtual-interrupt delivery each interrupt costs exits: is it off?")
            else:
                check(doorbells <= TICKS + SLICES, f"{doorbells} doorbells, at most {TICKS + SLICES} expected")
                check(others <= SETUP, f"{others} exits besides doorbells, at most {SETUP} expected")
                check(vm["exits"].get("eoi", 0) >= 3, "the EOI of level-triggered interrupts must leave the guest")
    print("PASSED")


if __name__ == "__main__":
    try:
        main()
    except LabError as e:
        print(f"FAILED: {e}")
        sys.exit(1)
