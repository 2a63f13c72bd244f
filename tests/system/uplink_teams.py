"""A booted host with several uplinks on real Linux peers, under iperf3.

usage: uplink_teams.py link | beacon | lacp

link, beacon: three uplinks in explicit failover order on one Linux bridge. While UDP runs at a fixed rate to and from a guest, the first uplink's
cable is cut, or its wire becomes a black hole. What was lost, counted by iperf3, is shown in ms; it must not be more than the detection time.
The bridge sends our own floods back on the other uplinks; nothing may arrive twice. It snoops and nobody queries: of the guest's multicast groups it
must hear on the new uplink because the guest is asked.
lacp: two uplinks and a Linux bond (802.3ad): they agree, flows use both links, a flap and a black hole take one out and it comes back; tshark
judges our LACPDUs.
"""
import json
import pathlib
import re
import subprocess
import sys
import time

from scenario import Scenario, check, main, vm
from berthlab.peer import Peer
from berthlab.wire import Wire

MACS = ["52:54:00:12:34:56", "52:54:00:12:34:57", "52:54:00:12:34:58"]
WATCH_MS = 100
BEACON = {"interval_ms": 300, "loss": 3}
BROADCASTS = 40
PACKET_MS = 5  # one packet in so many
GROUPS = ("239.1.2.3", "ff0e::33")
SERVE = f"""
iperf3 -s -D >/dev/null 2>&1
mark serving
/bin/ip addr add {GROUPS[0]}/32 dev eth0 autojoin && /bin/ip -6 addr add {GROUPS[1]}/128 dev eth0 autojoin || exit 1
mark joined
"""


def yaml(count, vswitch):
    uplinks = "".join(f'  - {{name: uplink{i}, match: {{mac: "{MACS[i]}"}}}}\n' for i in range(count))
    names = ", ".join(f"uplink{i}" for i in range(count))
    return (f"host: {{name: hv1, io_cores: 1}}\nuplinks:\n{uplinks}vswitches:\n  - name: vSwitch0\n    uplinks: [{names}]\n{vswitch}"
            "portgroups:\n  - {name: web, vswitch: vSwitch0, vlan: 20}\nvms:\n"
            + vm("web1", "serve", portgroup="web", mac="52:54:00:aa:00:01", ip="10.20.0.1/24", memory="256MiB"))


def said(s, text, since, seconds=60):
    """Until the host says it, in a line after the first `since`; the host's time of it."""
    end = time.monotonic() + seconds
    while True:
        for line in list(s.host.lines)[since:]:
            if text in line:
                return float(re.search(r"\[host\] ([0-9.]+)", line).group(1))
        check(time.monotonic() < end and s.host.running(), f"the host did not say {text!r}; its last lines:\n  " + "\n  ".join(s.host.lines[-8:]))
        time.sleep(0.1)


def cut(s, peer, wire, up):
    s.host.set_link(f"uplink{wire}", up)
    peer.set_link(wire, up)


def udp_with_failure(s, peer, direction, fail):
    """Runs UDP for some seconds with `fail` in the middle: (lost, sent)."""
    rate = 200 * 8 * 1000 // PACKET_MS
    peer.sh(f"iperf3 -c 10.20.0.1 -u -l 200 -b {rate} -t 8 -J {direction} > /tmp/udp.json 2>&1 &")
    time.sleep(3)
    fail()
    result = json.loads(peer.until("sleep 3; pidof iperf3 > /dev/null && exit 1; cat /tmp/udp.json", 60))
    check("error" not in result, f"iperf3: {result.get('error')}")
    return result["end"]["sum"]["lost_packets"], result["end"]["sum"]["packets"]


def member_behind(peer, nic):
    """Until the bridge has heard of the guest's groups on this NIC."""
    shown = peer.until("bridge mdb show > /tmp/m; cat /tmp/m; " + " && ".join(f"grep -q 'port eth{nic} grp {g} ' /tmp/m" for g in GROUPS), 30)
    print(f"behind eth{nic}: {[line for line in shown.splitlines() if any(g in line for g in GROUPS)]}", flush=True)


