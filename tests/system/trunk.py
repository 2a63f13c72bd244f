"""VGT on a booted host: a guest tags its frames itself (Debian's 802.1Q), on a trunk port group with a native VLAN.

router is on the trunk: VLANs 20 and 30 by its tags, VLAN 40 untagged, and VLAN 50, which is not on its list. It reaches web1 in VLAN 20 and dev1
in VLAN 30, which do not reach each other, and a Linux machine on the wire, tagged in each VLAN; what is in VLAN 50 is dropped, counted and
explained by a trace. tshark judges the tags on the wire. TCP over a tagged interface uses the offloads of the guest's NIC.
"""
import json
import subprocess

from scenario import HEAD, RAM, Scenario, check, main, vm
from berthlab import BERTH
from berthlab.peer import Peer
from berthlab.wire import Wire

ROUTER_MAC = "52:54:00:aa:00:01"
TRUNK = "  - {name: trunk, vswitch: vSwitch0, trunk: [20, 30-39], native: 40}\n"
ROUTER = """
modprobe 8021q
for v in 20 30 50; do
    ip link add link eth0 name v$v type vlan id $v && ip addr add 10.$v.0.1/24 dev v$v && ip link set v$v up || { echo "@fail no VLAN interface"; exit 1; }
done
mark all
reach() { ping -c 3 -i 0.3 -w 60 $2 $1 > /tmp/o && echo "@reached $1" || { echo "@fail $1 does not answer: $(tail -n 2 /tmp/o)"; exit 1; }; }
reach 10.20.0.2
reach 10.30.0.2
reach 10.20.0.50
reach 10.40.0.50
reach 10.20.0.2 "-s 1472"
reach 10.20.0.50 "-s 1472"
mark inside
ping -c 3 -w 4 10.50.0.50 > /dev/null && { echo "@fail a VLAN that is not on the list answers"; exit 1; }
echo @silent
iperf3 -c 10.20.0.2 -t 3 -f m > /tmp/o 2>&1 || { echo "@fail iperf3: $(tail -n 3 /tmp/o)"; exit 1; }
echo "@tcp $(grep receiver /tmp/o)"
mark done
"""
SERVE = """
iperf3 -s -D > /dev/null 2>&1
mark all
ping -c 2 -w 4 $(cat /tmp/other) > /dev/null && { echo "@fail VLANs 20 and 30 reach each other"; exit 1; }
echo @apart
mark done
"""
YAML = (HEAD.replace("vmknics:", TRUNK + "vmknics:") + "datastores:\n" + RAM + "vms:\n"
        + vm("router", "router", portgroup="trunk", mac=ROUTER_MAC, ip="10.40.0.1/24", memory="256MiB")
        + vm("web1", "web", portgroup="web", mac="52:54:00:aa:00:02", ip="10.20.0.2/24", memory="256MiB")
        + vm("dev1", "dev", portgroup="dev", mac="52:54:00:aa:00:03", ip="10.30.0.2/24", memory="256MiB"))


def tags(pcap, filter):
    """How often each list of VLANs is on the wire among these frames; "" is untagged, "20,20" would be two tags."""
    r = subprocess.run(["tshark", "-r", pcap, "-Y", filter, "-T", "fields", "-e", "vlan.id"], capture_output=True, text=True, check=True)
    lines = r.stdout.splitlines()
    return {v: lines.count(v) for v in set(lines)}


def explained(s):
    """What a trace says of a frame in VLAN 50."""
    r = subprocess.run([str(BERTH), "trace", "--console", str(s.folder / "console"), "--json", "router.nic0", "--describe",
                        f"src={ROUTER_MAC} dst=52:54:00:bb:00:00 vlan=50"], capture_output=True, text=True, timeout=60)
    check(r.returncode == 0, f"berth trace: {r.stderr}")
    last = json.loads(r.stdout)["steps"][-1]
    print(f"trace: {last}", flush=True)
    line = YAML.splitlines().index(TRUNK.rstrip()) + 1
    check("vlan-not-allowed" in last["text"] and last["path"] == "portgroups[3].trunk" and last["at"] == f"host.yaml:{line}", f"{last}")


def test(folder, scenarios):
    wire = Wire("uplink0")
    jobs = {"router": ROUTER, "web": "echo 10.30.0.2 > /tmp/other\n" + SERVE, "dev": "echo 10.20.0.2 > /tmp/other\n" + SERVE}
    s = Scenario("trunk", YAML, jobs, netdevs={"uplink0": wire.host}, console=True)
    scenarios.append(s)
    with s, Peer([wire]) as peer:
        peer.wait_ready()
        peer.sh("modprobe 8021q; for v in 20 40 50; do ip link add link eth0 name v$v type vlan id $v; ip addr add 10.$v.0.50/24 dev v$v; "
                "ip link set v$v up; done")
        s.until_all(["router", "web1", "dev1"], "mark", "all")
        pcap = str(folder / "wire.pcap")
        wire.capture(pcap)
        s.go("router")
        s.until("router", "mark", "inside")
        before = s.port("router")["drops"].get("vlan-not-allowed", 0)
        s.go("router")
        print(s.until("router", "tcp")[3], flush=True)
        s.until("router", "mark", "done")
        after = s.port("router")
        print(f"frames in VLAN 50: {after['drops'].get('vlan-not-allowed', 0) - before} dropped at router.nic0", flush=True)
        check(after["drops"].get("vlan-not-allowed", 0) >= before + 3, f"not counted: {before} {after['drops']}")
        check(after["dropped"] == sum(after["drops"].values()), f"{after}")
        explained(s)
        for v in ("web1", "dev1"):
            s.go(v)
        s.until_all(["web1", "dev1"], "mark", "done")
        peer.sh("ping -c 3 -w 4 -I v50 10.50.0.1", may_fail=True)
        uplink = next(p for p in s.host.snapshot()["ports"] if p["name"] == "uplink0")
        check(uplink["drops"].get("vlan-unknown", 0) >= 1, f"VLAN 50 from the wire was not dropped: {uplink['drops']}")
        wire.capture_end()
        ours = tags(pcap, f"eth.src == {ROUTER_MAC} && !(eth.dst == 52:54:00:aa:00:02)")
        print(f"VLANs of the guest's frames on the wire: {ours}", flush=True)
        check(set(ours) <= {"20", "30", "40"} and ours.get("20", 0) >= 6 and ours.get("40", 0) >= 3, f"{ours}")
        for v in ("router", "web1", "dev1"):
            s.go(v)
        s.until_end()
        check(all(h == "power-off" for h in s.host.ended.values()), f"{s.host.ended}")


main(test)
