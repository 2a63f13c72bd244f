"""Real storage servers on loopback: tgtd (iSCSI) and nfs-ganesha (NFS), each with the faults that tests need.

ganesha wants a portmapper for NFSv3, and rpcbind listens on every address, so the lab runs in a network namespace of its own
(`enter_namespace`). QEMU's user network reaches the namespace's loopback at 10.0.2.2.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from . import LabError, contain
from .server_wire import IscsiWire, NfsWire

ISCSI_PORT, NFS_PORT, MOUNT_PORT = 13260, 12049, 12050
BEHIND = 100  # a watched server's own port is so much higher
IN_NAMESPACE = "BERTH_LAB_NAMESPACE"


def inside():
    """Whether this program runs in the namespaces that `enter_namespace` makes."""
    return IN_NAMESPACE in os.environ


def enter_namespace(argv):
    """Starts this program again in namespaces of its own with loopback and a veth address; returns inside. The program outside only stands for
    the one inside: it gives its exit status and takes it along when it is ended."""
    if inside():
        return
    if os.geteuid() != 0:
        raise LabError("the lab makes a network namespace: run it as root or with sudo")
    why = contain.possible()
    if why:
        raise LabError(f"the lab needs network, mount and PID namespaces, which this machine refuses (a container without the right to make them?): {why}")
    env = dict(os.environ, **{IN_NAMESPACE: "1"})
    setup = (
        # ganesha finds the file system it exports in /etc/mtab, a link that a running Debian has and a bare root made by debootstrap has not
        "{ [ -e /etc/mtab ] || ln -s ../proc/self/mounts /etc/mtab; } && "
        "mkdir -p /run/rpcbind /run/ganesha /run/berth-lab && "
        "mkdir -p /var/lib/nfs && mount -t tmpfs tmpfs /var/lib/nfs && mkdir -p /var/lib/nfs/ganesha && "
        "ip link set lo up && ip link add lab0 type veth peer name lab1 && "
        "ip addr add 192.0.2.1/24 dev lab0 && ip link set lab0 up && ip link set lab1 up && "
        'exec "$@"'
    )
    contain.stand_for(subprocess.Popen(contain.contained(["sh", "-c", setup, "sh", *argv], "--net"), env=env))


def wait_for(what, test, seconds, process=None, log=None):
    """Polls `test` until true. A dead process or the end of the time is an error that quotes the log."""
    end = time.monotonic() + seconds
    while not test():
        dead = process is not None and process.poll() is not None
        if dead or time.monotonic() > end:
            tail = ""
            if log and pathlib.Path(log).exists():
                tail = "\n" + "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-8:])
            raise LabError(f"{what}: {'it ended' if dead else f'not ready after {seconds} s'}{tail}")
        time.sleep(0.05)


def answers(port, host="127.0.0.1"):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((host, port)) == 0


class Server:
    process = wire = None

    def kill(self):
        """kill -9: what a crash looks like."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def hang(self):
        self.process.send_signal(signal.SIGSTOP)

    def unhang(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        if self.wire:
            self.wire.close()


class Tgtd(Server):
    """An iSCSI target with one LUN (number 1) on a file. watched: its wire is read along (`wire`)."""

    def __init__(self, folder, size_bytes, chap=("hv1", "berth-lab-chap"), port=ISCSI_PORT, control=77, iqn="iqn.2026-01.lab:t1", watched=False):
        self.folder, self.size, self.chap, self.port, self.control, self.iqn = pathlib.Path(folder), size_bytes, chap, port, control, iqn
        self.folder.mkdir(parents=True, exist_ok=True)
        self.own_port = port + BEHIND if watched else port
        self.wire = IscsiWire(port, self.own_port) if watched else None
        self.disk = self.folder / "lun.img"
        self.log = self.folder / "tgtd.log"

    def admin(self, *args):
        r = subprocess.run(["tgtadm", "-C", str(self.control), "--lld", "iscsi", *args], capture_output=True, text=True)
        if r.returncode:
            raise LabError(f"tgtadm {' '.join(args)}: {r.stderr.strip() or r.stdout.strip()}")
        return r.stdout

    def start(self):
        if not self.disk.exists():
            with open(self.disk, "wb") as f:
                f.truncate(self.size)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["tgtd", "-f", "-C", str(self.control), "--iscsi", f"portal=127.0.0.1:{self.own_port}"], stdout=log, stderr=log)

        def ready():
            return subprocess.run(["tgtadm", "-C", str(self.control), "--lld", "iscsi", "--op", "show", "--mode", "target"],
                                  capture_output=True).returncode == 0

        wait_for("tgtd", ready, 20, self.process, self.log)
        self.admin("--op", "new", "--mode", "target", "--tid", "1", "-T", self.iqn)
        self.admin("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", str(self.disk))
        self.admin("--op", "update", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "--params", "thin_provisioning=1")
        if self.chap:
            user, secret = self.chap
            self.admin("--op", "new", "--mode", "account", "--user", user, "--password", secret)
            self.admin("--op", "bind", "--mode", "account", "--tid", "1", "--user", user)
        self.admin("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")


