"""Builds the guest test programs: each folder here with a main.c is one flat 32-bit Multiboot 1 program (build/guest-tests/<name>.elf). Those that
begin with "net-" are built with the driver in nic/."""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "lab"))
from berthlab import BUILD  # noqa: E402

FLAGS = ["-m32", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-nostdinc", "-fno-pic", "-no-pie", "-fno-stack-protector",
         "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-mgeneral-regs-only", "-std=gnu17", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments"]


def names():
    return sorted(p.parent.name for p in HERE.glob("*/main.c"))


def says(name, key, default=""):
    """What the comment at the top of a test's main.c says after "Key: "."""
    m = re.search(rf"^[ \t*/]*{key}: (.+?)\s*(\*/)?$", (HERE / name / "main.c").read_text(), re.M)
    return m.group(1).strip() if m else default


def runs_on(name, machine):
    """machine: amd or intel. "Machines: WHICH (WHY)" in main.c says that it does not run on both."""
    return machine in says(name, "Machines", "amd intel").partition("(")[0].split()


def elf(name):
    return BUILD / "guest-tests" / f"{name}.elf"


def compile_program(sources, out):
    """One program from `sources` and what all guest programs share; left alone when it is newer than all of them."""
    shared = sorted([*HERE.glob("*.S"), *HERE.glob("*.c"), *HERE.glob("*.h"), *HERE.glob("nic/nic.h"), *HERE.glob("*.ld"), pathlib.Path(__file__)])
    newest = max(p.stat().st_mtime for p in [*shared, *sources])
    if out.exists() and out.stat().st_mtime > newest:
        return out
    gcc_include = subprocess.run(["gcc", "-print-file-name=include"], capture_output=True, text=True, check=True).stdout.strip()
    out.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", *FLAGS, "-isystem", gcc_include, f"-I{HERE}", f"-Wl,-T,{HERE}/guest.ld", "-o", str(out),
                    *map(str, sources), *map(str, [p for p in shared if p.suffix in (".S", ".c")])], check=True)
    return out


def build():
    for n in names():
        nic = [HERE / "nic/nic.c"] if n.startswith("net-") else []
        compile_program(sorted([*(HERE / n).glob("*.c"), *(HERE / n).glob("*.S"), *nic]), elf(n))


if __name__ == "__main__":
    build()
