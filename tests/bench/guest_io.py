"""What a guest's I/O costs in exits: fio on an iSCSI LUN, an NFS file and a disk in the host's memory, iperf3 between guests and to a machine
outside. One boot per vendor does it all; the counters are the host's own (`stats`), taken around each run."""
import queue
import subprocess
import sys
import time

from berthlab import LabError, guest, servers
from berthlab.host import Host

MACHINES = {"amd": "SVM", "intel": "VMX"}
LIMIT_S = {"amd": 600, "intel": 1500}  # of the emulator's processor time
CHAP_SECRET = "berth-lab-chap"
GUESTS = ("a", "b")
SENT_MIB = 16
YAML = """host: {name: hv1}
uplinks: [{name: uplink0, match: {mac: "52:54:00:12:34:56"}}]
vswitches: [{name: vSwitch0, uplinks: [uplink0]}]
portgroups: [{name: outside, vswitch: vSwitch0, vlan: 0}]
vmknics: [{name: vmk0, portgroup: outside, address: 10.0.2.15/24, gateway: 10.0.2.2}]
datastores:
  - {name: san1, iscsi: {portals: ["10.0.2.2:13260"], target: "iqn.2026-01.lab:t1", lun: 1, chap: {user: hv1, secret: "file:san1.secret"}}}
  - {name: nas1, nfs: {server: 10.0.2.2, export: /vol1, nfs_port: 12049, mount_port: 12050}}
  - {name: ram1, ram: {size: 32MiB}}
vms:
"""
VM = """  - name: %s
    cpus: 1
    memory: 384MiB
    boot: {linux: "module:vmlinuz", initrd: "module:initrd", cmdline: "console=ttyS0 quiet cryptomgr.notests berth.job=%s berth.ip=10.0.2.%d/24"}
    nics: [{portgroup: outside, mac: "52:54:00:aa:00:%02x"}]
"""
DISKS = """    disks: [{datastore: san1}, {datastore: nas1, file: a/disk.raw}, {datastore: ram1, file: a.raw, size: 16MiB}]
"""
STORES = (("iSCSI", "vda"), ("NFS", "vdb"), ("RAM", "vdc"))
# `count_run NAME COMMAND...`: the counters are taken around the command alone.
SHELL = """
count_run() { name=$1; shift; mark begin $name; "$@" > /tmp/out 2>&1; status=$?; mark end $name
  [ $status = 0 ] || { echo "@fail $name: $(tail -n 1 /tmp/out | cut -c1-200)"; exit 1; }; }
fio_run() { name=$1; file=$2; shift 2; count_run $name fio --name=x --filename=/dev/$file --ioengine=libaio --direct=1 --minimal --bs=4k --size=8m "$@"; }
"""
FIO = "fio_run warm-up vdc --rw=randread --iodepth=1 --number_ios=1\n" + "".join(
    f"fio_run {store}/start {disk} --rw=randread --iodepth=1 --number_ios=1\n" + "".join(
        f"fio_run {store}/4k-rand{way}-depth-{depth} {disk} --rw=rand{way} --iodepth={depth} --number_ios={ios} --norandommap\n"
        for way in ("read", "write") for depth, ios in ((1, 400), (16, 1600)))
    for store, disk in STORES)
PEERS = (("guest", "10.0.2.22"), ("outside", "10.0.2.2"))
IPERF = "iperf3 -c 10.0.2.22 -n 128K > /tmp/warm 2>&1\n" + "".join(
    f"count_run {peer}/start iperf3 -c {address} -n 128K\n"
    f"count_run {peer}/iperf3-send iperf3 -c {address} -n {SENT_MIB}M\n"
    f"count_run {peer}/iperf3-receive iperf3 -c {address} -n {SENT_MIB}M -R\n"
    for peer, address in PEERS)
JOB_B = "iperf3 -s -D > /dev/null 2>&1\nmark meet ready\nmark meet done\n"
IPS = 400_000_000  # of Bochs's clock: with the lab's usual 20 million a guest's timer would tick at every I/O
TICK_EXITS = 2  # a guest's timer interrupt: the exit that brings it, of a host's interrupt or from HLT, and the WRMSR that sets the next
LEAST = 0.01  # of a unit: what is rarer has no column


def jobs(disk, net):
    return {"a": SHELL + (FIO if disk else "") + "mark meet ready\n" + (IPERF if net else "") + "mark meet done\n", "b": JOB_B}


def total(stats, vms):
    """All counters of these VMs as one flat dict."""
    out = {}

    def add(name, n):
        out[name] = out.get(name, 0) + n

    for v in (v for v in stats["vms"] if v["name"] in vms):
        for reason, n in v["exits"].items():
            add("exit " + reason, n)
            add("exits", n)
        for name, n in v["counters"].items():
            if isinstance(n, int) and name != "exits":
                add(name, n)
        add("irqs", v["interrupts"])
    for d in (d for d in stats["disks"] if d["vm"] in vms):
        add("ios", sum(d["ios"].values()))
    for p in (p for p in stats["ports"] if p.get("vm") in vms):
        add("packets", p["rx_packets"] + p["tx_packets"])
    return out


