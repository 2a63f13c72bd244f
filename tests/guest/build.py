"""Builds the guest test programs: each folder here with a main.c is one flat 32-bit Multiboot 1 program (build/guest-tests/<name>.elf)."""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "lab"))
from berthlab import BUILD  # noqa: E402

FLAGS = ["-m32", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-nostdinc", "-fno-pic", "-no-pie", "-fno-stack-protector",
         "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-mgeneral-regs-only", "-std=gnu17", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments"]


def names():
    return sorted(p.parent.name for p in HERE.glob("*/main.c"))


def elf(name):
    return BUILD / "guest-tests" / f"{name}.elf"


def compile_program(sources, out):
    """One program from `sources` and what all guest programs share; left alone when it is newer than all of them."""
    shared = sorted([*HERE.glob("*.S"), *HERE.glob("*.c"), *HERE.glob("*.h"), *HERE.glob("*.ld"), pathlib.Path(__file__)])
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
        compile_program(sorted([*(HERE / n).glob("*.c"), *(HERE / n).glob("*.S")]), elf(n))


if __name__ == "__main__":
    build()
