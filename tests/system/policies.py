"""Shaping, storm limits and guards on a booted host, by what a Linux peer outside and Linux guests send and get.

Shaping, in both directions: the kernel's packet generator sends faster than the peak. What passed is captured behind the shaper with the host's own times,
so a slow emulator changes nothing: it must fit the token buckets of average and peak (the algorithm of ITU-T I.371 annex A), use what they give, and with what was
dropped be what was sent. Storm limits: floods of the peer; what arrives is within the limit, the rest is dropped by its reason, and unicast loses nothing. Guards: a
guest that runs a DHCP server gives nobody an address until its NIC is trusted; ARP passes with the address leased to the guest and with no other.
"""
import subprocess
import time

from scenario import SHELL, Scenario, check, main, vm
from berthlab import BERTH
from berthlab.peer import Peer
from berthlab.wire import Wire

PEER = "52:54:00:bb:00:00"
MAC = {"shaped": "52:54:00:aa:00:01", "client": "52:54:00:aa:00:02", "rogue": "52:54:00:aa:00:03"}
NOBODY = "52:54:00:aa:00:99"
FRAME = 1000  # bytes of a generated frame, without tag
SENT, EACH_NS = 800, 2000000
RATES = {"egress": {"average": 80, "peak": 800, "burst": 20 << 10}, "ingress": {"average": 160, "peak": 1600, "burst": 40 << 10}}  # kbit/s, bytes
PEAK_BURST = 2 * 1514  # two frames of the MTU may exceed a peak (vswitch/shape.c)
LATE_NS = 50000000  # a frame is captured so much later than it was let pass, at most
STORM = {"broadcast": 50, "multicast": 30, "unknown_unicast": 20}
STORM_BURST = 32
FLOOD, FLOOD_NS = 1000, 1000000
ARPINGS = 5
LEASES, ROGUE_LEASES = ([f"10.40.0.{n}" for n in range(first, first + 11)] for first in (100, 200))


def shaping(direction):
    r = RATES[direction]
    return f"{direction}: {{average: {r['average']}, peak: {r['peak']}, burst: {r['burst']}B}}"


YAML = f"""
host: {{name: hv1, io_cores: 1}}
uplinks:
  - {{name: uplink0, match: {{mac: "52:54:00:12:34:56"}}, storm: {{{", ".join(f"{k}: {v}" for k, v in STORM.items())}}}}}
vswitches:
  - {{name: vSwitch0, uplinks: [uplink0]}}
portgroups:
  - {{name: shaped, vswitch: vSwitch0, vlan: 30, shaping: {{{shaping("ingress")}, {shaping("egress")}}}}}
  - {{name: guarded, vswitch: vSwitch0, vlan: 40, guard: {{servers: true, arp: true}}}}
mirrors:
  - {{name: egress, vswitch: vSwitch0, sources: [{{port: shaped.nic0, direction: out}}], destination: {{capture: 1MiB}}, filter: {{port: 9}}, snap_length: 64}}
  - {{name: ingress, vswitch: vSwitch0, sources: [{{uplink: uplink0, direction: out}}], destination: {{capture: 1MiB}}, filter: {{port: 9}}, snap_length: 64}}
  - {{name: storm, vswitch: vSwitch0, sources: [{{port: client.nic0, direction: out}}], destination: {{capture: 1MiB}}, filter: {{port: 9}}, snap_length: 64}}
vms:
""" + "".join(vm(name, "shell", portgroup=group, mac=MAC[name], ip=ip, memory="256MiB")
              for name, group, ip in (("shaped", "shaped", "10.30.0.1/24"), ("client", "guarded", ""), ("rogue", "guarded", "10.40.0.66/24")))
ROGUE = "    nics: [{portgroup: guarded, mac: \"" + MAC["rogue"] + "\""
YAML = YAML.replace(ROGUE, ROGUE + ", addresses: [10.40.0.66]")
TRUSTED = YAML.replace(ROGUE, ROGUE + ", trusted: true")
OUTSIDE = "modprobe 8021q\n" + "".join(
    f"ip link add link eth0 name v{v} type vlan id {v}; echo 1 > /proc/sys/net/ipv6/conf/v{v}/disable_ipv6; ip addr add 10.{v}.0.50/24 dev v{v}; ip link set v{v} up\n"
    for v in (30, 40))


