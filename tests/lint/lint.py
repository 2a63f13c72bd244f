#!/usr/bin/env python3
"""Lints of the architecture (docs/internals/build.md): what no compiler checks. Prints file:line: rule: text; exit status 1 if there is any.

--self-test proves that each rule fires on a file that breaks it and not on one that keeps it.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PRODUCT = ("hv/", "drivers/", "vswitch/", "net/", "storage/", "datastore/", "config/", "cli/", "mgmt/")
SOURCE = (".c", ".h", ".S")
# Folders whose code runs between a guest's request and its answer: nothing there may sleep.
DATA_PATH = ("hv/virt/", "hv/vdev/", "vswitch/", "storage/", "datastore/vdisk", "net/")
MAX_LINES = 1000


def within(*folders):
    return lambda path: path.startswith(folders)


def outside(*folders):
    """In the product but not in these folders."""
    return lambda path: path.startswith(PRODUCT) and not path.startswith(folders)


# name, which files, regular expression of what a line of code must not have, why. Comments and the text of strings are not looked at.
RULES = [
    ("parent-include", within(*PRODUCT), r'#\s*include\s*["<][^">]*\.\./', "includes name a path below an include folder, never ../"),
    ("vendor", outside("hv/virt/vmx/", "hv/virt/svm/"), r"\b(vmcs|vmcb|vmread|vmwrite|vmlaunch|vmresume|vmrun|vmsave|vmload)\b",
     "vendor terms belong to hv/virt/vmx and hv/virt/svm"),
    ("vendor-test", lambda path: outside("hv/virt/vmx/", "hv/virt/svm/")(path) and path not in ("hv/virt/virt.c", "hv/virt/virt.h"),
     r"\b(svm|vmx)_(ops|features)\b|#\s*include\s*\"virt/(svm|vmx)/|\bvirt_ops\s*[!=]=|[!=]=\s*virt_ops\b|\bvirt_ops->name\b|\b(if|while|switch)\s*\(.*\b\w*(_amd|_intel|is_svm|is_vmx)\b",
     "which vendor it is decides nothing outside hv/virt/vmx and hv/virt/svm (virt.c picks it): give virt_ops a verb"),
    ("lwip", outside("net/"), r"#\s*include\s*<lwip/", "only net/ includes lwIP"),
    ("libiscsi", outside("storage/iscsi/"), r"#\s*include\s*<iscsi/", "only storage/iscsi includes libiscsi"),
    ("libnfs", outside("storage/nfs/"), r"#\s*include\s*<nfsc/", "only storage/nfs includes libnfs"),
    ("libiscsi-call", outside("storage/iscsi/"), r"\biscsi_(create_context|full_connect|connect|login|logout|service|which_events|scsi_command|"
     r"(read|write|inquiry|readcapacity)[0-9]*_(task|sync|iov_task))\w*\s*\(", "libiscsi is called in storage/iscsi only"),
    ("libnfs-call", outside("storage/nfs/"), r"\b(nfs_(init_context|mount|service|which_events|pread|pwrite|open|fsync)\w*|rpc_nfs3?_\w+)\s*\(",
     "libnfs is called in storage/nfs only"),
    ("yyjson", outside("config/", "cli/", "mgmt/"), r"#\s*include\s*<yyjson", "only config/, cli/ and mgmt/ know JSON"),
    ("dpdk", outside("drivers/nic/", "vswitch/", "net/"), r"#\s*include\s*<rte_", "DPDK is for drivers/nic, vswitch and net's port"),
    ("sleep", within(*DATA_PATH), r"\b(sleep|usleep|nanosleep|rte_delay_\w+|rte_pause_ms)\s*\(", "nothing sleeps on a data path"),
    ("debug-printf", within("hv/", "drivers/", "vswitch/", "net/", "storage/", "datastore/"), r"(?<!\w)f?printf\s*\(", "log with hv/log.h"),
]
COMMENT_RULES = [
    ("todo", lambda path: not path.startswith(("tests/lint/",)), r"\b(TODO|FIXME|XXX|HACK)\b", "finish it, or write down what is missing in docs/"),
]
FORBIDDEN_NAMES = ("core", "common", "misc", "util", "utils", "helper", "helpers")
ALLOWED_NAMES = ("hv/include/hv/core.h",)  # a CPU core
NEEDS_README = ("hv", "drivers/nic", "vswitch", "net", "storage", "datastore", "mgmt", "config", "cli", "lab", "tests")
# Twin folders: a file of one has its twin in the other, by the vendor's word for the same thing, or is a part that only this vendor needs.
TWINS = ("hv/virt/svm/", "hv/virt/vmx/")
TWIN_NAMES = {"svm": "vmx", "vmcb": "vmcs", "npt": "ept"}
ONE_VENDOR = {
    "hv/virt/vmx/insn.h": "VMREAD and VMWRITE: SVM's state is plain memory, and its three instructions are in svm.c and entry.S",
    "hv/virt/vmx/check_guest.c": "VM entry has three times the rules of VMRUN, half of them for guest state: SVM's are all in check.c",
    "hv/virt/vmx/check_impl.h": "what check.c and check_guest.c share",
    "hv/virt/vmx/control.c": "CR0, CR4 and debug registers behind masks and shadows: on SVM they are fields of the VMCB, read and written in svm.c",
    "hv/virt/vmx/state.c": "segments and MSRs by VMREAD and VMWRITE: on SVM fields of the VMCB, read and written in svm.c",
    "hv/virt/vmx/event.c": "interruption information, windows and blocking by fields of their own: SVM's are four functions of svm.c",
    "hv/virt/vmx/apic.c": "the virtualized LAPIC: SVM's, AVIC, is not used",
    "hv/virt/vmx/pml.c": "page-modification logging: SVM has none, its dirty log is by write protection (nested.c)",
}
VENDOR_OPS = ("hv/virt/virt.h", "virt_ops", 20)  # file, struct, the most verbs it may have
# A prototype written by hand in a .c file: a declaration with `extern`, or one of a function that a header does not bring.
EXTERN = re.compile(r"^\s*extern\s+(?!const char __|char __|const uint8_t __|uint8_t __|uint8_t \w+\[\]|const uint8_t \w+\[\]|char \w+\[\]|const char \w+\[\])")
EXTERN_EXEMPT = ("hv/", "drivers/nic/eal/")  # symbols of assembly and of the linker script


def strip_code(text):
    """Blanks comments and the text of strings, keeping lines; an #include keeps its file name."""
    def blank(match):
        s = match.group(0)
        if s.startswith("/"):
            return re.sub(r"[^\n]", " ", s)
        return s[0] + " " * (len(s) - 2) + s[-1]
    lines = []
    stripped = re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)
    for original, line in zip(text.split("\n"), stripped.split("\n")):
        lines.append(original if re.match(r"\s*#\s*include", original) else line)
    return lines


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if out.returncode == 0 and out.stdout:
        return [p for p in out.stdout.split("\0") if p]
    skip = ("build/", "subprojects/", ".git/")  # not a git checkout: everything but what is made and fetched
    return [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and not str(p.relative_to(ROOT)).startswith(skip)]


