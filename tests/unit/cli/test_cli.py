#!/usr/bin/env python3
"""Drives `berth` as a user does. Usage: test_cli.py BERTH [--update]

broken/*.yaml are configurations with mistakes; beside each stands exactly what `berth check` must print (.expect). --update rewrites the
.expect files, config/schema.json and the reference in docs/user-guide.md: read the difference before you commit it.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
EXAMPLES = ROOT / "config" / "examples"
BERTH = pathlib.Path(sys.argv[1]).resolve()
UPDATE = "--update" in sys.argv
failures = []


def berth(*args, cwd=None):
    return subprocess.run([BERTH, *map(str, args)], cwd=cwd, capture_output=True, text=True, errors="backslashreplace", timeout=60)


def expect(condition, what):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}")


def expect_text(path, got, what):
    """got must be what the file says."""
    if UPDATE and (not path.exists() or path.read_text() != got):
        path.write_text(got)
        print(f"updated {path}")
    want = path.read_text() if path.exists() else ""
    if want != got:
        failures.append(what)
        print(f"FAILED: {what}\n--- expected\n{want}--- got\n{got}")


def test_broken(folder):
    broken = folder / "broken"
    shutil.copytree(HERE / "broken", broken)
    for secret in broken.glob("*.secret"):
        secret.chmod(0o600)
    files = sorted(broken.glob("*.yaml"))
    expect(len(files) >= 20, "there are at least twenty broken configurations")
    for f in files:
        r = berth("check", f.name, cwd=broken)
        expect_text(HERE / "broken" / f"{f.stem}.expect", r.stderr + f"exit status: {r.returncode}\n", f"berth check {f.name}")
        expect(r.stdout == "", f"{f.name}: nothing on standard output")
        if f.stem != "empty":
            expect(f"{f.name}:" in r.stderr and "error: " in r.stderr, f"{f.name}: has a position")
        j = json.loads(berth("check", "--json", f.name, cwd=broken).stdout)
        expect(not j["ok"] and all(p["line"] > 0 and p["column"] > 0 for p in j["problems"]), f"{f.name}: --json has positions")
        out = folder / "none.json"
        expect(berth("compile", f.name, "-o", out, cwd=broken).returncode == 1 and not out.exists(), f"{f.name}: nothing is compiled")
    r = berth("check", "secret-in-yaml.yaml", cwd=broken)
    expect("hunter2" not in r.stderr, "a secret that stands in the YAML is not shown")


def test_examples(folder):
    names = {f.stem for f in EXAMPLES.glob("*.yaml")}
    expect({"minimal", "first-light", "two-vlans", "ram-bench"} <= names, "the examples are there")
    secret = folder / "san1.secret"
    secret.write_text("berth-lab-chap\n")
    secret.chmod(0o600)
    for f in sorted(EXAMPLES.glob("*.yaml")):
        r = berth("check", "--strict", f, "--file", f"san1.secret={secret}")
        expect(r.returncode == 0 and r.stderr == "" and ": ok: " in r.stdout, f"berth check {f.name}: {r.stdout}{r.stderr}")
        r = berth("compile", f, "--file", f"san1.secret={secret}")
        expect(r.returncode == 0 and "berth-lab-chap" not in r.stdout, f"berth compile {f.name}: {r.stderr}")
        expect("host" in json.loads(r.stdout), f"{f.name}: JSON")


def test_secrets(folder):
    yaml = folder / "host.yaml"
    shutil.copy(EXAMPLES / "first-light.yaml", yaml)
    secret = folder / "san1.secret"
    secret.unlink(missing_ok=True)
    r = berth("check", yaml)
    expect(r.returncode == 0 and "warning" in r.stderr and "umask" in r.stderr, "check: a secret's file that is not there is a warning")
    expect(berth("check", "--strict", yaml).returncode == 1, "check --strict: a warning fails")
    r = berth("compile", yaml, "-o", folder / "o.json")
    expect(r.returncode == 1 and not (folder / "o.json").exists() and ":22:33: error: " in r.stderr, "compile: it is an error")
    secret.write_text("berth-lab-chap")
    secret.chmod(0o644)
    expect("can be read by others" in berth("check", yaml).stderr, "a secret that others can read is a warning")
    secret.chmod(0o600)
    r = berth("compile", yaml, "-o", folder / "o.json", "--list-files")
    expect(r.returncode == 0 and r.stdout == f"san1.secret={secret}\n" and r.stderr == "", f"--list-files: {r.stdout}{r.stderr}")
    j = json.loads((folder / "o.json").read_text())
    expect(j["datastores"][0]["iscsi"]["chap"]["secret"] == "module:san1.secret", "the JSON names the boot module")
    expect((folder / "o.json").read_text().count("berth-lab-chap") == 0, "the JSON has no secret")
    secret.write_text("")
    r = berth("check", yaml)
    expect(r.returncode == 1 and "is empty" in r.stderr, "an empty secret")
    secret.write_text("x" * 300)
    r = berth("check", yaml)
    expect(r.returncode == 1 and "too long" in r.stderr, "a secret that is too long")
    secret.write_text("berth-lab-chap")


def test_modules(folder):
    yaml = folder / "host.yaml"
    r = berth("compile", yaml, "--all-files", "-o", folder / "o.json")
    expect(r.returncode == 1 and r.stderr.count("no file is given for boot module") == 4, f"--all-files: {r.stderr}")
    r = berth("compile", yaml, "--all-files", "--file", f"vmlinuz={yaml}", "--file=initrd=/nowhere")
    expect(r.returncode == 1 and "/nowhere" in r.stderr and "vmlinuz\"" not in r.stderr.replace("module:vmlinuz\"", ""), "a file that is not there")
    r = berth("compile", yaml, "--all-files", "--file", f"vmlinuz={yaml}", f"--file=initrd={yaml}", "--json", "-o", folder / "o.json")
    j = json.loads(r.stdout)
    expect(r.returncode == 0 and j["ok"] and [f["name"] for f in j["files"]] == ["san1.secret", "vmlinuz", "initrd"], "compile --json")
    expect(all(f["path"] for f in j["files"]), "every file has a path")


def test_anchors(folder):
    out = json.loads(berth("compile", EXAMPLES / "two-vlans.yaml").stdout)
    expect(out["vms"][1]["boot"] == out["vms"][0]["boot"], "an alias stands for its anchor")


def test_positions(folder):
    yaml = folder / "lines.yaml"
    yaml.write_text("host: {name: hv1}\nuplinks:\n  - {name: u0, match: {mac: \"52:54:00:12:34:56\"}}\nvswitches:\n  - name: s0\n    uplinks: [u0]\n"
                    "portgroups:\n  - {name: web, vswitch: s0,\n     vlan: 20}\n")
    got = json.loads(berth("compile", yaml).stdout)["positions"]
    expect(got == {"file": "lines.yaml", "lines": {"host": 1, "uplinks": 2, "uplinks[0]": 3, "vswitches": 4, "vswitches[0]": 5, "vswitches[0].uplinks": 6,
                                                   "portgroups": 7, "portgroups[0]": 8, "portgroups[0].vlan": 9}}, f"positions: {got}")
    yaml.write_text(yaml.read_text() + "positions: {file: x, lines: {}}\n")
    r = berth("check", yaml)
    expect(r.returncode == 1 and ":10:1: error: positions: " in r.stderr, f"positions are not for the YAML: {r.stderr}")


def test_diff(folder):
    old, new = folder / "old.yaml", folder / "new.yaml"
    text = (EXAMPLES / "two-vlans.yaml").read_text()
    old.write_text(text)
    new.write_text(text)
    r = berth("diff", old, new)
    expect(r.returncode == 0 and r.stdout == "no difference\n", f"diff of equal files: {r.stdout}{r.stderr}")
    changed = text.replace("vlan: 20", "vlan: 21", 1)
    expect(changed != text, "the example has VLAN 20")
    new.write_text(changed)
    r = berth("diff", old, new)
    line = [i for i, l in enumerate(changed.splitlines(), 1) if "vlan: 21" in l][0]
    expect(r.returncode == 0 and f"new.yaml:{line}: port group " in r.stdout and "vlan changes from 20 to 21" in r.stdout and "touches " in r.stdout
           and "1 change; can be applied while the host runs" in r.stdout, f"diff: {r.stdout}{r.stderr}")
    new.write_text(changed.replace("name: hv", "name: xv", 1))
    j = json.loads(berth("diff", "--json", old, new).stdout)
    expect(j["ok"] and j["live"] == "restart" and any(c["path"] == "host.name" and c["live"] == "restart" for c in j["changes"]), f"diff --json: {j}")
    new.write_text("host: {}\n")
    r = berth("diff", old, new)
    expect(r.returncode == 1 and r.stdout == "" and "new.yaml:1:" in r.stderr, f"diff: an invalid file: {r.stdout}{r.stderr}")
    j = json.loads(berth("diff", "--json", old, new).stdout)
    expect(not j["ok"] and "changes" not in j and j["problems"], "diff --json of an invalid file")
    expect(berth("diff", old).returncode == 2, "diff needs two files")


def test_command_line(folder):
    cases = [  # arguments, status, words on standard error
        ([], 2, ["a command is missing"]),
        (["chek"], 2, ['did you mean "check"?']),
        (["check"], 2, ["needs FILE.yaml"]),
        (["check", "--jsno", "x"], 2, ['did you mean "--json"?', "berth check --help"]),
        (["check", "-o", "x", "y"], 2, ['unknown option "-o"']),
        (["check", "--json=1", "y"], 2, ["no value belongs to"]),
        (["compile", "x", "-o"], 2, ["a value is missing"]),
        (["compile", "x", "--file", "novalue"], 2, ["NAME=PATH"]),
        (["check", "a", "b"], 2, ['unexpected argument "b"']),
        (["check", "/does/not/exist.yaml"], 3, ["/does/not/exist.yaml: error: cannot be read: No such file"]),
        (["check", "/"], 3, ["Is a directory"]),
        (["completion", "fish"], 2, ["bash"]),
        (["compile", EXAMPLES / "minimal.yaml", "-o", "/does/not/exist.json"], 3, ["cannot be written"]),
    ]
    for args, status, words in cases:
        r = berth(*args)
        expect(r.returncode == status and all(w in r.stderr for w in words), f"berth {args}: {r.returncode} {r.stderr}")
    full = subprocess.run([BERTH, "schema"], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, text=True)
    expect(full.returncode == 3 and "standard output" in full.stderr, "a full disk is an error")
    top = berth("--help").stdout
    commands = re.findall(r"^  (\w+) +\S", top.split("Commands:\n")[1].split("Options:")[0], re.M)
    expect(len(commands) >= 8 and {"check", "compile", "diff", "apply", "completion"} <= set(commands), f"commands of berth --help: {commands}")
    for command in commands:
        r = berth(command, "--help")
        expect(r.returncode == 0 and f"Usage: berth {command} " in r.stdout and "Options:\n  -h, --help" in r.stdout, f"{command} --help")
        examples = r.stdout.partition("\nExamples:\n")[2].splitlines()
        expect(len(examples) >= 1 and all(e.startswith("  ") for e in examples) and any(f"berth {command} " in e for e in examples), f"{command} --help: {examples}")
        options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", r.stdout.split("Options:\n")[1].split("\nExamples:")[0], re.M)
        expect(set(complete(folder, "berth", command, "--")) == set(options), f"options of {command} are completed")


def complete(folder, *words):
    """What bash offers for the last word."""
    script = folder / "completion.bash"
    if not script.exists():
        script.write_text(berth("completion", "bash").stdout)
    line = " ".join(f"'{w}'" for w in words)
    r = subprocess.run(["bash", "-c", f". {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _berth; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
                       capture_output=True, text=True, cwd=EXAMPLES)
    expect(r.returncode == 0 and r.stderr == "", f"completion of {words}: {r.stderr}")
    return r.stdout.split()


def test_completion(folder):
    expect(complete(folder, "berth", "ch") == ["check"], "commands are completed")
    expect(complete(folder, "berth", "compile", "--l") == ["--list-files"], "options are completed")
    expect("minimal.yaml" in complete(folder, "berth", "check", "mi"), "files are completed")
    expect(complete(folder, "berth", "check", "--list") == [], "another command's options are not")


def test_schema(folder):
    r = berth("schema")
    schema = json.loads(r.stdout)
    expect_text(ROOT / "config" / "schema.json", r.stdout, "config/schema.json is what `berth schema` prints")
    expect(schema["$schema"].endswith("2020-12/schema") and schema["additionalProperties"] is False, "draft and strictness")
    guide = ROOT / "docs" / "user-guide.md"
    begin, end = "<!-- made by: berth schema --markdown -->\n", "<!-- end of what is made -->\n"
    text = guide.read_text()
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    expect_text(guide, head + begin + berth("schema", "--markdown").stdout + end + tail, "the reference in docs/user-guide.md")


def main():
    os.umask(0o022)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            with tempfile.TemporaryDirectory(prefix="berth-cli-") as folder:
                folder = pathlib.Path(folder)
                if name == "test_modules":
                    shutil.copy(EXAMPLES / "first-light.yaml", folder / "host.yaml")
                    (folder / "san1.secret").write_text("berth-lab-chap")
                    (folder / "san1.secret").chmod(0o600)
                test(folder)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