# The kernel's packet generator sends UDP frames to port 9, one in so many ns, and returns when all are out. Arguments: device, MAC address, frames, ns, IP address
GENERATE = f"""
modprobe pktgen
cd /proc/net/pktgen
echo rem_device_all > kpktgend_0
echo add_device $1 > kpktgend_0
for x in "count $3" "delay $4" "pkt_size {FRAME}" "dst_mac $2" "dst $5"; do echo $x > $1; done
echo start > pgctrl
grep -q "sofar: $3 *errors: 0" $1
"""
# busybox's DHCP server in the background. Arguments: device, first and last address
SERVE = """
for x in "interface $1" "start $2" "end $3" "lease_file /tmp/leases" "pidfile /tmp/pid" "option subnet 255.255.255.0" "option lease 3600"; do echo $x; done > /tmp/c
> /tmp/leases
udhcpd -a 100 /tmp/c
"""
LEASE = """#!/bin/sh
[ "$1" = bound ] && /bin/ip addr add "$ip/24" dev eth0 && echo "$ip $serverid" > /tmp/lease
"""
JOBS = {"shell": SHELL, "generate": GENERATE, "serve": SERVE, "lease": LEASE}


def overdrawn(times_ns, cost, rate, burst):
    """A bucket of `burst` that fills with `rate` a second pays `cost` at each time: by how much it is overdrawn at worst."""
    tokens, then, worst = burst, times_ns[0], 0.0
    for t in times_ns:
        tokens = min(burst, tokens + rate * (t - then) / 1e9) - cost
        then, worst = t, min(worst, tokens)
    return -worst


