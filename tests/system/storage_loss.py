"""A storage server dies (kill -9) for 15 s under `fio --verify` and comes back: no guest error, no mismatch; the other datastore serves on. The NAS
loses what it had not committed.

usage: storage_loss.py san|nas|nas-hang|san-hang
"""
import sys
import time

from scenario import HEAD, NAS, SAN, Scenario, check, main, servers, vm

OUTAGE_S = 15
# The guest whose server dies writes and verifies for long enough to meet the outage; it marks its first finished pass, and loops until told.
FIO = """fio --name={name} --filename=/dev/vda --ioengine=libaio --direct=1 --rw=randwrite --bs=4k --size=8m --iodepth=16 --fdatasync=32 \
--verify=crc32c --verify_fatal=1 --do_verify=1 --minimal"""
VICTIM = """
fio1() {{ {fio} > /tmp/out 2>&1 || {{ echo "@fail fio: $(tail -n 2 /tmp/out)"; exit 1; }}; }}
fio1
echo @warm
n=0
while ! read -t 0 line < /dev/ttyS0; do fio1; n=$((n + 1)); echo "@pass $n"; done
dmesg | grep -iE 'I/O error|blocked for more' && {{ echo "@fail the kernel saw I/O errors"; exit 1; }}
exit 0
"""
YAML = (HEAD + "datastores:\n" + NAS + SAN + "vms:\n" + vm("web1", "web1", "datastore: nas1, file: web1/disk.raw")
        + vm("db1", "db1", "datastore: san1"))


def hang_with_requests(s, server, vm):
    """Until the server does not answer and requests of the VM are under way to it."""
    while True:
        server.hang()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if any(d["vm"] == vm and d["in_flight"] for d in s.host.snapshot()["disks"]):
                return
            time.sleep(0.05)
        server.unhang()  # the guest has just nothing to write
        time.sleep(0.2)


def run(which, hang):
    victim, other = ("db1", "web1") if which == "san" else ("web1", "db1")

    def test(folder, scenarios):
        jobs = {v: VICTIM.format(fio=FIO.format(name=v)) for v in ("db1", "web1")}
        with servers.Tgtd(folder / "san", 32 << 20) as san, servers.Ganesha(folder / "nas", watched=True) as nas:
            disk = nas.make_disk("web1/disk.raw", 32 << 20)
            s = Scenario(f"loss-{which}", YAML, jobs)
            scenarios.append(s)
            with s:
                server = san if which == "san" else nas
                s.until_all([victim, other], "warm")
                print(f"{victim}: {'hanging' if hang else 'killing'} its server for {OUTAGE_S} s", flush=True)
                hang_with_requests(s, server, victim)
                if hang or which == "san":
                    hang or server.kill()
                else:
                    lost = server.crash(disk)
                    print(f"{victim}: {lost[0]} writes, {lost[1]} bytes were not committed, and are lost with the server", flush=True)
                began = time.monotonic()
                s.until(other, "pass", seconds=120)
                print(f"{other}: a whole pass during the outage, after {time.monotonic() - began:.1f} s", flush=True)
                while time.monotonic() < began + OUTAGE_S:
                    time.sleep(0.1)
                server.unhang() if hang else server.start()
                back = time.monotonic()
                count = [e for e in s.seen if e[1] == victim and e[2] == "pass"]
                s.until(victim, "pass", seconds=200)
                print(f"{victim}: a whole verified pass {time.monotonic() - back:.1f} s after its server was back ({len(count)} before)", flush=True)
                for v in ("db1", "web1"):
                    s.go(v)
                s.until_end()
                check(s.host.ended == {"db1": "power-off", "web1": "power-off"}, f"{s.host.ended}")
                replayed = {d["name"]: d["replayed"] for d in s.host.stats["datastores"]}
                print(f"requests that were sent again: {replayed}", flush=True)
                check(hang or which == "nas" or replayed["san1"] > 0, "no request was under way when the server died")
                for d in s.host.stats["disks"]:
                    check(not sum(d["errors"].values()), f"{d['vm']}: the guest was given errors: {d['errors']}")

    return test


kind = sys.argv[1] if len(sys.argv) > 1 else "san"
main(run(kind.split("-")[0], kind.endswith("-hang")))
