"""The SAN is absent at boot: the other VM starts at once; the SAN's VM starts by itself when the SAN appears."""
import time

from scenario import HEAD, NAS, SAN, Scenario, check, main, servers, vm

JOB = "dd if=/dev/vda of=/dev/null bs=64k count=16 2>/dev/null && echo @disk-ok\n"
YAML = (HEAD + "datastores:\n" + SAN + NAS + "vms:\n" + vm("db1", "run", "datastore: san1")
        + vm("web1", "wait", "datastore: nas1, file: web1/disk.raw"))


def test(folder, scenarios):
    with servers.Ganesha(folder / "nas") as nas:
        nas.make_disk("web1/disk.raw", 32 << 20)
        s = Scenario("san-absent", YAML, {"run": JOB, "wait": JOB + "mark hold\n"})
        scenarios.append(s)
        with s:
            s.until("web1", "disk-ok")
            s.until("web1", "mark", "hold")
            stats = s.host.snapshot()
            state = {d["name"]: d["state"] for d in stats["datastores"]}
            check(state["nas1"] == "online" and state["san1"] != "online", f"datastore states: {state}")
            check("db1" not in s.host.ended, "db1 ended without its SAN")
            print("web1 runs, db1 waits; starting the SAN", flush=True)
            with servers.Tgtd(folder / "san", 32 << 20):
                t = time.monotonic()
                s.until("db1", "disk-ok")
                print(f"db1 read its disk {time.monotonic() - t:.1f} s after the SAN appeared", flush=True)
                s.go("web1")
                s.until_end()
            check(s.host.ended == {"db1": "power-off", "web1": "power-off"}, f"{s.host.ended}")


main(test)