class Policies:
    def __init__(self, scenario, peer):
        self.s, self.peer = scenario, peer
        self.seen = {"egress": 0, "ingress": 0, "storm": 0}

    def captured(self, session):
        frames = self.s.captured(session, self.seen[session])
        self.seen[session] += len(frames)
        return frames

    def outside(self, job, *arguments):
        return self.peer.sh(f"sh /job/{job} " + " ".join(map(str, arguments)))

    def drops(self, port):
        return next(p for p in self.s.host.snapshot()["ports"] if p["name"] == port)["drops"]

    def all_of(self, session, port, before, reason, sent):
        """What was captured of `sent` frames, and how many were dropped, when they are all: none is lost, none is there twice."""
        frames, end = [], time.monotonic() + 120
        while True:
            frames += self.captured(session)
            dropped = self.drops(port).get(reason, 0) - before.get(reason, 0)
            if len(frames) + dropped >= sent or time.monotonic() > end:
                break
            time.sleep(0.3)
        check(len(frames) + dropped == sent, f"{session}: of {sent} frames {len(frames)} passed and {dropped} were dropped as {reason}")
        return frames, dropped

    # ---- shaping ----

    def shaped(self, direction):
        """Sends too much through the shaper of one direction. Returns what passed too late or too little: so it is when the sender got no processor time."""
        rate, peak = (RATES[direction][k] * 125 for k in ("average", "peak"))  # bytes a second
        burst, before = RATES[direction]["burst"], self.drops("shaped.nic0")
        if direction == "egress":
            self.outside("generate", "v30", MAC["shaped"], SENT, EACH_NS, "10.99.0.1")
        else:
            self.s.run("shaped", f"sh /job/generate eth0 {PEER} {SENT} {EACH_NS} 10.99.0.1")
        frames, dropped = self.all_of(direction, "shaped.nic0", before, "shaped", SENT)
        times = [f["time_ns"] for f in frames]
        seconds, late = (times[-1] - times[0]) / 1e9, LATE_NS / 1e9
        full = next((t - times[0]) / 1e9 for i, t in enumerate(times) if (i + 1) * FRAME >= burst or t == times[-1])
        given = burst + rate * seconds
        print(f"{direction}: {SENT} frames sent, {len(frames)} passed in {seconds:.3f} s, {dropped} dropped; average and burst give {given / FRAME:.1f}; "
              f"a burst passed in {full:.3f} s, at the peak it takes {(burst - PEAK_BURST) / peak:.3f} s", flush=True)
        for name, over in (("average", overdrawn(times, FRAME, rate, burst) - rate * late), ("peak", overdrawn(times, FRAME, peak, PEAK_BURST) - peak * late)):
            check(over <= 0, f"{direction}: {over:.0f} bytes more than its {name} passed")
        check(dropped > SENT / 2, f"{direction}: nothing was dropped: was the sender faster than the rate?")
        return ([f"{len(frames)} frames passed, of {given / FRAME:.1f} that might"] if len(frames) * FRAME < 0.95 * given - 2 * FRAME else []) \
            + ([f"the burst took {full:.3f} s"] if full > 3 * burst / peak else [])

    def shaping(self):
        self.s.run("shaped", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        for direction in RATES:
            faults = self.s.host.undisturbed(lambda: self.shaped(direction), attempts=3)
            check(not faults, f"{direction}: {faults}")
            if faults is None:
                print(f"{direction}: the machine was too busy to tell whether its rates are reached", flush=True)
        received = int(self.s.run("shaped", "cat /sys/class/net/eth0/statistics/rx_bytes"))
        check(received >= self.seen["egress"] * FRAME, f"the guest got {received} bytes of {self.seen['egress']} frames")

    # ---- storms ----

    def storm(self, name, to, address):
        """A flood from outside."""
        before, reason, limit = self.drops("uplink0"), "storm-" + name.replace("_", "-"), STORM[name]
        self.outside("generate", "v40", to, FLOOD, FLOOD_NS, address)
        if name == "unknown_unicast":  # those within the limit find nobody
            after = self.drops("uplink0")
            dropped, passed = (after.get(r, 0) - before.get(r, 0) for r in (reason, "no-destination"))
            print(f"{name}: {FLOOD} frames sent, {dropped} over the limit, {passed} more had no destination", flush=True)
            check(dropped + passed == FLOOD and STORM_BURST <= passed < FLOOD / 2, f"{before} {after}")
            return
        frames, dropped = self.all_of("storm", "uplink0", before, reason, FLOOD)
        times = [f["time_ns"] for f in frames]
        over = overdrawn(times, 1, limit, STORM_BURST) - limit * LATE_NS / 1e9
        print(f"{name}: {FLOOD} frames sent, the guest got {len(frames)} in {(times[-1] - times[0]) / 1e9:.3f} s, {dropped} dropped; limit {limit} a second", flush=True)
        check(over <= 0 and len(frames) >= STORM_BURST, f"{name}: {over:.0f} frames above the limit, {len(frames)} arrived")

    def storms(self):
        since = len(self.s.host.lines)
        self.s.run("client", f"/bin/ip link set eth0 up && /bin/ip addr add 10.40.0.2/24 dev eth0 && /bin/ip neigh replace 10.40.0.50 lladdr {PEER} dev eth0 nud permanent")
        self.peer.sh(f"ip neigh replace 10.40.0.2 lladdr {MAC['client']} dev v40 nud permanent")
        for name, to, address in (("broadcast", "ff:ff:ff:ff:ff:ff", "10.40.0.255"), ("multicast", "01:00:5e:01:02:03", "239.1.2.3"), ("unknown_unicast", NOBODY, "10.99.0.1")):
            self.storm(name, to, address)
            check(any(f"more than {STORM[name]} {name.replace('_', ' ')} frames a second" in line for line in list(self.s.host.lines)[since:]), f"the log does not tell of {name}")
        before = self.drops("client.nic0")
        out = self.peer.sh(f"sh /job/generate v40 ff:ff:ff:ff:ff:ff {FLOOD} {FLOOD_NS} 10.40.0.255 & ping -q -c 100 -i 0.02 -W 60 10.40.0.2; wait $!")
        check(" 0% packet loss" in out and self.drops("client.nic0") == before, f"unicast was lost in a flood:\n{out}")

    # ---- guards ----

    def leased(self):
        """The client asks for an address: (the address, the server's)."""
        self.s.run("client", "/bin/ip addr flush dev eth0; rm -f /tmp/lease; udhcpc -i eth0 -f -n -q -t 30 -T 1 -s /job/lease; cat /tmp/lease")
        address, server = self.s.run("client", "cat /tmp/lease").split()
        print(f"the client has {address} from {server}", flush=True)
        return address, server

    def arp(self, address, to, passes):
        """The client sends ARP as `address`."""
        before = self.drops("client.nic0").get("arp-spoof", 0)
        status, line = self.s.run("client", f"arping -c {ARPINGS} -w 60 -I eth0 -s {address} {to}", may_fail=True)
        dropped = self.drops("client.nic0").get("arp-spoof", 0) - before
        print(f"ARP as {address}: {dropped} of {ARPINGS} dropped; {line}", flush=True)
        check((dropped, status == 0) == ((0, True) if passes else (ARPINGS, False)), f"ARP as {address}: {dropped} dropped, status {status}")

    def guards(self):
        self.s.run("client", f"chmod +x /job/lease; /bin/ip addr add 10.40.0.50/32 dev lo; /bin/ip addr add 10.40.0.2/32 dev lo")
        self.s.run("rogue", f"sh /job/serve eth0 {ROGUE_LEASES[0]} {ROGUE_LEASES[-1]}")
        self.outside("serve", "v40", LEASES[0], LEASES[-1])
        address, server = self.leased()
        check(address in LEASES and server == "10.40.0.50", f"the lease is {address} of {server}")
        end = time.monotonic() + 60
        while not self.drops("rogue.nic0").get("dhcp-server", 0):
            check(time.monotonic() < end, f"the rogue server's answer was not dropped: {self.drops('rogue.nic0')}")
            time.sleep(0.3)
        self.arp(address, "10.40.0.50", True)
        self.arp("10.40.0.2", "10.40.0.50", False)  # its own a while ago, but not leased
        self.arp("10.40.0.50", "10.40.0.66", False)
        return address

    def trusted(self):
        """The rogue server's NIC is trusted from now on, and the other server is gone."""
        self.peer.sh("kill $(cat /tmp/pid)")
        new = self.s.folder / "new.yaml"
        new.write_text(TRUSTED)
        r = subprocess.run([BERTH, "apply", "--console", str(self.s.folder / "console"), str(new)], capture_output=True, text=True, timeout=300)
        print(r.stdout + r.stderr, flush=True)
        check(r.returncode == 0 and "trusted changes from false to true" in r.stdout, f"berth apply: status {r.returncode}")
        before = self.drops("rogue.nic0")
        address, server = self.leased()
        check(address in ROGUE_LEASES and server == "10.40.0.66" and self.drops("rogue.nic0") == before, f"the lease is {address} of {server}")
        self.arp(address, "10.40.0.50", True)


def seen(pcap, condition):
    """Frames of the capture for which tshark finds the condition true."""
    r = subprocess.run(["tshark", "-r", pcap, "-Y", condition, "-T", "fields", "-e", "frame.number"], capture_output=True, text=True, timeout=120)
    check(r.returncode == 0, f"tshark: {r.stderr.strip()[-300:]}")
    return len(r.stdout.split())


def test(folder, scenarios):
    wire = Wire("up")
    s = Scenario("policies", YAML, JOBS, netdevs={"uplink0": wire.host}, console=True)
    scenarios.append(s)
    with s, Peer([wire], jobs=JOBS) as peer:
        s.until_all(list(MAC), "mark", "ready")
        for v in MAC:
            s.go(v)
        peer.wait_ready()
        peer.sh(OUTSIDE)
        p = Policies(s, peer)
        wire.capture(folder / "wire.pcap")
        p.shaping()
        p.storms()
        leased = p.guards()
        wire.capture_end()
        p.trusted()
        for v in MAC:
            s.host.type(v, "end")
        s.until_end()
        check(set(s.host.ended.values()) == {"power-off"}, f"{s.host.ended}")
    on_wire = {name: seen(folder / "wire.pcap", condition) for name, condition in {
        "frames of the guest that is shaped": f"eth.src == {MAC['shaped']} && udp.port == 9 && vlan.id == 30",
        "of the rogue server": f"eth.src == {MAC['rogue']} && dhcp", "of the right one": f"eth.src == {PEER} && dhcp",
        "forged ARP": f"arp.src.hw_mac == {MAC['client']} && arp.src.proto_ipv4 in {{10.40.0.2, 10.40.0.50}}",
        "ARP of the client": f"arp.src.hw_mac == {MAC['client']} && arp.src.proto_ipv4 == {leased}"}.items()}
    print(f"tshark sees: {on_wire}", flush=True)
    check(list(on_wire.values())[0] == p.seen["ingress"], "the wire does not have what was captured behind the shaper")
    check(not on_wire["of the rogue server"] and not on_wire["forged ARP"] and on_wire["of the right one"] >= 2 and on_wire["ARP of the client"], f"{on_wire}")


main(test)
