"""The AMD machine: QEMU, started by PVH with the boot archive, or by a firmware from an ISO; TCG emulates SVM. KVM is used only where it offers nested virtualization."""
import json
import os
import pathlib
import socket
import subprocess
import time

from . import IMAGE, LabError
from .archive import pack

APPEND = ""
PLATFORM_ABORT = "Bail out!"  # the emulator's own assertion, never a result of ours
NO_X2APIC = ",-x2apic"  # QEMU 10 ends ("Bad icount read") when its x2APIC timer is written while instructions are counted
OVMF_CODE, OVMF_VARIABLES = (pathlib.Path(f"/usr/share/OVMF/OVMF_{part}_4M.fd") for part in ("CODE", "VARS"))


def used_s(process):
    with open(f"/proc/{process.pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_s(process):
    """Seconds that its threads were ready to run while others had the processors (Documentation/scheduler/sched-stats.rst)."""
    waited_ns = 0
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        try:
            waited_ns += int((task / "schedstat").read_text().split()[1])
        except OSError:
            pass  # it has ended, or the kernel does not count
    return waited_ns / 1e9


def nested_kvm():
    """KVM is used only where it really offers nested SVM or VMX."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    for m in ("kvm_amd", "kvm_intel"):
        p = pathlib.Path(f"/sys/module/{m}/parameters/nested")
        if p.exists() and p.read_text().strip() in ("Y", "1"):
            return True
    return False


def boot_arguments(host):
    """PVH with the boot archive, or the ISO by SeaBIOS or OVMF."""
    if not host.firmware:
        cpio = pathlib.Path(host.folder) / "boot.cpio"
        cpio.write_bytes(pack(host.boot))
        return ["-kernel", str(IMAGE), "-initrd", str(cpio), "-append", host.append]
    args = ["-cdrom", str(host.make_iso())]
    if host.firmware == "uefi":
        if not OVMF_CODE.exists():
            raise LabError(f"{OVMF_CODE} is not there: run lab/setup test")
        args += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}", "-drive", f"if=pflash,format=raw,snapshot=on,file={OVMF_VARIABLES}"]
    return args


def command(host):
    qemu = os.environ.get("BERTH_QEMU", "qemu-system-x86_64")
    if nested_kvm() and not host.icount:
        accel, cpu = "kvm", "host"
    else:
        accel, cpu = "tcg" + (",thread=multi" if not host.icount else ""), "max" + (NO_X2APIC if host.icount else "")
    args = [qemu, "-accel", accel, "-cpu", cpu, "-M", "q35", "-m", str(host.memory), "-smp", str(host.cores), "-nodefaults",
            "-display", "none", "-no-reboot", *boot_arguments(host),
            "-serial", "stdio", "-chardev", f"socket,id=control,path={host.folder}/control,server=on,wait=on", "-serial", "chardev:control",
            "-qmp", f"unix:{host.folder}/qmp,server=on,wait=off"]
    if host.icount:
        args += ["-icount", "shift=0,sleep=off"]
    for i, up in enumerate(host.config.get("uplinks", [])):
        net = host.netdevs.get(up["name"], "user")
        dev = f"virtio-net-pci,netdev=n{i},mq=off"
        mac = (up.get("match") or {}).get("mac")
        if mac:
            dev += f",mac={mac}"
        mtu = up.get("mtu", 1500)
        if mtu != 1500:
            dev += f",host_mtu={mtu}"
        args += ["-netdev", f"{net},id=n{i}", "-device", dev]
    return args + host.qemu_args


class Qmp:
    """QEMU's own control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")
        self.lines.readline()  # its greeting
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                raise LabError(f"QEMU: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


class Qemu:
    """A machine has: console (lines of the first serial port), control (a socket: the second), and the methods below."""

    def __init__(self):
        self.process = self.control = self.stderr = None

    def start(self, host):
        self.folder = host.folder
        self.stderr_path = pathlib.Path(host.folder) / "qemu-stderr"
        self.stderr = open(self.stderr_path, "wb")
        self.process = subprocess.Popen(command(host), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.stderr)
        self.console = self.process.stdout
        self.control = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 20
        while True:
            try:
                self.control.connect(f"{host.folder}/control")
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise LabError("QEMU did not start: " + self.stderr_path.read_text(errors="replace").strip()[-400:])
                time.sleep(0.05)

    def set_link(self, nic, up):
        """Plugs the cable of the host's n-th uplink in or pulls it out, as the NIC sees it."""
        Qmp(f"{self.folder}/qmp").run("set_link", name=f"n{nic}", up=up)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def used_s(self):
        """Seconds of processor time it has had: what a limit should count on a busy machine."""
        return used_s(self.process)

    def waited_s(self):
        return waited_s(self.process)

    def wait(self, seconds):
        """Until it is off; subprocess.TimeoutExpired when that takes longer."""
        self.process.wait(seconds)

    def failed_itself(self):
        """It ended for a fault of the emulator: nothing can be said about the host."""
        return PLATFORM_ABORT in self.stderr_path.read_text(errors="replace")

    def stop(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    def close(self):
        for f in (self.control, self.stderr):
            if f:
                f.close()
