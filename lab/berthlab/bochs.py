"""The Intel machine: Bochs, started by its BIOS and GRUB from the ISO that `berth iso` makes; it emulates VMX. Its processors
take turns on one thread: more cores make it slower.

Bochs has no null display, so its display is a VNC server that waits for nobody. Debian's build has the debugger, which wants a command file that
says `c` and an open standard input. It connects to a listening socket of ours for each serial port. It ends with a panic when the machine is
switched off: that one is no failure.
"""
import pathlib
import re
import shutil
import socket
import subprocess

from . import LabError
from .qemu import used_s

CPU = "corei7_skylake_x"
INSTRUCTIONS_PER_SECOND = 20_000_000  # of the machine's own clock: low, so that timers and baud rates do not make it wait
# Bochs (2.7, and its sources of 2023) takes a pending virtual interrupt for the host's when one of those arrives while the guest has IF=0
# (event.cc, InterruptAcknowledge: is_pending, not is_unmasked_event_pending). A Linux guest with several CPUs deadlocks by it sooner or later.
# Its XSAVEC (2.7) puts the YMM state at offset 416 instead of 576 of the area, across the header: a Linux guest loses the vector registers of a program
# that is interrupted while their upper halves are in use ("Bad FPU state detected"), and the program crashes.
APPEND = "without=apicv,xsavec"
SWITCHED_OFF = "ACPI control: soft power off"
HOST_FAULTS = ("shutdown", "3rd", "triple fault")  # a triple fault of what runs in it is a result

RC = """cpu: model={cpu}, count={cores}, ips={ips}, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
vga: extension=vbe
display_library: {display}
ata0-master: type=cdrom, path={folder}/host.iso, status=inserted
boot: cdrom
clock: sync=none, time0=utc
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{console}
com2: enabled=1, mode=socket-client, dev=127.0.0.1:{control}
log: {folder}/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


def network_card(index, uplink, netdev):
    """A line of the configuration file; netdev as for QEMU: "user" or "tap,ifname=NAME"."""
    mac = (uplink.get("match") or {}).get("mac") or f"52:54:00:12:34:{0x56 + index:02x}"
    kind, *options = netdev.split(",")
    given = dict(o.split("=", 1) for o in options if "=" in o)
    if kind == "user":
        ethernet = "ethmod=slirp"
    elif kind == "tap" and "ifname" in given:
        ethernet = f"ethmod=tuntap, ethdev=/dev/net/tun:{given['ifname']}"
    else:
        raise LabError(f"uplink {uplink['name']}: Bochs has no network like \"{netdev}\"; use user or tap,ifname=NAME")
    return f'e1000: card={index}, enabled=1, mac={mac}, {ethernet}, script=""\n'


class Bochs:
    DISPLAY = 'rfb, options="timeout=0"\nsound: waveoutdrv=dummy'

    def __init__(self):
        self.process = self.control = self.console = None
        self.sockets = []

    def _listen(self):
        s = socket.create_server(("127.0.0.1", 0))
        s.settimeout(60)
        self.sockets.append(s)
        return s

    def _configure(self, host, console, control):
        text = RC.format(cpu=host.model or CPU, cores=host.cores, ips=host.ips or INSTRUCTIONS_PER_SECOND, memory=host.memory, folder=host.folder,
                         display=self.DISPLAY, console=console.getsockname()[1], control=control.getsockname()[1])
        if host.config.get("uplinks"):
            text += "plugin_ctrl: e1000=1\n"
        for i, up in enumerate(host.config.get("uplinks", [])):
            text += network_card(i, up, host.netdevs.get(up["name"], "user"))
        folder = pathlib.Path(host.folder)
        (folder / "bochsrc").write_text(text)
        (folder / "commands").write_text("c\n")
        self.log = folder / "bochs.log"
        self.output = folder / "bochs-output"

    def _command(self, host):
        if not shutil.which("bochs"):
            raise LabError("bochs is not installed: run lab/setup test")
        return ["bochs", "-q", "-f", f"{host.folder}/bochsrc", "-rc", f"{host.folder}/commands"]

    def start(self, host):
        if host.icount:
            raise LabError("Bochs always counts instructions: --icount is for --cpu amd")
        if host.firmware == "uefi":
            raise LabError("Bochs has a BIOS only: --firmware uefi is for --cpu amd")
        command = self._command(host)
        host.make_iso()
        console, control = self._listen(), self._listen()
        self._configure(host, console, control)
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
        accepted = []
        for s in (console, control):
            accepted.append(self._accept(s))
        self.console, self.control = accepted[0].makefile("rb"), accepted[1]
        self.sockets += accepted

    def _accept(self, listener):
        listener.settimeout(1)
        for _ in range(60):
            try:
                s = listener.accept()[0]
                s.settimeout(None)
                return s
            except TimeoutError:
                if not self.running():
                    break
        raise LabError("Bochs did not start: " + self._tail())

    def _tail(self):
        return self.output.read_text(errors="replace").strip()[-600:]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def used_s(self):
        return used_s(self.process)

    def wait(self, seconds):
        self.process.wait(seconds)

    def _panics(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [p for p in re.findall(r">>PANIC<< (.*)", text)]

    def failed_itself(self):
        if self.running():
            return False
        panics = self._panics()
        ours = [p for p in panics if SWITCHED_OFF in p or any(f in p for f in HOST_FAULTS)]
        return not ours

    def stop(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    def close(self):
        for s in (self.console, *self.sockets):
            if s:
                s.close()
        if self.process and self.process.stdin:
            self.process.stdin.close()


class PostedBochs(Bochs):
    """Bochs 3.0, built by lab/bochs: its processor has posted interrupts."""
    DISPLAY = "nogui"

    def _command(self, host):
        built = subprocess.run([pathlib.Path(__file__).parent.parent / "bochs"], stdout=subprocess.PIPE, text=True)
        if built.returncode:
            raise LabError("Bochs 3.0 was not built")
        return [built.stdout.strip(), "-q", "-f", f"{host.folder}/bochsrc"]
