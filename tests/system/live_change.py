"""A running host is given other configurations: flows that are not touched lose nothing, each change does what it says, a refusal changes nothing.

a1 and a2 (VLAN 20) hold a TCP flow and ping each other all the time; nothing that is changed is theirs. b1 and b2 begin in VLANs 30 and 31. By
live changes they meet and part; b1's NIC moves to an uplink of its own, which is taken out, put back, and given to another vSwitch; and b1
is allowed and forbidden to send under another MAC address.

Nothing here depends on how fast the machine is: the flow has a small window, so a guest that gets no processor time gets no more frames than
its queue holds; that frames do not pass is shown by the switch's counters, not by waiting.
"""
import json
import subprocess
import time

from scenario import HEAD, RAM, Scenario, check, main, vm
from berthlab import BERTH

FLOW = """
mark all
ping -i 0.2 10.20.0.2 > /tmp/ping & pinger=$!
touch /tmp/flow
while [ -f /tmp/flow ]; do iperf3 -c 10.20.0.2 -w 16K -b 4M -t 80000 > /dev/null 2>&1 || sleep 0.2; done & flow=$!
mark flowing
rm /tmp/flow
killall iperf3
wait $flow
kill -INT $pinger
wait $pinger
# The last echo may be on its way; in front of it there is no gap.
awk -F 'seq=' '/ttl=/ { split($2, word, " "); if (word[1] != n) gaps++; n = word[1] + 1 } END { print "@ping", n + 0, gaps + 0 }' /tmp/ping
mark done
"""
SERVER = "iperf3 -s > /dev/null 2>&1 &\nmark all\nmark done\n"
# "ping IP TIMES", "arp IP TIMES", "forge IP TIMES" (from 10.30.0.9 under another MAC address): whether IP answers within so many tries.
# "many IP TIMES": so many large packets at once.
PROBE = """
mark all
ip addr add 10.0.2.20/24 dev eth0
modprobe macvlan
ip link add link eth0 name forged type macvlan mode bridge
ip addr add 10.30.0.9/32 dev forged
ip link set forged up
once() {
  case $1 in
    ping) ping -c 1 -W 2 $2 > /dev/null ;;
    arp) arping -c 1 -w 2 -I eth0 -s 10.30.0.1 $2 > /dev/null ;;
    many) ping -c $times -i 0.01 -s 1400 -W 1 $2 > /dev/null ;;
    forge) arping -c 1 -w 2 -I forged -s 10.30.0.9 $2 > /dev/null ;;
  esac
}
while true; do
  read -r how ip times < /dev/ttyS0
  [ $how != end ] || break
  until once $how $ip; do times=$((times - 1)); [ $times -gt 0 ] || break; done
  [ $times -gt 0 ] && echo @tried yes || echo @tried no
done
mark done
"""
ANSWER = "mark all\nmark done\n"
PATIENCE = 40
VMS = ["a1", "a2", "b1", "b2"]
GATEWAY = "10.0.2.2"  # answered by QEMU at the other end of each uplink

UPLINK1 = '  - {name: uplink1, match: {mac: "52:54:00:12:34:57"}}\n'
VSWITCH1 = "  - {name: vSwitch1, uplinks: [uplink1]}\n"
WAN = "  - {name: wan, vswitch: vSwitch1, vlan: 0}\n"
FAR = "  - {name: far, vswitch: vSwitch0, vlan: 31}\n"


def edit(text, *changes):
    """Each change is (what stands there, what shall)."""
    for old, new in changes:
        check(old in text, f"not in the configuration: {old}")
        text = text.replace(old, new, 1)
    return text


YAML = (edit(HEAD, ("vswitches:\n", UPLINK1 + "vswitches:\n"), ("portgroups:\n", VSWITCH1 + "portgroups:\n"), ("vmknics:\n", FAR + WAN + "vmknics:\n"))
        + "datastores:\n" + RAM + "vms:\n"
        + vm("a1", "flow", portgroup="web", ip="10.20.0.1/24", memory="256MiB")
        + vm("a2", "server", portgroup="web", ip="10.20.0.2/24", memory="256MiB")
        + vm("b1", "probe", portgroup="dev", ip="10.30.0.1/24", memory="256MiB")
        + vm("b2", "answer", portgroup="far", ip="10.30.0.2/24", memory="256MiB"))
MET = edit(YAML, (FAR, FAR.replace("31", "30")))
B1 = 'berth.ip=10.30.0.1/24"}\n    nics: [{portgroup: dev'


