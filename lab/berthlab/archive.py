"""The boot archive: a cpio "newc" file that QEMU hands to the host as its first boot module; each entry is one file of the host."""
import pathlib


def _entry(name: str, data: bytes, ino: int, mode: int) -> bytes:
    raw = name.encode() + b"\0"
    head = b"070701" + b"".join(
        b"%08X" % v for v in (ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
    )
    out = head + raw
    out += b"\0" * (-len(out) % 4)
    return out + data + b"\0" * (-len(data) % 4)


def pack(files: dict, mode: int = 0o100644) -> bytes:
    """files: name -> bytes. Directories that names need are not made: the host looks names up whole."""
    out = b"".join(_entry(n, d, i + 1, mode) for i, (n, d) in enumerate(files.items()))
    return out + _entry("TRAILER!!!", b"", 0, 0)


def pack_tree(files: dict) -> bytes:
    """For a Linux initramfs: name -> bytes, executable, with the directories above each name."""
    dirs = sorted({str(p) for n in files for p in pathlib.PurePosixPath(n).parents if str(p) != "."}, key=len)
    out = b"".join(_entry(d, b"", i + 1, 0o040755) for i, d in enumerate(dirs))
    return out + pack({n: d for n, d in files.items()}, 0o100755)
