"""What the switch shows on a booted host: neighbours by LLDP and CDP (a Linux peer with lldpd, both ways), mirroring to a VM and into a capture that
tcpdump and tshark read, traces that name the line that decided and change nothing, and counters that add up.

a1 and a2 are in VLAN 20 and ping each other; ids, in VLAN 30, gets copies of what their port group sends and receives.
"""
import json
import subprocess
import time

from scenario import HEAD, RAM, Scenario, check, main, vm
from berthlab import BERTH
from berthlab.peer import Peer
from berthlab.wire import Wire

PINGS = 5
PING = f"""
mark all
ping -c {PINGS} -i 0.3 -w 60 10.20.0.2 > /tmp/o || {{ echo "@fail $(tail -n 2 /tmp/o)"; exit 1; }}
mark pinged
mark done
"""
ANSWER = "mark all\nmark done\n"
IDS = """
mark all
ip link set eth0 up
count() { cat /sys/class/net/eth0/statistics/rx_packets; }
before=$(count)
mark watching
echo "@received $(($(count) - before))"
mark done
"""
A1, A2 = "52:54:00:aa:00:01", "52:54:00:aa:00:02"
MIRRORS = """mirrors:
  - {name: ids, vswitch: vSwitch0, sources: [{portgroup: web}], destination: {port: ids.nic0}}
  - {name: all, vswitch: vSwitch0, sources: [{vlan: 20}], destination: {capture: 1MiB}}
"""
YAML = (HEAD.replace("uplinks: [uplink0]}", "uplinks: [uplink0], discovery: both}") + "datastores:\n" + RAM + MIRRORS + "vms:\n"
        + vm("a1", "ping", portgroup="web", mac=A1, ip="10.20.0.1/24", memory="256MiB")
        + vm("a2", "answer", portgroup="web", mac=A2, ip="10.20.0.2/24", memory="256MiB")
        + vm("ids", "ids", portgroup="dev", mac="52:54:00:aa:00:03", memory="256MiB"))


def judge(*command):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
    check(r.returncode == 0, f"{command[0]}: status {r.returncode}: {r.stderr[-400:]}")
    return r.stdout.splitlines()


def berth(s, *arguments):
    r = subprocess.run([BERTH, *arguments[:1], "--console", str(s.folder / "console"), *arguments[1:]], capture_output=True, text=True, timeout=120)
    print(f"berth {' '.join(str(a) for a in arguments)}: status {r.returncode}\n{r.stdout}{r.stderr}", flush=True)
    check(r.returncode == 0, f"berth {arguments[0]} failed: {r.stderr[-300:]}")
    return r.stdout


def neighbours(s, peer, folder):
    """lldpd waits to be configured by lldpcli at its usual place unless -L is empty; -l and -ccc: LLDP and CDPv2, whoever is there."""
    peer.sh("lldpd -L '' -l -ccc -I eth0; n=0; until lldpcli show chassis > /dev/null 2>&1; do n=$((n+1)); [ $n -lt 50 ] || exit 1; sleep 0.2; done\n"
            "lldpcli configure system hostname peer1\nlldpcli configure lldp tx-interval 2")
    seen, end = {}, time.monotonic() + 120
    while set(seen) != {"lldp", "cdp"}:
        answer = s.host.ask("neighbors", "neighbors")
        seen = {n["protocol"]: n for n in answer["neighbors"]}
        check(time.monotonic() < end, f"the host has not heard LLDP and CDP from its neighbour: {seen} {answer['uplinks']}")
        time.sleep(0.5)
    print(f"the host sees {json.dumps(seen)}", flush=True)
    for n in seen.values():
        check(n["uplink"] == "uplink0" and n["port"].startswith(("eth0", "52:54:00:bb")) and n["chassis"], f"{n}")
    check(not seen["lldp"]["mtu_too_small"] and seen["lldp"]["system_name"], f"{seen['lldp']}")
    shown = peer.until("lldpcli show neighbors details -f keyvalue | grep -q 'chassis.name=hv1' && lldpcli show neighbors details -f keyvalue", seconds=90)
    for line in ("port.ifname=uplink0", "port.descr=uplink0 of vSwitch0", "chassis.mgmt-ip=10.0.2.15", "chassis.Bridge.enabled=on", "port.mfs=1522",
                 "vlan.vlan-id=20"):
        check(line in shown, f"the neighbour does not see {line} in:\n{shown}")


def sessions_of(s):
    return {m["name"]: m for m in s.host.ask("mirrors", "mirrors")["mirrors"]}


