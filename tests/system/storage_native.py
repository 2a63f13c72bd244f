#!/usr/bin/env python3
"""The initiators, built for Linux with ASan and UBSan, against the real servers: a verified workload on a SAN and a NAS at once while one of
them is killed, stopped, or not there.

  storage_native.py SCENARIO     steady | chap-wrong | san-kill | san-hang | san-late | nas-kill | nas-hang | conn-drop

Each scenario says what must hold for the datastore that was hurt and for the other one, which must never notice.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "lab"))
from berthlab import BUILD, LabError, servers  # noqa: E402

WORKLOAD = BUILD / "native/tests/unit/datastore/test-storage-workload"
SIZE = 64 << 20


def fail(text, output=""):
    print(output)
    sys.exit(f"storage_native: {text}")


def at(seconds, action):
    t = threading.Timer(seconds, action)
    t.daemon = True
    t.start()


def san_spec(tgtd, secret="berth-lab-chap"):
    return f"iscsi:san1:{tgtd.port}:{tgtd.iqn.replace(':', '/')}:1:hv1:{secret}"


def nas_spec(ganesha):
    return f"nfs:nas1:{ganesha.nfs_port}:{ganesha.mount_port}:127.0.0.1:/vol1:disk.raw"


def run(seconds, *specs):
    """The workload's output and its reports by name; its exit status is checked by the caller."""
    p = subprocess.run([str(WORKLOAD), str(seconds), *specs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds + 90)
    reports = {r["name"]: r for r in (json.loads(line) for line in p.stdout.splitlines() if line.startswith("{"))}
    if p.returncode < 0:
        fail(f"the workload was ended by signal {-p.returncode}", p.stdout)
    return p.returncode, p.stdout, reports


def clean(out, status, reports, *names):
    """No request of these failed, nothing differed, all of the workload ran."""
    for name in names:
        r = reports.get(name) or fail(f"no report of {name}", out)
        if r["errors"] or r["mismatches"] or not r["finished"] or r["ios"] < 100 or r["flushes"] < 1:
            fail(f"{name}: {r}", out)
    if status:
        fail(f"the workload ended with {status}", out)


def unaffected(out, report):
    if report["losses"] or report["longest_gap_ms"] > 2500:
        fail(f"{report['name']} was not left alone: {report}", out)


def hurt(out, report, gap_ms):
    if report["losses"] < 1 or report["longest_gap_ms"] < gap_ms or report["state"] != "online":
        fail(f"{report['name']} was not hurt, or is not back: {report}", out)


def steady(san, nas):
    status, out, r = run(5, san_spec(san), nas_spec(nas), "ram:ram1")
    clean(out, status, r, "san1", "nas1", "ram1")
    for name, server in (("san1", san), ("nas1", nas)):  # the workload's last write is followed by a flush
        print(f"{name}: {r[name]['flushes']} flushes of the workload, {server.wire.flushes} on the wire; not stable at the end: {len(server.wire.unstable())}")
        if server.wire.flushes < 1 or server.wire.unstable():
            fail(f"{name}: a flush ended and not all that was written before is stable", out)
    unaffected(out, r["san1"])
    unaffected(out, r["nas1"])


def chap_wrong(san, nas):
    status, out, r = run(5, san_spec(san, "wrong-secret-1"), nas_spec(nas))
    clean(out, status, r, "nas1")
    unaffected(out, r["nas1"])
    if r["san1"]["state"] != "attaching" or not r["san1"]["refused"] or "check the CHAP user and secret" not in out:
        fail("a wrong secret is not refused clearly", out)
    if out.count("iscsi.login.refused") > 2:
        fail("a refused login floods the log", out)


def cycle(server, start_s, for_s, down, up):
    at(start_s, lambda: getattr(server, down)())
    at(start_s + for_s, lambda: getattr(server, up)())


def san_kill(san, nas):
    cycle(san, 3, 4, "kill", "start")
    status, out, r = run(14, san_spec(san), nas_spec(nas))
    clean(out, status, r, "san1", "nas1")
    hurt(out, r["san1"], 3500)
    unaffected(out, r["nas1"])


def san_hang(san, nas):
    cycle(san, 3, 14, "hang", "unhang")
    status, out, r = run(26, san_spec(san), nas_spec(nas))
    clean(out, status, r, "san1", "nas1")
    hurt(out, r["san1"], 13000)
    unaffected(out, r["nas1"])


def conn_drop(san, nas):
    """The target drops its connections, again and again."""
    def drop():
        for line in san.admin("--op", "show", "--mode", "conn", "--tid", "1").splitlines():
            if line.startswith("Session:"):
                subprocess.run(["tgtadm", "-C", str(san.control), "--lld", "iscsi", "--op", "delete", "--mode", "conn", "--tid", "1", "--sid",
                                line.split()[1], "--cid", "0"], capture_output=True)
    for i in range(8):
        at(2 + i, drop)
    status, out, r = run(13, san_spec(san), nas_spec(nas))
    clean(out, status, r, "san1", "nas1")
    hurt(out, r["san1"], 0)
    unaffected(out, r["nas1"])


def san_late(san, nas):
    san.kill()
    at(4, san.start)
    status, out, r = run(12, san_spec(san), nas_spec(nas))
    clean(out, status, r, "san1", "nas1")
    unaffected(out, r["nas1"])
    if out.index("ready nas1") > out.index("ready san1"):
        fail("the NAS waited for the SAN", out)


def nas_kill(san, nas):
    """What the server had not committed is lost with it."""
    lost = []
    at(3, lambda: lost.append(nas.crash(nas.vol / "disk.raw")))
    at(5, nas.start)
    status, out, r = run(40, san_spec(san), nas_spec(nas))
    print(f"{lost[0][0]} writes were lost with the server, {r['nas1']['resent']} were sent again")
    if not lost[0][0]:
        fail("the server lost nothing: the test shows nothing", out)
    clean(out, status, r, "san1", "nas1")
    hurt(out, r["nas1"], 2000)
    unaffected(out, r["san1"])


def nas_hang(san, nas):
    cycle(nas, 3, 14, "hang", "unhang")
    status, out, r = run(26, san_spec(san), nas_spec(nas))
    clean(out, status, r, "san1", "nas1")
    hurt(out, r["nas1"], 13000)
    unaffected(out, r["san1"])


SCENARIOS = {f.__name__.replace("_", "-"): f for f in (steady, chap_wrong, san_kill, san_hang, san_late, nas_kill, nas_hang, conn_drop)}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in SCENARIOS:
        sys.exit(__doc__)
    servers.enter_namespace([sys.executable, *sys.argv])
    servers.need("tgtd", "ganesha.nfsd", "rpcbind")
    with tempfile.TemporaryDirectory(prefix="storage-") as folder:
        folder = pathlib.Path(folder)
        with servers.Tgtd(folder / "san", SIZE, control=70 + list(SCENARIOS).index(sys.argv[1]), watched=sys.argv[1] == "steady") as san, servers.Ganesha(folder / "nas", watched=True) as nas:
            nas.make_disk("disk.raw", SIZE)
            SCENARIOS[sys.argv[1]](san, nas)
    print("ok")


if __name__ == "__main__":
    try:
        main()
    except LabError as e:
        sys.exit(f"storage_native: {e}")