class Change:
    """Configurations given to the running host by `berth apply`, as an administrator does; the flow between a1 and a2 goes on meanwhile."""

    def __init__(self, scenario):
        self.s, self.file = scenario, scenario.folder / "new.yaml"
        self.before = self.ports()

    def ports(self):
        return {p.get("vm") or p["name"]: p for p in self.s.host.snapshot()["ports"]}

    def apply(self, text, *options):
        self.file.write_text(text)
        started = time.monotonic()
        r = subprocess.run([BERTH, "apply", "--console", str(self.s.folder / "console"), *options, str(self.file)], capture_output=True, text=True, timeout=300)
        print(f"berth apply: {time.monotonic() - started:.2f} s, status {r.returncode}\n{r.stdout}{r.stderr}", flush=True)
        self.flows()
        return r

    def done(self, text, *said):
        """Applied, and it says what has changed."""
        r = self.apply(text)
        missing = [t for t in said if t not in r.stdout]
        check(r.returncode == 0 and "applied: " in r.stdout and not missing, f"status {r.returncode}, not said: {missing}")

    def refused(self, text, why):
        r = self.apply(text)
        check(r.returncode == 1 and why in r.stderr and "refused: nothing was changed" in r.stdout, f"not refused for {why!r}")

    def flows(self):
        """Until a2 has got more of the flow: it lives."""
        got = self.ports()["a2"]["rx_packets"]
        while self.ports()["a2"]["rx_packets"] < got + 20:
            time.sleep(0.1)

    def _probe(self, how, ip, times):
        self.s.host.type("b1", f"{how} {ip} {times}")
        return self.s.until("b1", "tried")[3].strip() == "yes"

    def meets(self, ip="10.30.0.2"):
        return self._probe("ping", ip, PATIENCE)

    def parted(self, ip="10.30.0.2"):
        """b1 tries, and not one frame of it reaches b2: shown by counters. While its last try for the address is not given up it sends nothing."""
        before, answered = self.ports(), False
        for _ in range(PATIENCE):
            answered |= self._probe("ping", ip, 1)
            after = self.ports()
            if after["b1"]["tx_packets"] > before["b1"]["tx_packets"]:
                break
        check(after["b1"]["tx_packets"] > before["b1"]["tx_packets"], "b1 sent nothing")
        return not answered and after["b2"]["rx_packets"] == before["b2"]["rx_packets"]

    def passes(self, how, reason):
        """b1's probe is answered, and nothing of it is dropped for this reason."""
        before = self.drops(reason)
        return self._probe(how, "10.30.0.2", PATIENCE) and self.drops(reason) == before

    def dropped(self, how, reason, times=1, some=False):
        """b1's probe is not answered, and the switch has counted why; some: a part of it may pass."""
        before = self.drops(reason)
        answered = self._probe(how, "10.30.0.2", times)
        print(f"{how}: {'answered' if answered else 'no answer'}, {self.drops(reason) - before} frames dropped as {reason}", flush=True)
        return self.drops(reason) > before and (some or not answered)

    def drops(self, reason):
        return self.ports()["b1"]["drops"].get(reason, 0)


def port_groups(c):
    """VLANs of port groups, and what is refused."""
    check(c.parted(), "b1 and b2 meet before the change")
    r = c.apply(MET, "--dry-run")
    check(r.returncode == 0 and "checked: 1 change" in r.stdout and c.parted(), "a dry run says what would change, and changes nothing")
    line = next(i for i, text in enumerate(MET.splitlines(), 1) if "name: far" in text)
    c.done(MET, f'new.yaml:{line}: port group "far": vlan changes from 31 to 30')
    check(c.meets(), "b1 and b2 do not meet after the change")
    c.refused(YAML.replace("memory: 256MiB", "memory: 320MiB", 1), "the memory of a running VM cannot be changed")
    c.refused(edit(YAML, ("10.0.2.15/24", "10.0.2.16/24")), "connections to storage are bound to it")
    check(c.meets(), "a refused change has changed something")
    hostile(c.s)
    for i in range(3):  # a port group that comes and goes in front of all others: their indexes change
        c.done(edit(MET, ("portgroups:\n", f"portgroups:\n  - {{name: guest{i}, vswitch: vSwitch0, vlan: {100 + i}}}\n")), f'port group "guest{i}" is added')
    check(c.meets(), "b1 and b2 do not meet after other port groups came and went")


DEV = "{name: dev, vswitch: vSwitch0, vlan: 30"


def policies(c):
    """What port groups and NICs are allowed, for running guests."""
    check(c.dropped("forge", "forged-source"), "forged frames pass")
    c.done(edit(MET, (DEV, DEV + ", policy: {forged_transmits: true}")), 'port group "dev": policy.forged_transmits changes from false to true')
    check(c.passes("forge", "forged-source"), "forged frames are dropped though they are allowed now")
    c.done(MET, "policy.forged_transmits changes from true to false")
    check(c.dropped("forge", "forged-source"), "forged frames pass again")

    guarded = edit(MET, (DEV, DEV + ", guard: {servers: true, arp: true}"))
    c.done(guarded, 'port group "dev": guard')
    check(c.dropped("arp", "arp-spoof"), "b1 sends ARP for an address that is not known to be its own")
    c.done(edit(guarded, (B1, B1.replace("dev", "dev, addresses: [10.30.0.1]"))), 'VM "b1": nics[0].addresses')
    check(c.passes("arp", "arp-spoof"), "b1's ARP is dropped though the address is its own now")

    c.done(edit(MET, (DEV, DEV + ", shaping: {ingress: {average: 1, burst: 1514B}}")), 'port group "dev": shaping.ingress')
    check(c.dropped("many", "shaped", 60, some=True), "1 kbit/s lets 60 packets of 1400 bytes pass")
    c.done(MET, 'port group "dev": shaping.ingress')
    check(c.passes("ping", "shaped"), "b1 is shaped though its port group is not any more")

    private = edit(MET, ("uplinks: [uplink0]}", "uplinks: [uplink0], private_vlans: [{primary: 100, isolated: 101}]}"),
                   (DEV, DEV.replace("vlan: 30", "private_vlan: 101")), ("{name: far, vswitch: vSwitch0, vlan: 30", "{name: far, vswitch: vSwitch0, private_vlan: 101"))
    c.done(private, 'vSwitch "vSwitch0": private_vlans changes', 'port group "dev": private_vlan', 'port group "far": private_vlan')
    check(c.parted(), "two isolated ports reach each other")
    c.done(MET)
    check(c.meets(), "b1 and b2 do not meet after the private VLAN is gone")