def failover(s, peer, wires, detection_ms, fail, heal):
    for direction, words in (("", "to the guest"), ("-R", "from the guest")):
        since = len(s.host.lines)
        lost, sent = udp_with_failure(s, peer, direction, fail)
        said(s, "vSwitch0 sends by uplink1", since)
        member_behind(peer, 1)
        ms = lost * PACKET_MS
        print(f"failover {words}: {lost} of {sent} packets lost: {ms} ms; detection takes {detection_ms} ms", flush=True)
        check(sent > 1000, f"only {sent} packets were sent")
        check(lost > 0 or detection_ms == WATCH_MS, "nothing was lost: the failure was none")  # the bridge floods at once when its link is lost
        check(ms <= detection_ms * 1.5 + WATCH_MS, f"{words}: {ms} ms lost")
        since = len(s.host.lines)
        heal()
        said(s, "vSwitch0 sends by uplink0", since)
        peer.until("ping -c 1 -w 2 10.20.0.1")
        member_behind(peer, 0)


def no_duplicates(s, peer):
    """The bridge floods to all uplinks: the guest gets each echo and each broadcast once. The switch counts what it got."""
    out = peer.sh("ping -c 10 -i 0.2 10.20.0.1", may_fail=True)[0]
    check("DUP" not in out and "duplicates" not in out and " 0% packet loss" in out, f"frames arrive twice, or not:\n{out}")
    before = s.port("web1")["rx_packets"]
    peer.sh(f"ping -q -c {BROADCASTS} -i 0.05 -W 1 10.20.0.255", may_fail=True)
    got = s.port("web1")["rx_packets"] - before
    print(f"{BROADCASTS} broadcasts over the bridge: the guest got {got} frames", flush=True)
    check(BROADCASTS <= got < 1.5 * BROADCASTS, f"of {BROADCASTS} broadcasts over the bridge the guest got {got}")


def sends_by(s):
    """The uplink of each port, and the uplinks in use, as the control console tells."""
    answer = s.host.ask("uplinks", "uplinks")
    check(answer["event"] == "uplinks", f"{answer}")
    return {p["port"]: p["uplink"] for p in answer["ports"]}, answer["teams"][0]["in_use"], answer["uplinks"]


def bridge(peer, count):
    peer.sh("modprobe bridge; modprobe 8021q; ip link add br0 type bridge; " + "".join(f"ip link set eth{i} master br0; " for i in range(count))
            + "ip link set br0 up; ip link add link br0 name v20 type vlan id 20; ip addr add 10.20.0.50/24 dev v20; ip link set v20 up")


def by_failover(s, mode):
    wires = [s.wires[i] for i in range(3)]
    with s, Peer(wires) as peer:
        s.until("web1", "mark", "serving")
        peer.wait_ready()
        bridge(peer, 3)
        peer.until("ping -c 1 -w 2 10.20.0.1", 60)
        no_duplicates(s, peer)
        s.go("web1")
        s.until("web1", "mark", "joined")
        member_behind(peer, 0)
        ports, in_use, uplinks = sends_by(s)
        check(set(ports.values()) == {"uplink0"} and in_use == ["uplink0"] and all(u["link"] == "up" for u in uplinks), f"{ports} {in_use} {uplinks}")
        check(all(u.get("beacon") == ("good" if mode == "beacon" else None) for u in uplinks), f"{uplinks}")
        if mode == "link":
            failover(s, peer, wires, WATCH_MS, lambda: cut(s, peer, 0, False), lambda: cut(s, peer, 0, True))
        else:
            failover(s, peer, wires, BEACON["interval_ms"] * BEACON["loss"] + WATCH_MS, wires[0].black_hole, wires[0].heal)
        ports = {p["name"]: p for p in s.host.snapshot()["ports"]}
        for name in ("uplink1", "uplink2"):
            print(name, ports[name]["drops"], flush=True)
        check(ports["uplink1"]["drops"].get("own-source", 0) > 0, "the bridge sent nothing of ours back: is it one?")
        s.go("web1")
        s.until_end()


def bond_has(peer, ports, seconds=30):
    """Until the bond's active aggregator has so many ports and both sides of these distribute (63: all bits up to it); the text of /proc."""
    return peer.until("cat /proc/net/bonding/bond0 > /tmp/b; cat /tmp/b; "
                      f"grep -q 'Number of ports: {ports}' /tmp/b && [ $(grep -c 'port state: 63' /tmp/b) = {2 * ports} ]", seconds)


