"""An outside Linux machine in VLAN 20, on the wire of the host's uplink, runs iperf3 to a guest (tags go over the uplink)."""
import pathlib
import subprocess
import threading

from scenario import HEAD, RAM, Scenario, check, guest, main, vm

WIRE = "socket,mcast=230.0.0.77:12377,localaddr=127.0.0.1"
OUTSIDE = """
modprobe 8021q
ip link set eth0 up
ip link add link eth0 name vlan20 type vlan id 20
ip addr add 10.20.0.50/24 dev vlan20 && ip link set vlan20 up
n=0
until ping -c 1 -w 2 10.20.0.1 > /dev/null; do n=$((n + 1)); [ $n -lt 60 ] || { echo "@fail no answer"; exit 1; }; done
iperf3 -c 10.20.0.1 -t 3 -f m > /tmp/o 2>&1 || { echo "@fail $(tail -n 1 /tmp/o)"; exit 1; }
echo "@iperf to $(grep receiver /tmp/o)"
iperf3 -c 10.20.0.1 -t 3 -f m -R > /tmp/o 2>&1 || { echo "@fail $(tail -n 1 /tmp/o)"; exit 1; }
echo "@iperf from $(grep receiver /tmp/o)"
"""
YAML = (HEAD.replace("vmknics", "# vmknics").replace("  - {name: vmk0", "#  - {name: vmk0") + "datastores:\n" + RAM + "vms:\n"
        + vm("web1", "serve", portgroup="web", mac="52:54:00:aa:00:01", ip="10.20.0.1/24", memory="256MiB"))


def test(folder, scenarios):
    s = Scenario("outside", YAML, {"serve": "iperf3 -s -D >/dev/null 2>&1\nmark serving\n"}, netdevs={"uplink0": WIRE})
    scenarios.append(s)
    with s:
        s.until("web1", "mark", "serving")
        vmlinuz, initrd = guest.make()
        booted = guest.with_jobs(initrd, {"run": OUTSIDE}, pathlib.Path(folder) / "outside-initrd")
        outside = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", "384", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
             "-kernel", str(vmlinuz), "-initrd", str(booted), "-append", "console=ttyS0 quiet",
             "-netdev", f"{WIRE},id=n0", "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:bb:00:50"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        killer = threading.Timer(240, outside.kill)
        killer.start()
        results = []
        for line in outside.stdout:
            line = line[max(0, line.find("@")):].strip()  # the firmware's terminal codes may stand before it
            if line.startswith("@"):
                print(f"[outside] {line}", flush=True)
            if line.startswith("@iperf"):
                results.append(line)
            check("@fail" not in line, f"outside machine: {line}")
        killer.cancel()
        check(len(results) == 2, f"the outside machine gave {len(results)} of 2 iperf3 results")
        s.go("web1")
        s.until_end()
        check(s.host.ended == {"web1": "power-off"}, f"{s.host.ended}")


main(test)
