"""A peer: a Linux machine beside a host, at the other end of its uplinks. Debian's kernel with 802.1Q, VLAN-filtering bridge and bonding, with
iproute2, tcpdump, lldpd, iperf3 and busybox; the test tells it what to run.

    wires = [Wire("a"), Wire("b")]
    with Host(yaml, netdevs={"uplink0": wires[0].host, "uplink1": wires[1].host}) as host, Peer(wires) as peer:
        peer.wait_ready()
        peer.sh("ip link add bond0 type bond mode 802.3ad")
        peer.sh("tcpdump -i eth0 -c 10 -w /tmp/seen.pcap"), peer.fetch("/tmp/seen.pcap", "seen.pcap")

NIC i is eth<i>, its MAC 52:54:00:bb:<number>:<i>. See tests/system/uplink_teams.py for more.
"""
import base64
import collections
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading
import time

from . import LabError, guest
from .qemu import PLATFORM_ABORT, Qmp

KIND = guest.Kind(
    "peer",
    ["virtio_pci", "virtio_net", "8021q", "bonding", "bridge", "br_netfilter", "dummy", "macvlan", "veth", "sch_netem", "sch_tbf", "sch_ingress",
     "cls_matchall", "cls_u32", "act_mirred", "act_gact", "ifb", "pktgen"],
    ["/bin/ip", "/sbin/bridge", "/sbin/tc", "/usr/bin/tcpdump", "/usr/sbin/ethtool", "/usr/sbin/lldpd", "/usr/sbin/lldpcli", "/usr/bin/iperf3"],
    {"etc/passwd": "root:x:0:0::/:/bin/sh\n_lldpd:x:100:100::/run/lldpd:/bin/false\n", "etc/group": "root:x:0:\n_lldpd:x:100:\n",
     "etc/protocols": "tcp 6 TCP\n"})

# Reads scripts in base64 from its console, runs each, answers with the output in base64 and the status.
AGENT = """
dmesg -n 1
mkdir -p /run/lldpd /etc/lldpd.d
modprobe bonding max_bonds=0
for i in 0 1 2 3 4 5 6 7; do
	[ -d /sys/class/net/eth$i ] || break
	ethtool -s eth$i speed 1000 duplex full # 802.3ad bonding asks for it
	ip link set eth$i up
done
echo "@ready"
: > /tmp/.in
while read -r line; do
	case $line in
	+*) printf %s "${line#+}" >> /tmp/.in ;;
	!*)
		base64 -d /tmp/.in > /tmp/.script
		: > /tmp/.in
		sh /tmp/.script > /tmp/.out 2>&1 < /dev/null
		status=$?
		base64 /tmp/.out | sed 's/^/@out /'
		echo "@done ${line#!} $status"
		;;
	esac
done < /dev/ttyS0
"""

# busybox's shell prefers its own applets of these names.
PRELUDE = 'ip() { /bin/ip "$@"; }\ntc() { /bin/tc "$@"; }\n'


class Peer:
    def __init__(self, wires, name="peer", number=0, memory_mib=256, quiet=False, jobs=None):
        """jobs: scripts for /job there, name -> text."""
        self.wires, self.name, self.number, self.memory, self.quiet = list(wires), name, number, memory_mib, quiet
        self.folder, self.jobs = pathlib.Path(tempfile.mkdtemp(prefix=f"berth-{name}-")), jobs or {}
        self.lines, self.serial = None, 0
        self.console = collections.deque(maxlen=20)
        self.process = None

    def start(self):
        vmlinuz, initrd = guest.make(KIND)
        booted = guest.with_jobs(initrd, {**self.jobs, "run": AGENT}, self.folder / "initrd")
        args = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35", "-m", str(self.memory), "-nographic", "-no-reboot", "-nodefaults",
                "-serial", "stdio", "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off", "-kernel", str(vmlinuz), "-initrd", str(booted),
                "-append", "console=ttyS0 quiet"]
        for i, w in enumerate(self.wires):
            args += ["-netdev", f"{w.peer},id=n{i}", "-device", f"virtio-net-pci,netdev=n{i},id=nic{i},mac=52:54:00:bb:{self.number:02x}:{i:02x}"]
        self.stderr = open(self.folder / "stderr", "w+")
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True).start()
        return self

    def _read(self, out, lines):
        for raw in out:
            line = raw.decode(errors="replace")
            self.console.append(line.rstrip())
            lines.put(line[max(0, line.find("@")):].strip())  # the firmware's terminal codes may stand before it
        lines.put(None)

    def _line(self, end, what):
        try:
            line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            raise LabError(f"{self.name}: {what}: no answer in time; its last lines:\n  " + "\n  ".join(self.console)) from None
        if line is None:
            raise LabError(f"{self.name}: {what}: the machine ended")
        return line

    def wait_ready(self, seconds=120):
        """Until it has booted. One boot in many hangs in the emulator on a busy machine, which says nothing about the host: then once again."""
        for attempt in (1, 2):
            end = time.monotonic() + seconds
            try:
                while self._line(end, "boot") != "@ready":
                    pass
                return self
            except LabError as e:
                if attempt == 2:
                    raise
                print(f"{e}\n{self.name}: boots once more", flush=True)
                self._kill()
                self.start()
        return self

    def sh(self, script, seconds=120, may_fail=False):
        """Runs a shell script there; returns its output. Not 0: LabError with the output, or with may_fail (output, status)."""
        self.serial += 1
        code = base64.b64encode((PRELUDE + script).encode()).decode()
        lines = ["+" + code[i:i + 1000] for i in range(0, len(code), 1000)] + [f"!{self.serial}"]
        self.process.stdin.write("".join(line + "\n" for line in lines).encode())
        self.process.stdin.flush()
        end, out = time.monotonic() + seconds, []
        while True:
            line = self._line(end, script.strip()[:100])
            if line.startswith("@out "):
                out.append(line[5:])
            elif line.startswith(f"@done {self.serial} "):
                break
        text, status = base64.b64decode("".join(out)).decode(errors="replace"), int(line.split()[2])
        if not self.quiet:
            print(f"[{self.name}] {'; '.join(script.strip().splitlines())[:160]}", *(text.splitlines()), sep=f"\n[{self.name}]   ", flush=True)
        if may_fail:
            return text, status
        if status:
            raise LabError(f"{self.name}: exit status {status}: {script.strip()[:200]}\n{text[-600:]}")
        return text

    def until(self, script, seconds=60):
        """Runs the script again until it succeeds; returns its output."""
        end = time.monotonic() + seconds
        while True:
            text, status = self.sh(script, may_fail=True)
            if status == 0:
                return text
            if time.monotonic() > end:
                raise LabError(f"{self.name}: did not come true in {seconds} s: {script.strip()[:200]}\n{text[-600:]}")
            time.sleep(0.5)

    def fetch(self, path, to):
        """Copies a file out."""
        quiet, self.quiet = self.quiet, True
        try:
            text = self.sh(f"base64 {path}")
        finally:
            self.quiet = quiet
        pathlib.Path(to).write_bytes(base64.b64decode(text))
        return to

    def set_link(self, nic, up):
        """Pulls out or plugs in the cable at the peer's end of its n-th NIC."""
        Qmp(self.folder / "qmp").run("set_link", name=f"nic{nic}", up=up)

    def platform_failure(self):
        self.stderr.seek(0)
        return PLATFORM_ABORT in self.stderr.read()

    def _kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
