"""CHAP: the right secret attaches; a wrong one gives a clear error while the other datastore's VM runs as if nothing were."""
from scenario import HEAD, NAS, SAN, Scenario, check, main, servers, vm

JOB = "dd if=/dev/vda of=/dev/null bs=64k count=16 2>/dev/null && echo @disk-ok\n"
YAML = (HEAD + "datastores:\n" + NAS + SAN + "vms:\n" + vm("web1", "run", "datastore: nas1, file: web1/disk.raw")
        + vm("db1", "run", "datastore: san1"))


def test(folder, scenarios):
    with servers.Tgtd(folder / "san", 32 << 20), servers.Ganesha(folder / "nas") as nas:
        nas.make_disk("web1/disk.raw", 32 << 20)
        s = Scenario("chap-right", YAML, {"run": JOB})
        scenarios.append(s)
        with s:
            s.until_end()
            check(s.host.ended == {"db1": "power-off", "web1": "power-off"}, f"right secret: {s.host.ended}")
        s = Scenario("chap-wrong", YAML, {"run": JOB}, secret="not-the-secret")
        scenarios.append(s)
        with s:
            s.until("web1", "disk-ok")
            line = s.until_line("iscsi.login.refused")[1]
            check("san1" in line or "iqn.2026-01.lab:t1" in line, f"the error does not name the datastore or target: {line}")
            check("CHAP" in line or "secret" in line, f"the error does not say what to check: {line}")
            check("db1" not in s.host.ended, "db1 ended though its disk cannot be there")
            stats = s.host.snapshot()
            check(all(v["name"] != "db1" or not sum(v["exits"].values()) for v in stats["vms"]), "db1 ran without its disk")


main(test)