def lint_names(paths):
    for path in paths:
        parts = pathlib.PurePosixPath(path)
        if path.startswith("subprojects/") or path in ALLOWED_NAMES:
            continue
        for part in parts.parts:
            if part.split(".")[0] in FORBIDDEN_NAMES:
                yield path, 0, "name", f'"{part}" says nothing about what is inside'


def lint_readmes(paths):
    for folder in NEEDS_README:
        if any(p.startswith(folder + "/") and p.endswith(SOURCE + (".py",)) for p in paths) and f"{folder}/README.md" not in paths:
            yield folder, 0, "readme", "a top folder has a README.md: purpose, what it may use, entry points, files in reading order"


def lint_twins(paths):
    def twin(name):
        for a, b in TWIN_NAMES.items():
            name = re.sub(rf"\b(?:{a}|{b})(?=[._])", b, name)
        return name

    have = [{twin(p.removeprefix(f)): p for p in paths if p.startswith(f)} for f in TWINS]
    for mine, other in (have, have[::-1]):
        for name in sorted(set(mine) - set(other)):
            if mine[name] not in ONE_VENDOR:
                yield mine[name], 0, "twins", "the other vendor's folder has no such file: add it, or say in ONE_VENDOR why not"
    for path in ONE_VENDOR:
        if path not in paths:
            yield path, 0, "twins", "listed in ONE_VENDOR, but it is not there"


