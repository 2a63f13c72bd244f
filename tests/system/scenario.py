"""What the system tests share: a scenario is real servers, one host from YAML, a job script per VM, and a conductor for their marks."""
import atexit
import base64
import os
import pathlib
import queue
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lab"))
from berthlab import BUILD, LabError, guest, peer, servers  # noqa: E402
from berthlab.host import Host  # noqa: E402

PLATFORM = 75

HEAD = """
host: {name: hv1, io_cores: 1}
uplinks:
  - {name: uplink0, match: {mac: "52:54:00:12:34:56"}, mtu: 1500}
vswitches:
  - {name: vSwitch0, uplinks: [uplink0]}
portgroups:
  - {name: storage, vswitch: vSwitch0, vlan: 0}
  - {name: web, vswitch: vSwitch0, vlan: 20}
  - {name: dev, vswitch: vSwitch0, vlan: 30}
vmknics:
  - {name: vmk0, portgroup: storage, address: 10.0.2.15/24, gateway: 10.0.2.2}
"""
NAS = '  - {name: nas1, nfs: {server: 10.0.2.2, export: /vol1, version: 3, nfs_port: 12049, mount_port: 12050}}\n'
SAN = ('  - {name: san1, iscsi: {portals: ["10.0.2.2:13260"], target: "iqn.2026-01.lab:t1", lun: 1, '
       'chap: {user: hv1, secret: "file:san1.secret"}}}\n')
RAM = "  - {name: ram1, ram: {size: 64MiB}}\n"


def vm(name, job, disk="", portgroup="", mac="", ip="", memory="384MiB", cpus=1, extra="", words=""):
    """One VM of the lab's Linux guest. disk: the inside of a disks entry, or nothing. words: more for the kernel's command line."""
    disks = f"    disks: [{{{disk}}}]\n" if disk else ""
    m = f', mac: "{mac}"' if mac else ""
    nics = f"    nics: [{{portgroup: {portgroup}{m}}}]\n" if portgroup else ""
    words = f"console=ttyS0 quiet berth.job={job}" + (f" berth.ip={ip}" if ip else "") + (f" {words}" if words else "")
    return (f"  - name: {name}\n    cpus: {cpus}\n    memory: {memory}\n"
            f'    boot: {{linux: "module:vmlinuz", initrd: "module:initrd", cmdline: "{words}"}}\n{disks}{nics}{extra}')


# A job that runs what Scenario.run tells it, until "end".
SHELL = """
mark ready
while read -r line < /dev/ttyS0; do
	[ "$line" != end ] || break
	sh -c "$line" > /tmp/out 2>&1 < /dev/null
	echo "@did $? $(tail -n 1 /tmp/out)"
done
"""


class Fail(Exception):
    pass


