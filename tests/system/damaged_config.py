"""A host that is started with a damaged configuration says on its console what is wrong with it, tells the control console, and powers off: no
crash, no VM, no half of a host."""
import json
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tests/guest")]
from berthlab.host import Host  # noqa: E402
import build  # noqa: E402

YAML = """host: {name: hv1}
vswitches: [{name: vSwitch0}]
portgroups: [{name: web, vswitch: vSwitch0, vlan: 20}]
datastores: [{name: ram1, ram: {size: 16MiB}}]
vms:
  - {name: one, memory: 32MiB, boot: {multiboot: "module:guest"}, debug_exit: true, disks: [{datastore: ram1}], nics: [{portgroup: web}]}
"""


def changed(change):
    def damage(text):
        c = json.loads(text)
        change(c)
        return json.dumps(c).encode()

    return damage


CASES = {  # name: (what becomes of config.json, None = not there; what the console must say)
    "absent": (lambda text: None, ["config.missing: no boot module named config.json: make it with `berth compile"]),
    "empty": (lambda text: b"", ["config.problem:"]),
    "cut off": (lambda text: text[:len(text) // 2], ["config.problem:"]),
    "noise": (lambda text: bytes(i * 167 + 13 & 255 for i in range(5000)), ["config.problem:"]),
    "zeros": (lambda text: bytes(70000), ["config.problem:"]),
    "not an object": (lambda text: b"[1, 2, 3]", ["config.problem:"]),
    "very deep": (lambda text: b"[" * 200000, ["config.problem:"]),
    "deep object": (lambda text: b'{"host":' * 50000 + b"1" + b"}" * 50000, ["config.problem:"]),
    "more behind it": (lambda text: text + text, ["config.problem:"]),
    "unknown key": (changed(lambda c: c["vms"][0].update(memori=1)), ["vms[0]", "memori"]),
    "wrong type": (changed(lambda c: c["vms"][0].update(memory=[1])), ["vms[0].memory: memory must be a size"]),
    "dangling reference": (changed(lambda c: c["vms"][0]["disks"][0].update(datastore="nas9")), ["vms[0].disks[0].datastore: there is no datastore", "nas9"]),
    "a thousand VMs": (changed(lambda c: c.update(vms=c["vms"] * 1000)), ["at most 64 are supported"]),
    "long name": (changed(lambda c: c["host"].update(name="x" * 100000)), ["host.name: name", "100000 characters long; at most 63 are allowed"]),
}


def run(folder, name, damage, wanted):
    host = Host(folder / "host.yaml", cores=1, files={"guest": build.elf("debug-exit")}, quiet=True)
    try:
        text = damage(host.boot["config.json"])
        if text is None:
            del host.boot["config.json"]
        else:
            host.boot["config.json"] = text
        host.start()
        ended = host.wait(200)
        if host.platform_failure():
            return None
        said = "\n".join(host.lines)
        failed = [e for e in list(host.events.queue) if e[0] == "control" and e[1].get("event") == "host-failed"]
        wrong = [f"no {w!r}" for w in [*wanted, "host.start: configuration: error", "host.power-off: status 1"] if w not in said]
        wrong += ["it does not end"] * (not ended) + ["a panic"] * ("panic" in said) + ["no host-failed event"] * (not failed)
        wrong += [f"a VM ended: {host.ended}"] * bool(host.ended)
        problems = [line for line in host.lines if "config.problem" in line]
        print(f"{'FAILED' if wrong else 'ok'} {name}: {problems[0].split('config.problem: ')[1][:140] if problems else 'no problem was named'}", flush=True)
        if wrong:
            print("\n".join(host.lines[-15:]))
            print(f"FAILED: {name}: {'; '.join(wrong)}")
        return not wrong
    finally:
        host.cleanup()


def main():
    build.build()
    with tempfile.TemporaryDirectory(prefix="berth-damaged-") as t:
        (pathlib.Path(t) / "host.yaml").write_text(YAML)
        results = [next((r for _ in range(3) if (r := run(pathlib.Path(t), name, *case)) is not None), None) for name, case in CASES.items()]
    if None in results:
        sys.exit(75)
    print("PASSED" if all(results) else "FAILED")
    sys.exit(not all(results))


main()
