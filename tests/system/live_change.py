"""A running host is given other configurations: flows that are not touched lose nothing, a VLAN change does what it says, a refusal changes nothing.

a1 and a2 (VLAN 20) run iperf3 (UDP) and ping all the time. b1 and b2 begin in VLANs 30 and 31 and meet by a live change.
"""
import json
import subprocess
import time

from scenario import HEAD, RAM, Scenario, check, main, vm
from berthlab import BERTH

FLOW = """
mark all
ping -i 0.2 10.20.0.2 > /tmp/ping & pinger=$!
iperf3 -c 10.20.0.2 -u -b 2M -l 1000 -t 600 > /dev/null 2>&1 & client=$!
sleep 1
mark flowing
kill $client
kill -INT $pinger
wait $pinger
echo "@ping $(grep received /tmp/ping)"
mark done
"""
SERVER = "iperf3 -s > /dev/null 2>&1 &\nmark all\nmark done\n"
MEET = """
mark all
while true; do
  read -r word < /dev/ttyS0
  case $word in
    try) ping -c 2 -W 2 -w 4 10.30.0.2 > /dev/null && echo @meets yes || echo @meets no ;;
    *) break ;;
  esac
done
mark done
"""
ANSWER = "mark all\nmark done\n"
YAML = (HEAD.replace("{name: dev, vswitch: vSwitch0, vlan: 30}", "{name: dev, vswitch: vSwitch0, vlan: 30}\n  - {name: far, vswitch: vSwitch0, vlan: 31}")
        + "datastores:\n" + RAM + "vms:\n"
        + vm("a1", "flow", portgroup="web", ip="10.20.0.1/24", memory="256MiB")
        + vm("a2", "server", portgroup="web", ip="10.20.0.2/24", memory="256MiB")
        + vm("b1", "meet", portgroup="dev", ip="10.30.0.1/24", memory="256MiB")
        + vm("b2", "answer", portgroup="far", ip="10.30.0.2/24", memory="256MiB"))


class Change:
    """Configurations given to the running host by `berth apply`, as an administrator does."""

    def __init__(self, scenario):
        self.s, self.file = scenario, scenario.folder / "new.yaml"

    def apply(self, text, *options):
        self.file.write_text(text)
        started = time.monotonic()
        r = subprocess.run([BERTH, "apply", "--console", str(self.s.folder / "console"), *options, str(self.file)], capture_output=True, text=True, timeout=120)
        print(f"berth apply: {time.monotonic() - started:.2f} s, status {r.returncode}\n{r.stdout}{r.stderr}", flush=True)
        return r

    def meets(self):
        self.s.host.type("b1", "try")
        return self.s.until("b1", "meets")[3] == "yes"


def drops(s, vms):
    return {p["name"]: p["drops"] for p in s.host.snapshot()["ports"] if p.get("vm") in vms}


def sent_and_delivered(s):
    """Frames that a1 gave to the switch, and frames that a2 got: nothing else is in VLAN 20 but a2's own broadcasts."""
    ports = {p.get("vm"): p for p in s.host.snapshot()["ports"]}
    return ports["a1"]["tx_packets"], ports["a2"]["rx_packets"]


def test(folder, scenarios):
    s = Scenario("live", YAML, {"flow": FLOW, "server": SERVER, "meet": MEET, "answer": ANSWER}, console=True)
    scenarios.append(s)
    with s:
        vms = ["a1", "a2", "b1", "b2"]
        s.until_all(vms, "mark", "all")
        s.go("b1")
        s.go("a1")
        s.until("a1", "mark", "flowing")
        c, before = Change(s), drops(s, ("a1", "a2"))
        sent, got = sent_and_delivered(s)
        check(not c.meets(), "b1 and b2 meet before the change")

        met = YAML.replace("{name: far, vswitch: vSwitch0, vlan: 31}", "{name: far, vswitch: vSwitch0, vlan: 30}")
        r = c.apply(met, "--dry-run")
        check(r.returncode == 0 and "checked: 1 change" in r.stdout and not c.meets(), "a dry run says what would change, and changes nothing")
        r = c.apply(met)
        line = next(i for i, text in enumerate(met.splitlines(), 1) if "name: far" in text)
        check(r.returncode == 0 and f'new.yaml:{line}: port group "far": vlan changes from 31 to 30' in r.stdout, "the change is named with its line")
        check(c.meets(), "b1 and b2 do not meet after the change")

        r = c.apply(met.replace("memory: 256MiB", "memory: 320MiB", 1).replace("name: far, vswitch: vSwitch0, vlan: 30", "name: far, vswitch: vSwitch0, vlan: 31"))
        check(r.returncode == 1 and "the memory of a running VM cannot be changed" in r.stderr and "refused" in r.stdout, "a change of a running VM's memory")
        check(c.meets(), "a refused change has changed something")
        hostile(s)

        for i in range(5):  # back and forth, with a port group that comes and goes in front of all others
            new = met.replace("portgroups:\n", f"portgroups:\n  - {{name: guest{i}, vswitch: vSwitch0, vlan: {100 + i}}}\n")
            check(c.apply(new).returncode == 0, f"change {i}")
        r = c.apply(YAML, "--json")
        check(r.returncode == 0 and json.loads(r.stdout)["state"] == "applied" and not c.meets(), "back to the first configuration")

        after, (sent_after, got_after) = drops(s, ("a1", "a2")), sent_and_delivered(s)
        check(after == before, f"the untouched flow lost frames: {before} -> {after}")
        print(f"a1 sent {sent_after - sent} frames, a2 got {got_after - got} meanwhile", flush=True)
        check(sent_after - sent > 200, "the flow did not run")
        check(abs((sent_after - sent) - (got_after - got)) <= 32, "frames got lost between a1 and a2")  # a burst may be under way
        s.go("a1")
        ping = s.until("a1", "ping")[3]
        print(f"ping over all changes: {ping}", flush=True)
        check(" 0% packet loss" in ping, f"ping lost packets: {ping}")
        s.host.type("b1", "end")
        for v in vms:
            s.until(v, "mark", "done") if v not in ("a2", "b2") else None
        for v in ("a2", "b2"):
            s.go(v)
            s.until(v, "mark", "done")
        for v in vms:
            s.go(v)
        s.until_end()
        check(all(h == "power-off" for h in s.host.ended.values()), f"{s.host.ended}")


def hostile(s):
    """Noise on the line: the host answers, keeps its configuration and takes the next command."""
    for text in ("config", "config begin", "config begin 5", "config data 5 0 00000000 AAAA", "config part 5 x 4194305 00000000", "config apply 5",
                 "config part 5 config.json 4 00000000", "config data 5 0 ffffffff QUJDRA==", "config apply 6", "config " + "A" * 3000, "\x01\x02\xff"):
        s.host.send(text)
    names = [v["name"] for v in s.host.snapshot()["vms"]]
    check(len(names) == 4, "the host does not answer after noise")


main(test)
