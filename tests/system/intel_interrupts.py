"""With virtual-interrupt delivery an interrupt to a running guest and its EOI cost no exit besides the doorbell; without it they do, and the
guest sees no difference, nor without the TPR shadow and VPIDs (tests/guest/apic-interrupts). With posted interrupts, which Bochs 3.0 has, the
doorbell of another core costs none either (tests/guest/ipi-running: two vCPUs on two cores). The numbers are the host's counters."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent.parent / "lab"), str(HERE.parent / "guest")]
from berthlab import LabError  # noqa: E402
from berthlab.host import Host  # noqa: E402
import build  # noqa: E402

YAML = """host: {{name: hv1}}
vms:
  - name: guest
    cpus: {cpus}
    memory: 32MiB
    boot: {{multiboot: "module:guest"}}
    debug_exit: true
"""
SELF, TICKS = 2000, 100  # interrupts that the guest sends itself; ticks of its timer, each a host's timer interrupt: the doorbell
SLICES = 50              # doorbells that are none of its interrupts: ends of its time slices
IPIS = 500               # from one vCPU to another that runs
SETUP = 120              # exits for all else: programming timers and the I/O APIC, three level-triggered interrupts


def check(ok, what):
    if not ok:
        print(f"FAILED: {what}")
        sys.exit(1)


def run(folder, name, append, cpus=1, cores=1, cpu="intel"):
    yaml = folder / "host.yaml"
    yaml.write_text(YAML.format(cpus=cpus))
    for _ in range(3):
        host = Host(yaml, cores=cores, files={"guest": build.elf(name)}, cpu=cpu, append=append)
        try:
            host.start()
            ended = host.wait(200)
            if host.platform_failure():
                continue
            check(ended and host.ended == {"guest": "debug-exit 0"}, f"{name}, {append or 'all features'}: {host.ended}")
            vm = next(v for v in host.stats["vms"] if v["name"] == "guest")
            doorbells = vm["exits"].get("interrupt", 0)
            return vm, doorbells, sum(vm["exits"].values()) - doorbells
        finally:
            host.cleanup()
    raise LabError("the emulator aborted itself three times")


def one_vcpu(folder):
    for append in ("", "without=apicv", "without=apicv,tpr-shadow,vpid"):
        vm, doorbells, others = run(folder, "apic-interrupts", append)
        print(f"{append or 'all features'}: {SELF + TICKS} interrupts, {doorbells} doorbells, {others} other exits: {vm['exits']}")
        if append:
            check(others > 2 * SELF, "without virtual-interrupt delivery each interrupt costs exits: is it off?")
        else:
            check(doorbells <= TICKS + SLICES, f"{doorbells} doorbells, at most {TICKS + SLICES} expected")
            check(others <= SETUP, f"{others} exits besides doorbells, at most {SETUP} expected")
            check(vm["exits"].get("eoi", 0) >= 3, "the EOI of level-triggered interrupts must leave the guest")


def two_vcpus(folder):
    """A burst of IPIs may share a notification, so there are at least as many as those that are waited for one by one."""
    for cpu, append in (("intel", ""), ("intel-posted", ""), ("intel-posted", "without=posted-interrupts"), ("intel-posted", "without=apicv")):
        vm, doorbells, others = run(folder, "ipi-running", append, cpus=2, cores=3, cpu=cpu)
        notified = vm["counters"].get("irq.notifications", 0)
        sent = vm["exits"].get("wrmsr", 0)
        print(f"{cpu} {append or 'all features'}: {IPIS} IPIs, {notified} posted, {doorbells} doorbells, {others} other exits: {vm['exits']}")
        if cpu == "intel-posted" and not append:
            check(notified >= 300, "at least each IPI that is waited for is posted")
            check(doorbells <= SLICES, f"{doorbells} doorbells, at most {SLICES} expected: a posted interrupt leaves no guest")
            check(others <= sent + SETUP, f"{others} exits besides doorbells, at most the sender's {sent} and {SETUP} expected")
        else:
            check(notified == 0, "posted without posted interrupts")
            check(doorbells + vm["exits"].get("irq_window", 0) >= 300, "each IPI that is waited for costs an exit: who delivered it?")


def main():
    with tempfile.TemporaryDirectory() as t:
        one_vcpu(pathlib.Path(t))
        two_vcpus(pathlib.Path(t))
    print("PASSED")


if __name__ == "__main__":
    try:
        main()
    except LabError as e:
        print(f"FAILED: {e}")
        sys.exit(1)