class Scenario:
    def __init__(self, name, yaml, jobs, secret="berth-lab-chap", cores=2, netdevs=None, deadline_s=400, files=None, console=False, cpu="amd"):
        self.name, self.deadline = name, deadline_s
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"berth-{name}-"))
        (self.folder / "host.yaml").write_text(yaml)
        secret_file = self.folder / "san1.secret"
        secret_file.write_text(secret)
        secret_file.chmod(0o600)
        vmlinuz, initrd = guest.make()
        if cpu == "intel":
            initrd = guest.unpacked(initrd, self.folder / "initrd.cpio")
        booted = guest.with_jobs(initrd, jobs, self.folder / "initrd")
        self.host = Host(self.folder / "host.yaml", cores=cores, netdevs=netdevs, files={"vmlinuz": vmlinuz, "initrd": booted, **(files or {})},
                         console_socket=self.folder / "console" if console else None, cpu=cpu)
        self.seen = []  # (seconds, vm, word, rest) of every "@word rest" line of a guest

    def until(self, vm, word, rest=None, seconds=None):
        """Runs on until the guest prints "@word rest"; a failed job or a dead host on the way is a failure."""
        return self._until(lambda e: e[0] == "at" and e[1] == vm and e[2] == word and rest in (None, e[3]), f"[{vm}] @{word} {rest or ''}", seconds)

    def until_all(self, vms, word, rest=None, seconds=None):
        """Until each of the guests has printed "@word rest", in any order."""
        missing = set(vms)

        def one(e):
            if e[0] == "at" and e[2] == word and rest in (None, e[3]):
                missing.discard(e[1])
            return not missing

        return self._until(one, f"@{word} {rest or ''} of {', '.join(vms)}", seconds)

    def until_line(self, text, seconds=None):
        """Until a console line contains `text`."""
        for line in list(self.host.lines):
            if text in line:
                return ("line", line)
        return self._until(lambda e: e[0] == "line" and text in e[1], f"a line with {text!r}", seconds)

    def until_end(self, seconds=None):
        self._until(lambda e: e[0] == "end", "the host's power-off", seconds)
        self.host.wait(120)

    def _until(self, test, what, seconds):
        end = time.monotonic() + (seconds or self.deadline)
        while True:
            try:
                event = self.host.events.get(timeout=max(0.05, end - time.monotonic()))
            except queue.Empty:
                raise Fail(f"{what}: did not come; last lines:\n  " + "\n  ".join(self.host.lines[-20:])) from None
            if event[0] == "at":
                self.seen.append((time.monotonic(), *event[1:]))
                if event[2] == "fail" or (event[2] == "job-exit" and event[3].strip() != "0"):
                    raise Fail(f"{event[1]}: @{event[2]} {event[3]}; last lines:\n  " + "\n  ".join(self.host.lines[-20:]))
            if test(event):
                return event
            if event[0] == "end":
                raise Fail(f"{what}: the host ended before; last lines:\n  " + "\n  ".join(self.host.lines[-20:]))

    def go(self, vm):
        self.host.type(vm, "go")

    def run(self, vm, command, may_fail=False):
        """Runs a line of shell in a guest whose job is SHELL: the last line of its output; with may_fail (status, that line). Longer scripts go into jobs."""
        check(len(command) < 250, f"the line does not fit the guest's UART: {command}")
        self.host.type(vm, command)
        status, _, line = self.until(vm, "did")[3].partition(" ")
        if may_fail:
            return int(status), line
        check(status == "0", f"{vm}: exit status {status}: {command}: {line}")
        return line

    def captured(self, session, since=0):
        """What a mirror session has captured from number `since` on: the answers' frames, `data` as bytes. Frames are to fit an answer each."""
        frames, following = [], None
        while following is None or since < following:
            answer = self.host.ask(f"capture {session} {since} 0", "capture")
            check(answer["event"] == "capture" and not answer["overwritten"], f"{answer}")
            following = answer["next"]
            for f in answer["frames"]:
                check(f["offset"] == 0 and f["sequence"] == since, f"{f}")
                frames.append(dict(f, data=base64.b64decode(f["data"])))
                since += 1
            if not answer["frames"]:
                break
        return frames

    def port(self, vm):
        stats = self.host.snapshot() if self.host.running() else self.host.stats
        return next(p for p in stats["ports"] if p.get("vm") == vm)

    def __enter__(self):
        self.host.start()
        return self

    def __exit__(self, *_):
        self.platform = self.host.platform_failure()
        self.host.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


def check(condition, text):
    if not condition:
        raise Fail(text)


def main(test):
    """Runs one test function in a namespace of its own. Exit status 0 passed, 1 failed."""
    try:
        if not servers.inside():
            guest.make()  # fetches the guests' kernel the first time; inside there is no network
            guest.make(peer.KIND)
        servers.enter_namespace([sys.executable, *sys.argv])
    except LabError as e:
        print(f"FAILED: {e}")
        sys.exit(1)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="berth-servers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for attempt in range(3):
        platform = []
        try:
            test(folder, platform)
            print("PASSED")
            sys.exit(0)
        except (Fail, LabError) as e:
            if any(s.platform for s in platform if hasattr(s, "platform")):
                print("the emulator aborted itself; again")
                shutil.rmtree(folder)
                folder.mkdir()
                continue
            print(f"FAILED: {e}")
            sys.exit(1)
    print("FAILED: the emulator aborted itself three times")
    sys.exit(PLATFORM)