GANESHA = """
NFS_CORE_PARAM {{ NFS_Port = {nfs}; MNT_Port = {mnt}; NLM_Port = {nlm}; Enable_UDP = false; Enable_RQUOTA = false; Protocols = 3, 4;
  mount_path_pseudo = true; }}
NFSv4 {{ Grace_Period = 10; Lease_Lifetime = 8; RecoveryBackend = fs; Only_Numeric_Owners = true; }}
EXPORT {{ Export_Id = 1; Path = {path}; Pseudo = /vol1; Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Protocols = 3, 4;
  Transports = TCP; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = EVENT; }}
"""


class Ganesha(Server):
    """An NFS server that exports one folder. NFSv3 mounts it by `export` (the real path or, with mount_path_pseudo, /vol1).

    watched: its wire is read along (`wire`), and a crash can take away what it may have forgotten."""

    def __init__(self, folder, nfs_port=NFS_PORT, mount_port=MOUNT_PORT, watched=False):
        self.folder = pathlib.Path(folder)
        self.nfs_port, self.mount_port = nfs_port, mount_port
        self.own_port = nfs_port + BEHIND if watched else nfs_port
        self.wire = NfsWire(nfs_port, self.own_port) if watched else None
        self.vol = self.folder / "vol1"
        self.vol.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "ganesha.log"
        self.rpcbind = None

    def start(self):
        if self.rpcbind is None or self.rpcbind.poll() is not None:
            self.rpcbind = subprocess.Popen(["rpcbind", "-f", "-w", "-h", "127.0.0.2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for("rpcbind", lambda: answers(111), 10, self.rpcbind)
        conf = self.folder / "ganesha.conf"
        conf.write_text(GANESHA.format(nfs=self.own_port, mnt=self.mount_port, nlm=self.mount_port + 1, path=self.vol))
        (self.folder / "ganesha.pid").unlink(missing_ok=True)
        logged = self.log.stat().st_size if self.log.exists() else 0
        self.process = subprocess.Popen(["ganesha.nfsd", "-F", "-f", str(conf), "-L", str(self.log), "-p", str(self.folder / "ganesha.pid")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("nfs-ganesha", lambda: answers(self.own_port) and answers(self.mount_port), 40, self.process, self.log)
        said = self.log.read_bytes()[logged:].decode(errors="replace")
        if "No export entries found" in said:  # it serves on, and refuses every mount
            self.kill()
            why = [line.split("] ")[-1] for line in said.splitlines() if ":CRIT :" in line]
            raise LabError(f"nfs-ganesha does not export {self.vol}:\n  " + "\n  ".join(why[:5]) + f"\nall it said is in {self.log}")

    def crash(self, disk):
        """kill -9, and what it had in `disk` (of make_disk) without a COMMIT is gone, too, as when a server loses its power: (how many writes, bytes)."""
        self.kill()
        lost = self.wire.unstable()
        self.wire.forgotten()
        with open(disk, "r+b") as f:
            for offset, count in lost:
                f.seek(offset)
                f.write(bytes(count))
        return len(lost), sum(count for _, count in lost)

    def __exit__(self, *_):
        super().__exit__()
        if self.rpcbind:
            self.rpcbind.kill()
            self.rpcbind.wait()

    def make_disk(self, name, size_bytes):
        p = self.vol / name
        p.parent.mkdir(parents=True, exist_ok=True)
        with open(p, "wb") as f:
            f.truncate(size_bytes)
        return p


def need(*programs):
    missing = [p for p in programs if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}; run lab/setup")
