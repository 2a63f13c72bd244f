"""`stop VM` while its requests are in flight: it ends at once, also when its server hangs; every request ends once; the host serves the others, and
has its memory back.

usage: stop_vm.py san|nas|san-hang|nas-hang
"""
import sys
import time

from scenario import HEAD, NAS, SAN, Scenario, check, main, servers, vm

STOPS_WITHIN_S = 30  # a hung target is given a second to answer, then the session is dropped; the rest is for a slow machine
LEFT_BYTES = 1 << 20  # the counters of three VMs that have ended, and what the C library keeps
FIO = """fio --name=x --filename=/dev/vda --ioengine=libaio --direct=1 --rw=randrw --bs=4k --size=4m --iodepth=16 --fdatasync=32 \
--verify=crc32c --verify_fatal=1 --do_verify=1 --minimal"""
JOB = f"""
n=0
while ! read -t 0 line < /dev/ttyS0; do
	{FIO} > /tmp/out 2>&1 || {{ echo "@fail fio: $(tail -n 2 /tmp/out)"; exit 1; }}
	n=$((n + 1)); echo "@pass $n"
done
"""
VMS = {"db1": "datastore: san1", "web1": "datastore: nas1, file: web1.raw", "web2": "datastore: nas1, file: web2.raw"}
YAML = HEAD.replace("io_cores: 1", "io_cores: 1, power_off_when_idle: false") + "datastores:\n" + NAS + SAN + "vms:\n" + "".join(vm(v, "run", d, memory="256MiB") for v, d in VMS.items())


def in_flight(stats, name):
    return next(d["in_flight"] for d in stats["disks"] if d["vm"] == name)


def stop_in_flight(s, victim):
    """Stops the victim at a moment when it has requests under way; returns the counters just before and just after."""
    end = time.monotonic() + 60
    while not in_flight(before := s.host.snapshot(), victim):
        check(time.monotonic() < end, f"{victim} has no requests in flight")
    t = time.monotonic()
    s.host.send(f"stop {victim}")
    while victim not in s.host.ended:
        check(time.monotonic() < t + STOPS_WITHIN_S, f"{victim} has not ended {STOPS_WITHIN_S} s after `stop`")
        time.sleep(0.05)
    check(s.host.ended[victim] == "stopped", f"{victim} ended: {s.host.ended[victim]}")
    print(f"{victim}: stopped with {in_flight(before, victim)} requests in flight, {time.monotonic() - t:.1f} s", flush=True)
    return before, s.host.snapshot()


def check_memory(before, after, victim):
    got = after["memory"]["free_bytes"] - before["memory"]["free_bytes"]
    held = next(v["memory_bytes"] for v in before["vms"] if v["name"] == victim)
    check(got >= held, f"{victim} had {held} bytes, {got} came back")


def used(stats):
    return stats["memory"]["total_bytes"] - stats["memory"]["free_bytes"]


def check_end(s):
    """All have ended. What a NAS may still forget is kept until it is committed, for some seconds."""
    end = time.monotonic() + 60
    while used(stats := s.host.snapshot()) > stats["memory"]["base_bytes"] + LEFT_BYTES:
        check(time.monotonic() < end, f"{used(stats)} bytes are in use, {stats['memory']['base_bytes']} were before the first VM")
        time.sleep(0.5)
    print(f"memory in use: {used(stats) >> 10} KiB, before the first VM {stats['memory']['base_bytes'] >> 10} KiB", flush=True)
    for d in stats["disks"]:
        check(d["in_flight"] == 0, f"{d['vm']}: {d['in_flight']} requests never ended, or one ended twice")
    check(all(d["state"] == "online" for d in stats["datastores"]), f"{stats['datastores']}")


def run(which, hang):
    victim = "db1" if which == "san" else "web1"
    others = [v for v in VMS if v != victim and (not hang or VMS[v].split(",")[0] != VMS[victim].split(",")[0])]

    def test(folder, scenarios):
        with servers.Tgtd(folder / "san", 32 << 20) as san, servers.Ganesha(folder / "nas") as nas:
            for name in ("web1.raw", "web2.raw"):
                nas.make_disk(name, 32 << 20)
            s = Scenario(f"stop-{which}", YAML, {"run": JOB})
            scenarios.append(s)
            with s:
                server = san if which == "san" else nas
                s.until_all(VMS, "pass", seconds=200)
                if hang:
                    server.hang()
                before, after = stop_in_flight(s, victim)
                check_memory(before, after, victim)
                for v in others:  # a whole pass that began after the end
                    for _ in range(2):
                        s.until(v, "pass", seconds=200)
                print(f"{', '.join(others)}: served on", flush=True)
                if hang:
                    server.unhang()
                for v in VMS:
                    if v != victim:
                        s.until(v, "pass", seconds=200)
                        s.go(v)
                for v in VMS:
                    s.until_line(f"vm.ended: {v}", seconds=60)
                check_end(s)
                check(s.host.ended == {v: "stopped" if v == victim else "power-off" for v in VMS}, f"{s.host.ended}")

    return test


kind = sys.argv[1] if len(sys.argv) > 1 else "san"
main(run(kind.split("-")[0], kind.endswith("-hang")))