def lint_verbs(path, text):
    """The vendor ops: function pointers of the struct in VENDOR_OPS."""
    name, struct, most = VENDOR_OPS
    if path != name:
        return
    body = re.search(rf"struct {struct} {{(.*?)\n}};", "\n".join(strip_code(text)), re.S)
    verbs = len(re.findall(r"\(\*\w+\)\(", body.group(1))) if body else 0
    if not verbs:
        yield path, 0, "verbs", f"struct {struct} was not found"
    if verbs > most:
        yield path, 0, "verbs", f"struct {struct} has {verbs} verbs; a vendor is at most {most}: join two, or do it on the neutral side"


def lint_text(path, text):
    """Yields (path, line, rule, text) of one file."""
    if not path.endswith(SOURCE):
        return
    if path.startswith(PRODUCT + ("tests/",)) and text.count("\n") >= MAX_LINES:
        yield path, MAX_LINES, "length", f"a file has fewer than {MAX_LINES} lines"
    yield from lint_verbs(path, text)
    code = strip_code(text)
    for number, line in enumerate(code, 1):
        for name, applies, pattern, why in RULES:
            if applies(path) and re.search(pattern, line):
                yield path, number, name, why
        if path.endswith(".c") and path.startswith(PRODUCT) and not path.startswith(EXTERN_EXEMPT) and EXTERN.match(line):
            yield path, number, "extern", "include the header that declares it"
    for number, line in enumerate(text.split("\n"), 1):
        for name, applies, pattern, why in COMMENT_RULES:
            if applies(path) and re.search(pattern, line):
                yield path, number, name, why


def lint():
    paths = tracked()
    found = [*lint_names(paths), *lint_readmes(paths), *lint_twins(paths)]
    for path in paths:
        if path.endswith(SOURCE) and not path.startswith("subprojects/") and (ROOT / path).is_file():
            found += lint_text(path, (ROOT / path).read_text(errors="replace"))
    for path, line, rule, why in sorted(found):
        print(f"{path}:{line}: {rule}: {why}" if line else f"{path}: {rule}: {why}")
    print(f"{len(paths)} files, {len(found)} findings")
    return 1 if found else 0


