"""Private VLANs on a booted host, with a Linux router outside as a promiscuous port of the physical network: it sends in the primary VLAN and hears all.

Who reaches whom is tried by pings of the guests; a frame to the known address of a port that is not reached is dropped and counted; tshark judges
which tag the frames of each guest have on the wire.
"""
import subprocess

from scenario import Scenario, check, main, vm
from berthlab.peer import Peer
from berthlab.wire import Wire

ROUTER, PROMISCUOUS, ISOLATED, ISOLATED_TOO, BLUE, BLUE_TOO = (f"10.20.0.{n}" for n in (50, 1, 2, 3, 4, 5))
MAC = {name: f"52:54:00:aa:00:0{n}" for n, name in enumerate(("p", "i1", "i2", "b1", "b2"), 1)}
VLAN = {"p": 100, "i1": 101, "i2": 101, "b1": 110, "b2": 110}
CAN = "ping -c 2 -w 60 {0} > /dev/null || {{ echo '@fail {1} does not reach {0}'; exit 1; }}\n"
CANNOT = "ping -c 1 -w 2 {0} > /dev/null && {{ echo '@fail {1} reaches {0}'; exit 1; }}\n"


def job(name, can, cannot, extra=""):
    return "mark ready\n" + "".join(CAN.format(a, name) for a in can) + "".join(CANNOT.format(a, name) for a in cannot) + extra + "mark tried\n"


JOBS = {
    "p": job("p", [ROUTER, ISOLATED, BLUE], []),
    "i1": job("i1", [ROUTER, PROMISCUOUS], [ISOLATED_TOO, BLUE],
              f"/bin/ip neigh replace {ISOLATED_TOO} lladdr {MAC['i2']} dev eth0 nud permanent\nping -c 5 -w 5 -i 0.2 {ISOLATED_TOO} > /dev/null\n"),
    "i2": job("i2", [], []),
    "b1": job("b1", [ROUTER, PROMISCUOUS, BLUE_TOO], [ISOLATED]),
    "b2": job("b2", [], []),
}
YAML = """
host: {name: hv1, io_cores: 1}
uplinks:
  - {name: uplink0, match: {mac: "52:54:00:12:34:56"}}
vswitches:
  - {name: vSwitch0, uplinks: [uplink0], private_vlans: [{primary: 100, isolated: 101, communities: [110]}]}
portgroups:
  - {name: promiscuous, vswitch: vSwitch0, private_vlan: 100}
  - {name: isolated, vswitch: vSwitch0, private_vlan: 101}
  - {name: blue, vswitch: vSwitch0, private_vlan: 110}
vms:
""" + "".join(vm(name, name, portgroup=group, mac=MAC[name], ip=f"{ip}/24", memory="256MiB")
              for name, group, ip in (("p", "promiscuous", PROMISCUOUS), ("i1", "isolated", ISOLATED), ("i2", "isolated", ISOLATED_TOO),
                                      ("b1", "blue", BLUE), ("b2", "blue", BLUE_TOO)))
# Hears in three VLANs and sends in one; its ports do not reach each other.
LINUX = f"""modprobe bridge; modprobe 8021q
ip link add br0 type bridge mcast_snooping 0
for v in 100 101 110; do
	ip link add link eth0 name v$v type vlan id $v
	ip link set v$v master br0
	bridge link set dev v$v isolated on
	[ $v = 100 ] || bridge link set dev v$v learning off flood off mcast_flood off bcast_flood off
	ip link set v$v up
done
ip addr add {ROUTER}/24 dev br0
ip link set br0 up
"""


def tags(pcap, condition):
    r = subprocess.run(["tshark", "-r", pcap, "-Y", condition, "-T", "fields", "-e", "vlan.id"], capture_output=True, text=True, timeout=120)
    check(r.returncode == 0, f"tshark: {r.stderr.strip()[-300:]}")
    return r.stdout.split("\n")[:-1]


def test(folder, scenarios):
    wire = Wire("up")
    s = Scenario("pvlan", YAML, JOBS, netdevs={"uplink0": wire.host})
    scenarios.append(s)
    with s, Peer([wire]) as peer:
        wire.capture(folder / "wire.pcap")
        s.until_all(list(JOBS), "mark", "ready")
        peer.wait_ready()
        peer.sh(LINUX)
        for name in ("i1", "p", "b1"):
            s.go(name)
            s.until(name, "mark", "tried")
        dropped = s.port("i1")["drops"].get("private-vlan", 0)
        print(f"private-vlan drops of i1: {dropped}", flush=True)
        check(dropped >= 5, "frames to an isolated neighbour's address were not dropped by their reason")
        for name in ("i1", "p", "b1"):
            s.go(name)
        for name in ("i2", "b2"):
            s.go(name)
            s.until(name, "mark", "tried")
            s.go(name)
        s.until_end()
        wire.capture_end()
    for name, mac in MAC.items():
        seen = tags(folder / "wire.pcap", f"eth.src == {mac} && (icmp || arp)")
        print(f"{name}: {len(seen)} frames on the wire, tags {sorted(set(seen))}", flush=True)
        check(set(seen) <= {str(VLAN[name])} and (seen or name in ("i2", "b2")), f"frames of {name} are not in VLAN {VLAN[name]}")
    check(set(tags(folder / "wire.pcap", f"eth.dst == {MAC['i1']} && icmp")) == {"100"}, "what the router sends is not in the primary VLAN")


main(test)