def judge(pcap):
    """How many LACPDUs of ours tshark reads in the file; each must be well formed, and say that we distribute (state 0x3f)."""
    fields = ["lacp.version", "lacp.actor.sysid", "lacp.actor.state", "_ws.malformed"]
    r = subprocess.run(["tshark", "-r", pcap, "-Y", f"lacp && eth.src == {MACS[0]}", "-T", "fields", *[a for f in fields for a in ("-e", f)]],
                       capture_output=True, text=True)
    check(r.returncode == 0, f"tshark: {r.stderr.strip()}")
    lines = r.stdout.splitlines()
    wrong = [line for line in lines if line.split("\t") != ["0x01", MACS[0], "0x3f", ""]]
    check(len(lines) >= 2 and not wrong, f"tshark sees {len(lines)} LACPDUs of ours, wrong: {wrong[:3]}")
    return len(lines)


def by_lacp(s, folder):
    wires = s.wires[:2]
    with s, Peer(wires) as peer:
        s.until("web1", "mark", "serving")
        peer.wait_ready()
        peer.sh("modprobe 8021q; ip link set eth0 down; ip link set eth1 down; "
                "ip link add bond0 type bond mode 802.3ad lacp_rate fast miimon 100 xmit_hash_policy layer3+4; "
                "ip link set eth0 master bond0; ip link set eth1 master bond0; ip link set bond0 up; "
                "ip link add link bond0 name v20 type vlan id 20; ip addr add 10.20.0.50/24 dev v20; ip link set v20 up")
        text = bond_has(peer, 2, 60)
        check(f"Partner Mac Address: {MACS[0]}" in text, text)
        ports, in_use, uplinks = sends_by(s)
        check(set(ports.values()) == {"*"} and in_use == ["uplink0", "uplink1"], f"{ports} {in_use}")
        for u in uplinks:
            lacp = u["lacp"]
            check(lacp["mux"] == "collecting-distributing" and lacp["partner"]["system"] == "52:54:00:bb:00:00" and lacp["chosen"], f"{u}")
        peer.until("ping -c 1 -w 2 10.20.0.1", 60)
        pcap = str(pathlib.Path(folder) / "lacp.pcap")
        wires[0].capture(pcap)
        before = [w.passed[:] for w in wires]
        s.go("web1")
        s.until("web1", "mark", "joined")
        for direction in ("", "-R"):
            print(peer.sh(f"iperf3 -c 10.20.0.1 -t 3 -P 8 -f m {direction} | grep SUM | grep receiver"), flush=True)
        used = [[w.passed[d] - b[d] for d in (0, 1)] for w, b in zip(wires, before)]
        print(f"frames per wire (to the peer, to the host): {used}", flush=True)
        check(all(n > 100 for w in used for n in w), f"flows do not use both links: {used}")
        wires[0].capture_end()
        print(f"tshark: {judge(pcap)} LACPDUs of ours, well formed", flush=True)
        for what, fail, heal, limit in (("flap", lambda: cut(s, peer, 1, False), lambda: cut(s, peer, 1, True), 400),
                                        ("black hole", wires[1].black_hole, wires[1].heal, 4000)):
            since = len(s.host.lines)
            lost, sent = udp_with_failure(s, peer, "", fail)
            said(s, "vSwitch0 sends by uplink0", since)
            bond_has(peer, 1)
            print(f"{what}: {lost} of {sent} packets lost: {lost * PACKET_MS} ms", flush=True)
            check(lost * PACKET_MS <= limit * 1.5, f"{what}: {lost * PACKET_MS} ms lost")
            since = len(s.host.lines)
            heal()
            said(s, "vSwitch0 sends by uplink0, uplink1", since)
            bond_has(peer, 2)
            peer.until("ping -c 1 -w 2 10.20.0.1")
        s.go("web1")
        s.until_end()


def test(folder, scenarios):
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    check(mode in ("link", "beacon", "lacp"), __doc__)
    count = 2 if mode == "lacp" else 3
    vswitch = {"link": "    teaming: {load_balancing: explicit}\n",
               "beacon": f"    teaming: {{load_balancing: explicit, failure_detection: beacon}}\n    beacon: {json.dumps(BEACON)}\n",
               "lacp": "    lacp: {rate: fast}\n"}[mode]
    wires = [Wire(f"uplink{i}") for i in range(count)]
    s = Scenario(f"teams-{mode}", yaml(count, vswitch), {"serve": SERVE}, netdevs={w.name: w.host for w in wires})
    s.wires = wires
    scenarios.append(s)
    by_lacp(s, folder) if mode == "lacp" else by_failover(s, mode)


main(test)