def mirrored(s, folder):
    s.go("ids")
    s.until("ids", "mark", "watching")
    early = sessions_of(s)["ids"]["dropped"]  # what came before ids had a driver
    s.go("a1")
    s.until("a1", "mark", "pinged")
    s.go("ids")
    received = int(s.until("ids", "received")[3])
    sessions = sessions_of(s)
    print(f"ids received {received}; {json.dumps(sessions)}", flush=True)
    check(received >= 2 * PINGS and sessions["ids"]["frames"] >= 2 * PINGS and sessions["ids"]["dropped"] == early, "ids did not get the copies")
    berth(s, "capture", "all", "-o", folder / "all.pcapng")
    lines = judge("tcpdump", "-n", "-e", "-r", folder / "all.pcapng", "vlan 20 and icmp")
    check(len(lines) == 2 * PINGS, f"tcpdump reads {len(lines)} echoes, not each of {2 * PINGS} once: {lines}")
    names = judge("tshark", "-r", folder / "all.pcapng", "-Y", "icmp && icmp.checksum.status == 1", "-T", "fields", "-e", "frame.interface_name")
    check(sorted(names) == ["a1.nic0"] * PINGS + ["a2.nic0"] * PINGS, f"tshark sees them at {names}")
    bad = judge("tshark", "-r", folder / "all.pcapng", "-Y", "_ws.malformed || frame.time_delta < 0")
    check(not bad, f"{bad}")


def traced(s):
    """A guest may send by itself meanwhile (a neighbour solicitation). A trace that is counted is so each time."""
    for _ in range(5):
        before = ports(s)
        traces(s)
        after = ports(s)
        if before == after:
            return
    check(False, f"a trace was counted: {before} {after}")


def ports(s):
    return [p for p in s.host.snapshot()["ports"] if p["name"] in ("a1.nic0", "a2.nic0")]


def traces(s):
    t = json.loads(berth(s, "trace", "--json", "a1.nic0", "--describe", f"src={A1} dst={A2} ip=10.20.0.1>10.20.0.2 proto=tcp dport=80"))
    check(t["result"] == "delivered" and [d["port"] for d in t["deliveries"]] == ["a2.nic0"], f"{t}")
    t = json.loads(berth(s, "trace", "--json", "a1.nic0", "--describe", f"src=52:54:00:aa:00:09 dst={A2}"))
    last = t["steps"][-1]
    check(t["result"] == "dropped" and t["drop"] == "forged-source" and last["path"] == "portgroups[1].policy.forged_transmits", f"{t}")
    line = YAML.splitlines().index("  - {name: web, vswitch: vSwitch0, vlan: 20}") + 1
    check(last["at"] == f"host.yaml:{line}", f"{last}")
    t = json.loads(berth(s, "trace", "--json", "a1.nic0", "--describe", f"src={A1} dst=52:54:00:bb:00:00"))
    check([(d["port"], d["tagged"], d["vlan"]) for d in t["deliveries"]] == [("uplink0", True, 20)], f"{t}")
    t = json.loads(berth(s, "trace", "--json", "uplink0", "--describe", f"dst={A1} vlan=77"))
    check(t["drop"] == "vlan-unknown", f"{t}")


def counted(s):
    """Port groups are the sums of their ports; each drop has one reason, in words, at one port."""
    stats = s.host.snapshot()
    web = next(g for g in stats["portgroups"] if g["name"] == "web")
    ports = [p for p in stats["ports"] if p["portgroup"] == "web"]
    print(f"port group web: {json.dumps(web)}", flush=True)
    check(web["ports"] == len(ports) == 2, f"{web}")
    check(web["tx_packets"] >= 2 * PINGS and web["dropped"] == sum(web["drops"].values()), f"{web}")
    for key in ("tx_packets", "tx_bytes", "rx_packets", "rx_bytes", "dropped"):
        check(web[key] == sum(p[key] for p in ports), f"{key}: {web[key]} is not the sum of {ports}")
    drops = s.host.ask("drops", "drops")
    print(json.dumps(drops), flush=True)
    check(drops["dropped"] == sum(d["count"] for d in drops["drops"]), f"{drops}")
    for d in drops["drops"]:
        check(d["text"] and d["count"] == sum(p["count"] for p in d["ports"]), f"{d}")


def test(folder, scenarios):
    wire = Wire("up")
    s = Scenario("see", YAML, {"ping": PING, "answer": ANSWER, "ids": IDS}, netdevs={"uplink0": wire.host}, console=True)
    scenarios.append(s)
    with s, Peer([wire]) as peer:
        wire.capture(folder / "wire.pcap")
        s.until_all(["a1", "a2", "ids"], "mark", "all")
        peer.wait_ready()
        neighbours(s, peer, folder)
        mirrored(s, folder)
        traced(s)
        counted(s)
        for v in ("a1", "a2", "ids"):
            s.go(v)
        s.until_all(["a1", "a2"], "mark", "done")
        for v in ("a1", "a2"):
            s.go(v)
        s.until_end()
        wire.capture_end()
        ours = judge("tshark", "-r", folder / "wire.pcap", "-Y", "lldp && lldp.tlv.system.name == hv1 || lldp.time_to_live == 0", "-T", "fields", "-e",
                     "lldp.time_to_live")
        check(ours.count("121") >= 2 and ours[-1] == "0", f"what we told: times to live {ours}; the last is no good-bye")
        bad = judge("tshark", "-r", folder / "wire.pcap", "-Y", "lldp && (_ws.malformed || _ws.expert.severity == error)")
        check(not bad, f"tshark does not like our LLDP: {bad}")
        leaked = judge("tshark", "-r", folder / "wire.pcap", "-Y", "icmp")
        check(not leaked, f"frames of VMs were mirrored to the wire: {leaked[:3]}")


main(test)