def nics_and_uplinks(c):
    """A NIC moves to another vSwitch; its uplink is taken out, put back, and given to the other vSwitch."""
    at_wan = edit(MET, (B1, B1.replace("dev", "wan")))
    c.done(at_wan, 'VM "b1": nics[0].portgroup changes from dev to wan')
    check(c.meets(GATEWAY), "b1 does not reach the network behind uplink1")
    check(c.parted(), "b1 and b2 meet over two vSwitches")
    c.done(edit(at_wan, (UPLINK1, ""), (VSWITCH1, "  - {name: vSwitch1}\n")), 'uplink "uplink1" is removed')
    check("uplink1" not in c.ports(), "uplink1 still has a port")
    check(c.parted(GATEWAY), "b1 reaches b2")
    c.done(at_wan, 'uplink "uplink1" is added')
    check(c.meets(GATEWAY), "b1 does not reach the network after uplink1 came back")
    together = edit(at_wan, (VSWITCH1, ""), ("uplinks: [uplink0]}", "uplinks: [uplink0, uplink1], teaming: {active: [uplink0], standby: [uplink1]}}"),
                    (WAN, "  - {name: wan, vswitch: vSwitch0, vlan: 0, teaming: {active: [uplink1], unused: [uplink0]}}\n"))
    c.done(together, 'vSwitch "vSwitch1" is removed', 'port group "wan": vswitch changes from vSwitch1 to vSwitch0')
    uplink1 = c.ports()["uplink1"]["tx_packets"]
    check(c.meets(GATEWAY), "b1 does not reach the network by uplink1 of vSwitch0")
    check(c.ports()["uplink1"]["tx_packets"] > uplink1, "b1's frames do not leave by uplink1")


def hostile(s):
    """Noise on the line: the host answers, keeps its configuration and takes the next command."""
    for text in ("config", "config begin", "config begin 5", "config data 5 0 00000000 AAAA", "config part 5 x 4194305 00000000", "config apply 5",
                 "config part 5 config.json 4 00000000", "config data 5 0 ffffffff QUJDRA==", "config apply 6", "config " + "A" * 3000, "\x01\x02\xff"):
        s.host.send(text)
    names = [v["name"] for v in s.host.snapshot()["vms"]]
    check(len(names) == 4, "the host does not answer after noise")


def nothing_was_lost(c):
    """Of what a1 and a2 sent each other since the beginning; the flow has ended and nothing is on its way."""
    s, before = c.s, c.before
    s.go("a1")
    answered, gaps = map(int, s.until("a1", "ping")[3].split())
    after = c.ports()
    sent, got = (after[v][k] - before[v][k] for v, k in (("a1", "tx_packets"), ("a2", "rx_packets")))
    print(f"over all changes: a1 sent {sent} frames, a2 got {got}; {answered} pings were answered, with {gaps} gaps", flush=True)
    check(sent > 2 * answered, "the TCP flow did not run")
    check(sent == got, f"{sent - got} frames were lost between a1 and a2")
    check(answered > 0 and gaps == 0, f"pings without an answer: {gaps}")
    for v in ("a1", "a2"):
        check(after[v]["drops"] == before[v]["drops"], f"{v}: drops {before[v]['drops']} -> {after[v]['drops']}")


def test(folder, scenarios):
    s = Scenario("live", YAML, {"flow": FLOW, "server": SERVER, "probe": PROBE, "answer": ANSWER}, console=True)
    scenarios.append(s)
    with s:
        s.until_all(VMS, "mark", "all")
        s.go("b1")
        s.go("a1")
        s.until("a1", "mark", "flowing")
        c = Change(s)
        c.flows()
        port_groups(c)
        policies(c)
        nics_and_uplinks(c)
        r = c.apply(YAML, "--json")
        check(r.returncode == 0 and json.loads(r.stdout)["state"] == "applied" and c.parted(), "back to the first configuration")
        nothing_was_lost(c)
        s.host.type("b1", "end")
        for v in ("a2", "b2"):
            s.go(v)
        s.until_all(VMS, "mark", "done")
        for v in VMS:
            s.go(v)
        s.until_end()
        check(all(h == "power-off" for h in s.host.ended.values()), f"{s.host.ended}")


main(test)
