"""One emulated Berth host: compiles the configuration, packs the boot archive, runs QEMU, reads the two serial ports.

Serial port 1 carries text: the host's log and the VMs' consoles, each line prefixed with `[name]`. Serial port 2 is the control console: JSON
lines in both directions. What decides an exit status (how a VM ended, counters) comes from the control console only, because a guest can
print anything on its own console.
"""
import json
import os
import pathlib
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from . import BERTH, IMAGE, LabError
from .archive import pack

PLATFORM_ABORT = "Bail out!"  # the emulator's own assertion, never a result of ours


def nested_kvm():
    """KVM is used only where it really offers nested SVM or VMX."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    for m in ("kvm_amd", "kvm_intel"):
        p = pathlib.Path(f"/sys/module/{m}/parameters/nested")
        if p.exists() and p.read_text().strip() in ("Y", "1"):
            return True
    return False


def compile_config(yaml, folder, files):
    """HOST.yaml -> boot files (name -> bytes): config.json, its secrets, and the files given by --file."""
    if not BERTH.exists():
        raise LabError(f"{BERTH} is not built: run lab/build")
    out = pathlib.Path(folder) / "config.json"
    given = [a for name, path in files.items() for a in ("--file", f"{name}={path}")]
    r = subprocess.run([BERTH, "compile", str(yaml), "-o", str(out), "--list-files", "--all-files", *given], capture_output=True, text=True)
    if r.stderr:
        sys.stderr.write(r.stderr)
    if r.returncode:
        raise LabError(f"{yaml}: the configuration has errors")
    boot = {"config.json": out.read_bytes()}
    for line in r.stdout.splitlines():
        name, sep, path = line.partition("=")
        if not sep or not path:
            continue
        try:
            boot[name] = pathlib.Path(path).read_bytes()
        except OSError as e:
            raise LabError(f"boot module {name}: {path}: {e.strerror}") from e
    return boot, json.loads(boot["config.json"])


class Host:
    def __init__(self, yaml, cores=2, memory_mib=0, files=None, icount=False, netdevs=None, qemu_args=(), quiet=False, plugin=None):
        self.folder = tempfile.mkdtemp(prefix="berth-lab-")
        self.boot, self.config = compile_config(yaml, self.folder, files or {})
        vms = self.config.get("vms", [])
        self.vms = [v["name"] for v in vms]
        self.cores, self.icount, self.netdevs, self.qemu_args, self.quiet = cores, icount, netdevs or {}, list(qemu_args), quiet
        self.memory = memory_mib or self._default_memory(vms)
        self.ended, self.stats, self.lines, self.events = {}, None, [], queue.Queue()
        self.waiters = []
        self.qemu = None

    def _default_memory(self, vms):
        guests = sum(_mib(v.get("memory", "0")) for v in vms)
        ram = sum(_mib(d["ram"]["size"]) for d in self.config.get("datastores", []) if "ram" in d)
        files = sum(map(len, self.boot.values())) >> 20
        return 640 + guests + ram + 2 * files

    def _command(self):
        qemu = os.environ.get("BERTH_QEMU", "qemu-system-x86_64")
        cpio = pathlib.Path(self.folder) / "boot.cpio"
        cpio.write_bytes(pack(self.boot))
        if nested_kvm() and not self.icount:
            accel, cpu = "kvm", "host"
        else:
            accel, cpu = "tcg" + (",thread=multi" if not self.icount else ""), "max"
        args = [qemu, "-accel", accel, "-cpu", cpu, "-M", "q35", "-m", str(self.memory), "-smp", str(self.cores), "-nodefaults",
                "-display", "none", "-no-reboot", "-kernel", str(IMAGE), "-initrd", str(cpio),
                "-serial", "stdio", "-chardev", f"socket,id=control,path={self.folder}/control,server=on,wait=on", "-serial", "chardev:control"]
        if self.icount:
            args += ["-icount", "shift=0,sleep=off"]
        for i, up in enumerate(self.config.get("uplinks", [])):
            net = self.netdevs.get(up["name"], "user")
            dev = f"virtio-net-pci,netdev=n{i},mq=off"
            mac = (up.get("match") or {}).get("mac")
            if mac:
                dev += f",mac={mac}"
            mtu = up.get("mtu", 1500)
            if mtu != 1500:
                dev += f",host_mtu={mtu}"
            args += ["-netdev", f"{net},id=n{i}", "-device", dev]
        return args + self.qemu_args

    def start(self):
        self.command = self._command()
        self.stderr_path = pathlib.Path(self.folder) / "qemu-stderr"
        self.stderr = open(self.stderr_path, "wb")
        self.qemu = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.stderr)
        self.control = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 20
        while True:
            try:
                self.control.connect(f"{self.folder}/control")
                break
            except OSError:
                if time.monotonic() > end or self.qemu.poll() is not None:
                    raise LabError("QEMU did not start: " + self.stderr_path.read_text(errors="replace").strip()[-400:])
                time.sleep(0.05)
        for target in (self._read_console, self._read_control):
            t = threading.Thread(target=target, daemon=True)
            t.start()
            self.waiters.append(t)
        return self

    def _read_console(self):
        for raw in self.qemu.stdout:
            line = raw.decode(errors="replace").rstrip("\r\n")
            self.lines.append(line)
            if not self.quiet:
                print(line, flush=True)
            m = re.match(r"\[([^\]]+)\] @(\S+) ?(.*)", line)
            self.events.put(("line", line) if not m else ("at", m.group(1), m.group(2), m.group(3)))
        self.events.put(("end",))

    def _read_control(self):
        buffer = b""
        while True:
            data = self.control.recv(65536)
            if not data:
                return
            buffer += data
            *whole, buffer = buffer.split(b"\n")
            for raw in whole:
                if raw.strip():
                    self._control_line(raw)

    def _control_line(self, raw):
        try:
            event = json.loads(raw)
        except ValueError:
            self.events.put(("control-garbage", raw))
            return
        if event.get("event") == "vm-ended":
            how = event["how"] + (f" {event['value']}" if event["how"] == "debug-exit" else "")
            if event["how"] == "crash":
                how = f"crash: {event.get('reason', '')}"
            self.ended[event["vm"]] = how
            if not self.quiet:
                print(f"[{event['vm']}] ended: {how}", flush=True)
        elif event.get("event") == "stats":
            self.stats = event
        self.events.put(("control", event))

    def send(self, text):
        self.control.sendall(text.encode() + b"\n")

    def type(self, vm, text=""):
        """A line typed at a VM's serial console."""
        self.send(f"input {vm} {text}")

    def snapshot(self, seconds=30):
        """The host's counters now."""
        self.stats = None
        self.send("stats")
        end = time.monotonic() + seconds
        while self.stats is None:
            if time.monotonic() > end or self.qemu.poll() is not None:
                raise LabError("the host did not answer 'stats' on its control console")
            time.sleep(0.01)
        return self.stats

    def wait(self, seconds):
        """Until the machine powers off. Returns False on timeout."""
        try:
            self.qemu.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        for t in self.waiters:
            t.join(10)
        return True

    def platform_failure(self):
        return PLATFORM_ABORT in self.stderr_path.read_text(errors="replace")

    def status(self):
        """0 when every VM ended and none crashed."""
        if any(v not in self.ended for v in self.vms):
            return 1
        return 1 if any(h.startswith("crash") for h in self.ended.values()) else 0

    def stop(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
        if self.qemu:
            for t in self.waiters:
                t.join(5)
            self.control.close()
            self.stderr.close()

    def cleanup(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.cleanup()


def _mib(text):
    if isinstance(text, (int, float)):
        return int(text) >> 20
    m = re.fullmatch(r"(\d+)\s*([KMGT]i?B?)?", str(text))
    if not m:
        return 0
    return int(m.group(1)) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get((m.group(2) or " ")[0], 1) >> 20
