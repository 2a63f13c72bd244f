"""A machine that cannot run VMs says why, in one line on the serial port and on the screen, and stays on.

usage: no_virtualization.py amd-none|amd-no-npt|intel-old
"""
import pathlib
import re
import socket
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent.parent / "lab"), str(HERE.parent / "guest")]
from berthlab import LabError  # noqa: E402
from berthlab.host import Host  # noqa: E402
import build  # noqa: E402

YAML = """host: {name: hv1}
vms:
  - name: guest
    memory: 32MiB
    boot: {multiboot: "module:guest"}
    debug_exit: true
"""
STOPPED = "[host] stopped: this machine cannot run virtual machines: "
CASES = {  # how the machine is made, and the reason it gives
    "amd-none": ({"cpu": "amd", "firmware": "bios", "qemu_args": ["-cpu", "max,-svm"]}, "its processor has neither AMD-V nor VT-x"),
    "amd-no-npt": ({"cpu": "amd", "firmware": "bios", "qemu_args": ["-cpu", "max,-npt"]},
                   "its processor's AMD-V has no nested paging (CPUID 8000_000Ah EDX bit 0)"),
    "intel-old": ({"cpu": "intel", "model": "corei5_lynnfield_750"}, "its processor's VT-x has no unrestricted guest, which Berth needs"),
}
PATIENCE_S = 200


def check(ok, what):
    if not ok:
        print(f"FAILED: {what}")
        sys.exit(1)


def screen(path):
    """The text on QEMU's VGA screen."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.settimeout(PATIENCE_S)
        s.sendall(b"xp /2000hx 0xb8000\n")
        text = ""
        while len(re.findall(r"0x([0-9a-f]{4})\b", text)) < 2000:
            text += s.recv(65536).decode(errors="replace")
    cells = [int(c, 16) & 0xff for c in re.findall(r"0x([0-9a-f]{4})\b", text)[:2000]]
    return [bytes(cells[i:i + 80]).decode("latin-1").rstrip() for i in range(0, 2000, 80)]


def run(case):
    arguments, reason = CASES[case]
    with tempfile.TemporaryDirectory() as t:
        folder = pathlib.Path(t)
        (folder / "host.yaml").write_text(YAML)
        arguments = dict(arguments)
        if "qemu_args" in arguments:
            arguments["qemu_args"] = [*arguments["qemu_args"], "-vga", "std", "-monitor", f"unix:{folder}/monitor,server=on,wait=off"]
        host = Host(folder / "host.yaml", cores=1, files={"guest": build.elf("debug-exit")}, **arguments)
        try:
            host.start()
            end = time.monotonic() + PATIENCE_S
            while not any(line.startswith(STOPPED) for line in host.lines):
                check(time.monotonic() < end and host.running(), f"no such line: {STOPPED}...; last lines: {host.lines[-5:]}")
                time.sleep(0.1)
            said = [line for line in host.lines if line.startswith(STOPPED)]
            check(said == [STOPPED + reason], f"said {said}")
            complaints = [line for line in host.lines if " error " in line or " warn " in line]
            check(not complaints, f"and more: {complaints}")
            if "qemu_args" in arguments:
                shown = "".join(f"{line:80}" for line in screen(folder / "monitor"))
                check((STOPPED + reason) in shown, f"not on the screen: {shown}")
                print(f"on the screen: {STOPPED}{reason}")
            check(host.running(), "it did not stay on")
        finally:
            host.cleanup()


if __name__ == "__main__":
    try:
        run(sys.argv[1])
        print("PASSED")
    except LabError as e:
        print(f"FAILED: {e}")
        sys.exit(1)
