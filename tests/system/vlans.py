"""Guests in one VLAN reach each other, in different VLANs they do not; a forged source MAC and a changed MAC are dropped and counted."""
from scenario import HEAD, RAM, Scenario, check, main, vm

# a1 and a2 are in VLAN 20, b1 is in VLAN 30, all in one subnet.
PROBE = """
mark all
ping -c 2 -w 20 10.20.0.2 > /dev/null && echo @same-vlan-ok || { echo "@fail a2 in the same VLAN does not answer"; exit 1; }
ping -c 2 -w 5 10.20.0.3 > /dev/null && { echo "@fail b1 in another VLAN answers"; exit 1; } || echo @other-vlan-silent
mark forge
modprobe macvlan
ip link add link eth0 name forged type macvlan mode bridge
ip addr add 10.20.0.9/24 dev forged && ip link set forged up
ping -c 3 -w 4 -I forged 10.20.0.2 > /dev/null && { echo "@fail a frame with a forged source passed"; exit 1; }
ip link del forged
echo @forged
mark done
"""
ANSWER = "mark all\nmark done\n"
YAML = (HEAD + "datastores:\n" + RAM + "vms:\n"
        + vm("a1", "probe", portgroup="web", mac="52:54:00:aa:00:01", ip="10.20.0.1/24", memory="256MiB")
        + vm("a2", "answer", portgroup="web", mac="52:54:00:aa:00:02", ip="10.20.0.2/24", memory="256MiB")
        + vm("b1", "answer", portgroup="dev", mac="52:54:00:aa:00:03", ip="10.20.0.3/24", memory="256MiB"))


def test(folder, scenarios):
    s = Scenario("vlans", YAML, {"probe": PROBE, "answer": ANSWER})
    scenarios.append(s)
    with s:
        s.until_all(["a1", "a2", "b1"], "mark", "all")
        for v in ("a1", "a2", "b1"):
            s.go(v)
        s.until("a1", "mark", "forge")
        before = s.port("a1")["drops"].get("forged-source", 0)
        s.go("a1")
        s.until("a1", "forged")
        dropped = s.port("a1")["drops"].get("forged-source", 0) - before
        print(f"forged frames dropped and counted: {dropped}", flush=True)
        check(dropped > 0, "no forged-source drop was counted")
        s.until("a1", "mark", "done")
        for v in ("a1", "a2", "b1"):
            s.go(v)
        s.until_end()
        check(all(h == "power-off" for h in s.host.ended.values()), f"{s.host.ended}")
        for p in s.host.stats["ports"]:
            check(p.get("dropped", sum(p["drops"].values())) == sum(p["drops"].values()), f"{p['name']}: drops do not add up: {p}")


main(test)
