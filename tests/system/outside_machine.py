"""An outside Linux machine in VLAN 20, on the wire of the host's uplink, runs iperf3 to a guest (tags go over the uplink); tshark looks at the wire."""
import pathlib
import subprocess

from scenario import HEAD, RAM, Scenario, check, main, vm
from berthlab.peer import Peer
from berthlab.wire import Wire

BROADCASTS = 40
YAML = (HEAD.replace("vmknics", "# vmknics").replace("  - {name: vmk0", "#  - {name: vmk0") + "datastores:\n" + RAM + "vms:\n"
        + vm("web1", "serve", portgroup="web", mac="52:54:00:aa:00:01", ip="10.20.0.1/24", memory="256MiB"))


def tags(pcap):
    """How often each VLAN is on the wire among frames from or to the guest; "" is untagged."""
    out = subprocess.run(["tshark", "-r", pcap, "-Y", "eth.addr == 52:54:00:aa:00:01", "-T", "fields", "-e", "vlan.id"], capture_output=True, text=True, check=True)
    lines = out.stdout.splitlines()
    return {v: lines.count(v) for v in set(lines)}


def reached(s, outside, device):
    """Whether the guest gets what the outside machine broadcasts there; counted by the switch, before and after."""
    before = s.port("web1")["rx_packets"]
    outside.sh(f"ping -q -c {BROADCASTS} -i 0.05 -W 1 -I {device} 10.20.0.255", may_fail=True)
    got = s.port("web1")["rx_packets"] - before
    print(f"{BROADCASTS} broadcasts by {device}: the guest got {got} frames", flush=True)
    return got >= BROADCASTS


def test(folder, scenarios):
    wire = Wire("uplink0")
    s = Scenario("outside", YAML, {"serve": "iperf3 -s -D >/dev/null 2>&1\nmark serving\n"}, netdevs={"uplink0": wire.host})
    scenarios.append(s)
    with s, Peer([wire]) as outside:
        s.until("web1", "mark", "serving")
        outside.wait_ready()
        outside.sh("modprobe 8021q; ip link add link eth0 name vlan20 type vlan id 20; ip addr add 10.20.0.50/24 dev vlan20; ip link set vlan20 up")
        outside.sh("ip link add link eth0 name vlan30 type vlan id 30; ip addr add 10.20.0.51/24 dev vlan30; ip link set vlan30 up; ip addr add 10.20.0.52/24 dev eth0; "
                   "ip route flush root 10.20.0.0/24; ip route add 10.20.0.0/24 dev vlan20")
        outside.until("ping -c 1 -w 2 10.20.0.1", 60)
        pcap = str(pathlib.Path(folder) / "wire.pcap")
        wire.capture(pcap)
        outside.sh("ping -c 3 -w 10 10.20.0.1")
        wire.capture_end()
        seen = tags(pcap)
        check(set(seen) == {"20"} and seen["20"] >= 6, f"VLANs of the guest's frames on the wire: {seen}")
        for device, vlan in (("vlan30", "in VLAN 30"), ("eth0", "without a tag")):
            check(not reached(s, outside, device), f"broadcasts {vlan} reach the guest in VLAN 20")
        check(reached(s, outside, "vlan20"), "broadcasts in VLAN 20 do not reach the guest")
        for direction in ("", "-R"):
            print(outside.sh(f"iperf3 -c 10.20.0.1 -t 3 -f m {direction} | grep receiver"), flush=True)
        s.go("web1")
        s.until_end()
        check(s.host.ended == {"web1": "power-off"}, f"{s.host.ended}")


main(test)