SELF_TEST = [  # path, text, the rules that must fire
    ("net/a.c", '#include "../hv/kern/sched.h"\n', {"parent-include"}),
    ("vswitch/a.c", "static int vmcb;\n", {"vendor"}),
    ("hv/virt/svm/a.c", "static int vmcb;\n", set()),
    ("hv/virt/a.c", "void f(void) { if (virt_ops == &svm_ops) return; }\n", {"vendor-test"}),
    ("hv/vm/a.c", '#include "virt/vmx/vmx_impl.h"\n', {"vendor-test"}),
    ("hv/virt/a.c", "void f(void) { if (strcmp(virt_ops->name, x)) return; }\n", {"vendor-test"}),
    ("hv/vdev/a.c", "void f(void) { if (cpu_is_intel) return; }\n", {"vendor-test"}),
    ("hv/virt/virt.c", "const struct virt_ops *virt_ops = &svm_ops;\n", set()),
    ("hv/virt/virt.h", "extern const struct virt_ops svm_ops;\nstruct virt_ops {\n\tint (*verb)(int);\n};\n", set()),
    ("hv/virt/vmx/a.c", '#include "virt/vmx/vmx_impl.h"\nvoid f(void) { if (virt_ops == &vmx_ops) return; }\n', set()),
    ("hv/virt/virt.h", "struct virt_ops {\n\tconst char *name;\n" + "\tint (*verb)(int);\n" * 20 + "};\n", set()),
    ("hv/virt/virt.h", "struct virt_ops {\n\tconst char *name;\n" + "\tint (*verb)(int);\n" * 21 + "};\n", {"verbs"}),
    ("hv/virt/virt.h", "int x;\n", {"verbs"}),
    ("hv/virt/a.c", "/* the vmcb */ int x; /* vmread */ const char *s = \"vmrun\";\n", set()),
    ("storage/a.c", "#include <lwip/tcp.h>\n", {"lwip"}),
    ("net/a.c", "#include <lwip/tcp.h>\n", set()),
    ("datastore/a.c", "#include <iscsi/iscsi.h>\nvoid f(void) { iscsi_read16_task(0); }\n", {"libiscsi", "libiscsi-call"}),
    ("datastore/a.c", "#include <nfsc/libnfs.h>\nvoid f(void) { nfs_mount_async(0); rpc_nfs3_write_async(0); }\n", {"libnfs", "libnfs-call"}),
    ("storage/iscsi/a.c", "#include <iscsi/iscsi.h>\n", set()),
    ("hv/vdev/a.c", "#include <yyjson.h>\n#include <rte_mbuf.h>\n", {"yyjson", "dpdk"}),
    ("storage/nfs/a.c", "void f(void) { usleep(3); }\n", {"sleep"}),
    ("net/a.c", 'void f(void) { printf("x"); }\n', {"debug-printf"}),
    ("net/a.c", 'void f(char *s) { snprintf(s, 1, "x"); }\n', set()),
    ("cli/a.c", "/* TO" + "DO: later */\n", {"todo"}),
    ("vswitch/a.c", "extern int hv_secret_function(int);\n", {"extern"}),
    ("vswitch/a.c", "int x;\n" * MAX_LINES, {"length"}),
    ("vswitch/a.c", "int x;\n" * (MAX_LINES - 1), set()),
]


def self_test():
    bad = 0
    fired = set()
    for path, text, expected in SELF_TEST:
        got = {rule for _, _, rule, _ in lint_text(path, text)}
        fired |= got
        if got != expected:
            bad += 1
            print(f"{path}: {text[:60]!r}: expected {expected}, got {got}")
    for rule in ({r[0] for r in RULES + COMMENT_RULES} | {"extern", "length", "verbs"}) - fired:
        bad += 1
        print(f"no self-test makes {rule} fire")
    names = {p for p, *_ in lint_names(["hv/common/a.c", "net/util.c", "hv/include/hv/core.h", "vswitch/fdb.c"])}
    if names != {"hv/common/a.c", "net/util.c"}:
        bad += 1
        print(f"names: got {names}")
    if [p for p, *_ in lint_readmes(["net/a.c", "cli/a.c", "cli/README.md"])] != ["net"]:
        bad += 1
        print("readme: does not fire")
    twins = ["hv/virt/svm/svm.c", "hv/virt/vmx/vmx.c", "hv/virt/svm/vmcb.h", "hv/virt/vmx/vmcs.h", "hv/virt/svm/svm_impl.h", "hv/virt/vmx/vmx_impl.h", *ONE_VENDOR]
    for extra in ([], ["hv/virt/svm/avic.c"], ["hv/virt/vmx/check.c"]):
        got = [p for p, *_ in lint_twins(twins + extra)]
        if got != extra:
            bad += 1
            print(f"twins: {extra}: got {got}")
    if [p for p, *_ in lint_twins(twins[:-1])] != [twins[-1]]:
        bad += 1
        print("twins: an exception that is not there does not fire")
    print(f"{bad} failures")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(self_test() if "--self-test" in sys.argv else lint())