class Counting:
    """One booted host: lets the guests go on at their marks, with the host's counters taken at each; runs: {name: {counter: how many}}."""

    def __init__(self, host):
        self.host, self.runs, self.before, self.meeting = host, {}, {}, {}

    def at(self, vm, word, rest):
        if word == "fail" or (word == "job-exit" and rest.strip() != "0"):
            raise LabError(f"{vm}: @{word} {rest}\n" + "\n".join(self.host.lines[-8:]))
        if word != "mark":
            return
        verb, _, name = rest.partition(" ")
        if verb == "meet":
            here = self.meeting.setdefault(name, set())
            here.add(vm)
            for v in GUESTS if len(here) == len(GUESTS) else ():
                self.host.type(v, "go")
            return
        now = total(self.host.snapshot(), GUESTS if name.startswith("guest/") else (vm,))
        if verb == "end":
            self.runs[name] = {k: n - self.before.get(k, 0) for k, n in now.items()}
        self.before = now
        self.host.type(vm, "go")

    def until_end(self, limit_s):
        while True:
            if self.host.running() and self.host.machine.used_s() > limit_s:
                raise LabError("not done in time; last lines:\n" + "\n".join(self.host.lines[-15:]))
            try:
                event = self.host.events.get(timeout=30)
            except queue.Empty:
                continue
            if event[0] == "end":
                return
            if event[0] == "at":
                self.at(*event[1:])


def count(cpu, folder, disk, net, cores, verbose):
    """{run: {counter: how many}} of one vendor."""
    folder = folder / cpu
    folder.mkdir()
    yaml, secret = folder / "host.yaml", folder / "san1.secret"
    yaml.write_text(YAML + "".join(VM % (g, g, 21 + i, 1 + i) + (DISKS if g == "a" else "") for i, g in enumerate(GUESTS)))
    secret.touch(0o600)
    secret.write_text(CHAP_SECRET)
    vmlinuz, initrd = guest.make()
    if cpu == "intel":
        initrd = guest.unpacked(initrd, folder / "initrd.cpio")
    booted = guest.with_jobs(initrd, jobs(disk, net), folder / "initrd")
    outside = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        with servers.Tgtd(folder / "san", 16 << 20, chap=("hv1", CHAP_SECRET)), servers.Ganesha(folder / "nas") as nas:
            nas.make_disk("a/disk.raw", 16 << 20)
            for _ in range(3):
                host = Host(yaml, cores=cores, files={"vmlinuz": vmlinuz, "initrd": booted}, quiet=not verbose, cpu=cpu)
                host.ips = IPS
                with host:
                    counting = Counting(host)
                    counting.until_end(LIMIT_S[cpu])
                    host.wait(120)
                    if host.platform_failure():
                        print("the emulator aborted itself; again", file=sys.stderr)
                        continue
                    if set(host.ended.values()) != {"power-off"} or set(host.ended) != set(GUESTS):
                        raise LabError(f"the guests ended with {host.ended}")
                    return counting.runs
        raise LabError("the emulator aborted itself three times")
    finally:
        outside.kill()
        outside.wait()


def kind(name):
    return "net" if name.split("/")[0] in dict(PEERS) else "disk"


def own(runs, name):
    """The counters of a run without what starting its program costs: those of the start alone are taken off."""
    start = runs[name.split("/")[0] + "/start"]
    run = {k: n - start.get(k, 0) for k, n in runs[name].items()}
    run["timeless"] = run["exits"] - TICK_EXITS * run.get("apic.timer", 0)
    return run


def table(counted, names, unit):
    """A row for each run, a column for each reason; in a cell the vendors' counts per unit. counted: {machine: {run: {counter: how many}}}."""
    names = [n for n in names if "/" in n and not n.endswith("/start")]

    def per(machine, name, counter):
        run = own(counted[machine], name)
        return run.get(counter, 0) / (SENT_MIB if unit == "MiB" else run["ios"])

    reasons = {k for m in counted for n in names for k in counted[m][n] if k.startswith("exit ") and per(m, n, k) >= LEAST}
    columns = ["exits", "timeless", *sorted(reasons, key=lambda k: -max(per(m, n, k) for m in counted for n in names)),
               "irqs", "apic.timer", *(["packets"] if unit == "MiB" else [])]
    heads = {"timeless": "without timer's", "irqs": "interrupts", "apic.timer": "of its timer"}
    digits = 1 if unit == "MiB" else 2
    out = [f"| | {' | '.join(heads.get(c, c.removeprefix('exit ')) for c in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for n in names:
        out.append(f"| {n} | " + " | ".join(" / ".join(f"{per(m, n, c):.{digits}f}" for m in counted) for c in columns) + " |")
    return "\n".join(out)
