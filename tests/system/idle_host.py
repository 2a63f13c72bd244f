"""A halted guest costs nothing and an idle host sleeps: counters over ten seconds of the host's time, with storage attached and nothing to do.

usage: idle_host.py [intel]     on Bochs without storage and without the Linux guest, whose wakes are a large part of that machine's instructions
"""
import pathlib
import sys
import time

from scenario import HEAD, NAS, SAN, Scenario, check, main, servers, vm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "guest"))
import build  # noqa: E402

WINDOW_NS = 10_000_000_000
# A second of an idle host and its guests, at most. Linux wakes by itself some 10 times; the host for TCP's and the switch's timers some 30 times.
LINUX_EXITS, LINUX_HALTS, CORE_SLEEPS, CORE_ROUNDS = 150, 50, 150, 3000
ASLEEP = 0.9  # of the time, every core; an emulator that is short of time itself is longer awake
HALTS = '#include "guest.h"\nint main(void)\n{\n\tguest_print("@halted\\n");\n\tfor (;;)\n\t\t__asm__ volatile("sti; hlt");\n}\n'
JOB = "dd if=/dev/vda of=/dev/null bs=64k count=16 2>/dev/null && mark idle\n"
YAML = (HEAD + "datastores:\n" + NAS + SAN + "vms:\n" + vm("linux", "run", "datastore: nas1, file: linux/disk.raw", portgroup="web", ip="10.20.0.1/24")
        + "  - {name: halted, memory: 32MiB, boot: {multiboot: \"module:halts\"}, disks: [{datastore: san1}]}\n")


ALONE = "host: {name: hv1, io_cores: 1}\nvms:\n  - {name: halted, memory: 32MiB, boot: {multiboot: \"module:halts\"}}\n"


def difference(first, last):
    return {k: n - first.get(k, 0) for k, n in last.items() if isinstance(n, int)}


def wrong(first, last):
    ns = last["time_ns"] - first["time_ns"]
    exits = {w["name"]: sum(w["exits"].values()) - sum(v["exits"].values()) for v, w in zip(first["vms"], last["vms"])}
    vms = {w["name"]: difference(v["counters"], w["counters"]) for v, w in zip(first["vms"], last["vms"])}
    cores = [difference(c, d) for c, d in zip(first["cores"], last["cores"])]

    def per_s(n):
        return n * 1e9 / ns

    print(f"in {ns / 1e9:.1f} s: exits {exits}, halts { {v: c['halts'] for v, c in vms.items()} }, ran ms { {v: c['run_ns'] // 10**6 for v, c in vms.items()} }")
    for i, c in enumerate(cores):
        print(f"core {i}: {c['rounds']} rounds, {c['sleeps']} sleeps, asleep {100 * c['sleep_ns'] / ns:.1f} %")
        if c["sleep_ns"] < ASLEEP * ns:
            yield f"core {i} was asleep only {100 * c['sleep_ns'] / ns:.1f} % of the time"
        if per_s(c["sleeps"]) > CORE_SLEEPS or per_s(c["rounds"]) > CORE_ROUNDS:
            yield f"core {i} woke {per_s(c['sleeps']):.0f} times and went {per_s(c['rounds']):.0f} rounds a second"
    if exits["halted"] or vms["halted"]["run_ns"] or vms["halted"]["irq.injected"]:
        yield f"the halted guest cost {exits['halted']} exits, {vms['halted']['run_ns']} ns"
    if min(c["rounds"] for c in cores[1:]) > 10:
        yield "no core slept through, though one has nothing but a halted vCPU"
    if "linux" in vms and (per_s(exits["linux"]) > LINUX_EXITS or per_s(vms["linux"]["halts"]) > LINUX_HALTS):
        yield f"the idle Linux guest made {per_s(exits['linux']):.0f} exits and halted {per_s(vms['linux']['halts']):.0f} times a second"


def measure(host):
    first = host.snapshot()
    while (last := host.snapshot())["time_ns"] - first["time_ns"] < WINDOW_NS:
        time.sleep(WINDOW_NS / 2e9)
    return list(wrong(first, last))


def halts(folder):
    source = folder / "halts.c"
    source.write_text(HALTS)
    return build.compile_program([source], folder / "halts.elf")


def test_intel(folder, scenarios):
    s = Scenario("idle", ALONE, {}, cores=3, files={"halts": halts(folder)}, cpu="intel")
    scenarios.append(s)
    with s:
        s.until("halted", "halted")
        faults = measure(s.host)  # Bochs's clock counts instructions: how busy this machine is does not matter
        check(not faults, "; ".join(faults))
        s.host.send("stop halted")
        s.until_end()


def test(folder, scenarios):
    with servers.Tgtd(folder / "san", 32 << 20), servers.Ganesha(folder / "nas") as nas:
        nas.make_disk("linux/disk.raw", 32 << 20)
        s = Scenario("idle", YAML, {"run": JOB}, cores=3, files={"halts": halts(folder)})
        scenarios.append(s)
        with s:
            s.until("halted", "halted")
            s.until("linux", "mark", "idle")
            time.sleep(2)  # what starting left to do is over
            faults = s.host.undisturbed(lambda: measure(s.host))
            if faults is None:
                print("SKIPPED: this machine is too busy to tell")
                sys.exit(77)
            check(not faults, "; ".join(faults))
            s.go("linux")
            s.host.send("stop halted")
            s.until_end()
            check(s.host.ended == {"linux": "power-off", "halted": "stopped"}, f"{s.host.ended}")


main(test_intel if sys.argv[1:] == ["intel"] else test)
