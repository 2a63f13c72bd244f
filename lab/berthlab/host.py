"""One emulated Berth host: compiles the configuration, starts the machine (qemu.py: AMD, bochs.py: Intel), reads its two serial ports.

Serial port 1 carries text: the host's log and the VMs' consoles, each line prefixed with `[name]`. Serial port 2 is the control console: JSON
lines in both directions. What decides an exit status (how a VM ended, counters) comes from the control console only, because a guest can
print anything on its own console.
"""
import json
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from . import BERTH, IMAGE, LabError
from . import bochs, qemu
from .console import SharedConsole

MACHINES = {"amd": (qemu.Qemu, qemu.APPEND), "intel": (bochs.Bochs, bochs.APPEND), "intel-posted": (bochs.PostedBochs, "")}
HALTED_S = 5
PATIENCE = {"amd": 1, "intel": 6, "intel-posted": 6}  # the slow one answers late when others use the processor, too
DISTURBED = 0.03  # share of the time
ANSWER_S = 120  # at once, where the emulator gets its share of the machine
FIRMWARE_CODES = re.compile(r"^(\x1b\[[0-9;]*[A-Za-z])+")  # a boot loader clears the screen before the host's first line


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
    ips = None  # instructions in a second of Bochs's own clock, if not the usual ones

    def __init__(self, yaml, cores=2, memory_mib=0, files=None, icount=False, netdevs=None, qemu_args=(), quiet=False, plugin=None, cpu="amd",
                 firmware=None, console_socket=None, append=None, model=None):
        """console_socket: a path at which others reach the control console, too. cpu: amd (QEMU), intel (Bochs) or intel-posted (Bochs 3.0, with posted interrupts). firmware: bios or uefi boots the ISO of `berth iso` in QEMU; Bochs always does, with its BIOS.
        append: the host's command line; none: what the emulator needs for guests of all kinds. model: another
        processor of Bochs."""
        self.folder = tempfile.mkdtemp(prefix="berth-lab-")
        self.yaml, self.files = yaml, files or {}
        self.boot, self.config = compile_config(yaml, self.folder, self.files)
        vms = self.config.get("vms", [])
        self.vms = [v["name"] for v in vms]
        self.cores, self.icount, self.netdevs, self.qemu_args, self.quiet = cores, icount, netdevs or {}, list(qemu_args), quiet
        self.model = model
        self.memory = memory_mib or self._default_memory(vms)
        self.ended, self.stats, self.lines, self.events = {}, None, [], queue.Queue()
        self.waiters, self.listeners, self.write_lock = [], [], threading.Lock()
        self.console_socket, self.shared = console_socket, None
        machine, needed = MACHINES[cpu]
        self.patience = PATIENCE[cpu]
        self.machine, self.firmware, self.append = machine(), firmware, needed if append is None else append

    def _default_memory(self, vms):
        guests = sum(_mib(v.get("memory", "0")) for v in vms)
        ram = sum(_mib(d["ram"]["size"]) for d in self.config.get("datastores", []) if "ram" in d)
        files = sum(map(len, self.boot.values())) >> 20
        return 640 + guests + ram + 2 * files

    def make_iso(self):
        """The ISO that `berth iso` makes of this host's configuration and files."""
        iso = pathlib.Path(self.folder) / "host.iso"
        files = [a for name, path in self.files.items() for a in ("--file", f"{name}={path}")]
        r = subprocess.run([BERTH, "iso", str(self.yaml), "-o", str(iso), "--image", str(IMAGE), "--append", self.append, *files], capture_output=True, text=True)
        if r.returncode:
            raise LabError(f"no ISO: {r.stderr.strip()}")
        return iso

    def start(self):
        self.machine.start(self)
        self.control = self.machine.control
        if self.console_socket:
            self.shared = SharedConsole(self.console_socket, self._write)
        for target in (self._read_console, self._read_control):
            t = threading.Thread(target=target, daemon=True)
            t.start()
            self.waiters.append(t)
        return self

    def running(self):
        return self.machine.running()

    def _read_console(self):
        for raw in self.machine.console:
            line = FIRMWARE_CODES.sub("", raw.decode(errors="replace").rstrip("\r\n"))
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
            if self.shared:
                self.shared.host_wrote(data)
            buffer += data
            if b"\n" not in data:
                continue
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
        elif event.get("event") == "host-failed":
            threading.Timer(HALTED_S, self.machine.stop).start()  # it may halt with its reason on the screen
        elif event.get("event") == "stats":
            self.stats = event
        for listener in [x for x in self.listeners if event.get("event") in (x[0], "error")]:
            self.listeners.remove(listener)
            listener[1].put(event)
        self.events.put(("control", event))

    def _write(self, data):
        with self.write_lock:
            self.control.sendall(data)

    def send(self, text):
        self._write(text.encode() + b"\n")

    def type(self, vm, text=""):
        """A line typed at a VM's serial console."""
        self.send(f"input {vm} {text}")

    def snapshot(self, seconds=ANSWER_S):
        """The host's counters now."""
        self.stats = None
        self.send("stats")
        end = time.monotonic() + seconds * self.patience
        while self.stats is None:
            if time.monotonic() > end or not self.running():
                raise LabError("the host did not answer 'stats' on its control console")
            time.sleep(0.01)
        return self.stats

    def ask(self, command, event, seconds=ANSWER_S):
        """The answer to a command of the control console: its JSON object."""
        answers = queue.Queue()
        self.listeners.append((event, answers))
        self.send(command)
        try:
            return answers.get(timeout=seconds * self.patience)
        except queue.Empty:
            raise LabError(f"the host did not answer {command!r} on its control console") from None

    def undisturbed(self, measure, attempts=8):
        """What measure() finds wrong while the emulator has the processors it wants: what it finds on a machine that is busy with others says nothing,
        and is measured again. None: the machine was never quiet enough to tell."""
        for _ in range(attempts):
            start, waited = time.monotonic(), self.machine.waited_s()
            faults = measure()
            share = (self.machine.waited_s() - waited) / (time.monotonic() - start)
            if not faults or share < DISTURBED:
                return faults
            print(f"the emulator waited for a processor {100 * share:.0f} % of the time; measured again, because: {'; '.join(faults)}", flush=True)
        return None

    def set_link(self, uplink, up):
        """Pulls out or plugs in the cable at the host's end (QEMU only). uplink: its name."""
        self.machine.set_link([u["name"] for u in self.config["uplinks"]].index(uplink), up)

    def wait(self, seconds):
        """Until the machine powers off and all that it wrote has been read. Returns False on timeout."""
        try:
            self.machine.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        for t in self.waiters:
            t.join()  # its process has ended, so both ports do
        return True

    def platform_failure(self):
        return self.machine.failed_itself()

    def status(self):
        """0 when every VM ended and none crashed."""
        if any(v not in self.ended for v in self.vms):
            return 1
        return 1 if any(h.startswith("crash") for h in self.ended.values()) else 0

    def stop(self):
        if self.shared:
            self.shared.close()
        self.machine.stop()
        for t in self.waiters:
            t.join(5)
        self.machine.close()

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
