"""Linux images: Debian's cloud kernel, and an initramfs of Debian's busybox and some programs.

The base initramfs is made once for each kind of machine: guests (build/guest) and the machines beside a host (build/peer, peer.py). What one
has to do is a shell script that `with_jobs` adds as a second, small archive.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from . import BUILD, CACHE, ROOT, LabError
from .archive import pack_tree

Kind = collections.namedtuple("Kind", "name modules programs files")  # programs go to /bin; files: name -> text
GUEST = Kind("guest", ["virtio_pci", "virtio_blk", "virtio_net", "virtio-rng", "macvlan", "8021q", "pktgen"], ["/usr/bin/fio", "/usr/bin/iperf3", "/bin/ip"], {})


def _sh(*args, **kw):
    r = subprocess.run(args, capture_output=True, text=True, **kw)
    if r.returncode:
        raise LabError(f"{' '.join(map(str, args))}: {r.stderr.strip()[-400:]}")
    return r.stdout


def _kernel_package():
    """Debian's current cloud kernel as a .deb in the cache; the one that is there is used again without network."""
    store = CACHE / "kernel"
    store.mkdir(parents=True, exist_ok=True)
    have = sorted(store.glob("linux-image-*.deb"), key=os.path.getmtime)
    if have:
        return have[-1]
    meta = _sh("apt-cache", "depends", "linux-image-cloud-amd64")
    name = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", meta)
    if not name:
        raise LabError("apt knows no linux-image-cloud-amd64: run 'apt-get update'")
    with tempfile.TemporaryDirectory(dir=store) as t:
        _sh("apt-get", "download", "-o", "APT::Sandbox::User=root", name.group(1), cwd=t)
        deb = next(pathlib.Path(t).glob("*.deb"))
        return pathlib.Path(shutil.move(str(deb), store / deb.name))


def _libraries(programs):
    libs = set()
    for p in programs:
        for line in _sh("ldd", p).splitlines():
            m = re.search(r"(/\S+) \(0x", line)
            if m:
                libs.add(m.group(1))
    return sorted(libs)


def make(kind=GUEST):
    """Makes vmlinuz, initrd and the list of what they were made from. Returns (vmlinuz, initrd) paths; does nothing when up to date."""
    out = BUILD / kind.name
    vmlinuz, initrd, made = out / "vmlinuz", out / "initrd", out / "made-from"
    deb = _kernel_package()
    init = ROOT / "lab/guest/init"
    missing = [p for p in kind.programs if not os.path.exists(p)]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}; run lab/setup")
    stamp = f"{deb.name} {init.stat().st_mtime_ns} {kind} " + " ".join(f"{p}:{os.stat(p).st_mtime_ns}" for p in kind.programs)
    if made.exists() and made.read_text() == stamp and initrd.exists():
        return vmlinuz, initrd
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as t:
        t = pathlib.Path(t)
        _sh("dpkg-deb", "-x", deb, t / "kernel")
        image = next((t / "kernel/boot").glob("vmlinuz-*"))
        version = image.name.split("-", 1)[1]
        root = t / "root"
        for d in ("bin", "proc", "sys", "dev", "run", "tmp", "etc", "job", f"lib/modules/{version}"):
            (root / d).mkdir(parents=True)
        (root / "lib64").symlink_to("lib")
        _copy_modules(t / "kernel", root, version, kind.modules)
        for p in kind.programs:
            shutil.copy(os.path.realpath(p), root / "bin" / pathlib.Path(p).name)
        for name, text in kind.files.items():
            (root / name).write_text(text)
        for p in _libraries(kind.programs):
            target = root / p.lstrip("/").replace("lib64/", "lib/", 1)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(p), target)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in _sh("/bin/busybox", "--list").split():
            if not (root / "bin" / applet).exists():
                (root / "bin" / applet).symlink_to("busybox")
        shutil.copy(init, root / "init")
        (root / "init").chmod(0o755)
        names = "\0".join(str(p.relative_to(root)) for p in sorted(root.rglob("*"))) + "\0"
        cpio = subprocess.run(["cpio", "--quiet", "-0", "-o", "-H", "newc", "-R", "0:0"], input=names.encode(), cwd=root, capture_output=True, check=True)
        z = subprocess.run(["zstd", "-q", "-10", "-T2"], input=cpio.stdout, capture_output=True, check=True)
        initrd.write_bytes(z.stdout)
        shutil.copy(image, vmlinuz)
    made.write_text(stamp)
    return vmlinuz, initrd


def _copy_modules(kernel, root, version, modules):
    base = kernel / "lib/modules" / version
    _sh("/sbin/depmod", "-b", kernel, version)
    deps = {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        deps[pathlib.Path(path).stem.replace("-", "_")] = [path, *rest.split()]
    for m in modules:
        for path in deps.get(m.replace("-", "_"), []):
            target = root / "lib/modules" / version / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(base / path, target)
    shutil.copy(base / "modules.order", root / "lib/modules" / version)
    shutil.copy(base / "modules.builtin", root / "lib/modules" / version)
    _sh("/sbin/depmod", "-b", root, version)


def unpacked(initrd, out):
    """The initramfs without compression, for a machine that counts every instruction: unpacking costs more than booting."""
    with open(out, "wb") as f:
        subprocess.run(["zstd", "-q", "-d", "-c", initrd], stdout=f, check=True)
    return out


def with_jobs(initrd, scripts, out):
    """An initramfs that holds `scripts` in /job (name -> text of a shell script, or bytes of a program): a guest runs the one its `berth.job=`
    names (default: "run"), then powers off; where there is none of that name, it is a shell on its console."""
    data = pathlib.Path(initrd).read_bytes()
    data += b"\0" * (-len(data) % 4)
    pathlib.Path(out).write_bytes(data + pack_tree({f"job/{n}": s.encode() if isinstance(s, str) else s for n, s in scripts.items()}))
    return out
