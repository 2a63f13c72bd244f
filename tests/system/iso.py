"""The ISO of `berth iso`: the same disc boots by BIOS and by UEFI with its configuration, secret and files, and a VM on it runs. As
"intel" Bochs boots it, and the host reaches the SAN through its e1000 (DPDK's em driver). usage: iso.py bios|uefi|intel"""
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent.parent / "lab"), str(HERE.parent / "guest")]
from berthlab import BERTH, IMAGE, servers  # noqa: E402
from berthlab.host import Host  # noqa: E402
import build  # noqa: E402

YAML = """host: {name: hv1}
uplinks:
  - {name: uplink0, match: {mac: "52:54:00:12:34:56"}}
vswitches:
  - {name: vSwitch0, uplinks: [uplink0]}
portgroups:
  - {name: storage, vswitch: vSwitch0, vlan: 0}
vmknics:
  - {name: vmk0, portgroup: storage, address: 10.0.2.15/24, gateway: 10.0.2.2}
datastores:
  - name: san1
    iscsi: {portals: ["10.0.2.2:13260"], target: "iqn.2026-01.lab:t1", lun: 1, chap: {user: hv1, secret: "file:san1.secret"}}
vms:
  - name: guest
    cpus: 1
    memory: 32MiB
    boot: {multiboot: "module:guest"}
    debug_exit: true
    disks: [{datastore: san1}]
"""


def check(ok, what):
    if not ok:
        print(f"FAILED: {what}")
        sys.exit(1)


def refuse(folder):
    """What cannot become an ISO is refused with a message, and leaves nothing behind."""
    files = {"guest": str(build.elf("hlt-wake"))}

    def iso(*args):
        given = [a for n, p in files.items() for a in ("--file", f"{n}={p}")]
        return subprocess.run([BERTH, "iso", str(folder / "host.yaml"), *given, *args], capture_output=True, text=True)

    out = folder / "refused" / "host.iso"
    out.parent.mkdir()
    for args, status, text in ((["-o", str(out), "--image", "/bin/true"], 3, "is not a Berth image"), (["-o", str(out), "--image", "/none"], 3, "cannot be read"),
                               ([], 2, "needs -o"), (["-o", "/none/host.iso", "--image", str(IMAGE)], 3, "cannot be made")):
        r = iso(*args)
        check(r.returncode == status and text in r.stderr, f"{args}: {r.returncode} {r.stderr}")
    files.clear()
    r = iso("-o", str(out), "--image", str(IMAGE))
    check(r.returncode == 1 and 'no file is given for boot module "guest"' in r.stderr, f"missing file: {r.returncode} {r.stderr}")
    check(not list(out.parent.iterdir()), f"left behind: {list(out.parent.iterdir())}")


def boot(kind, folder):
    intel = kind == "intel"
    for _ in range(3):
        host = Host(folder / "host.yaml", cores=1 if intel else 2, files={"guest": build.elf("hlt-wake")}, cpu="intel" if intel else "amd",
                    firmware=None if intel else kind)
        try:
            host.start()
            done = host.wait(240)
            if host.platform_failure():
                continue
            check(done, "no end")
            check(any("iscsi.ready" in line for line in host.lines), "the SAN did not attach")
            check(any("boot.modules: 3 files" in line for line in host.lines), "not three files")
            errors = [line for line in host.lines if re.match(r"\[host\] \S+ error ", line)]
            check(not errors, f"the host complains: {errors}")
            how = host.ended.get("guest", "never")
            check(how == "debug-exit 0", f"the guest ended: {how}")
            return
        finally:
            host.cleanup()
    sys.exit(75)


def main(kind):
    servers.enter_namespace([sys.executable, *sys.argv])
    build.build()
    with tempfile.TemporaryDirectory() as t:
        folder = pathlib.Path(t)
        (folder / "host.yaml").write_text(YAML)
        secret = folder / "san1.secret"
        secret.write_text("berth-lab-chap")
        secret.chmod(0o600)
        refuse(folder)
        with servers.Tgtd(folder / "san", 32 << 20):
            boot(kind, folder)
    print("PASSED")


main(sys.argv[1])
