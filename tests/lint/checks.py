#!/usr/bin/env python3
"""Every rule that `berth check` has on networks has a hint and a test, and docs/checks.md lists it as it is.

Usage: checks.py [--update]    --update writes the list in docs/checks.md anew

Reads the calls of report_error and report_warning in config/check_*.c. A test of a rule is an expectation in tests/unit/config/test_check.c, or a
line of a tests/unit/cli/broken/*.expect, that its message can make.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SUBJECTS = {"check_network.c": "Uplinks, vSwitches, port groups, VMkernel NICs", "check_vlan.c": "VLANs and MTUs", "check_private.c": "Private VLANs",
            "check_teaming.c": "Teaming", "check_limits.c": "Shaping, storm limits, guards", "check_mirror.c": "Mirror sessions"}
OTHERS = {"check.c": "Names, the host", "check_storage.c": "Datastores", "check_vm.c": "VMs"}
LEAST = 30
BEGIN, END = "<!-- made by: tests/lint/checks.py --update -->\n", "<!-- end of what is made -->\n"
TESTED = 12  # an expectation is the begin of a message; so many characters of it, at least


def literals(text):
    """The string that C's adjacent literals in text make; None when there is none."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    return "".join(found).replace('\\"', '"').replace("\\n", "\n") if found else None


def split_arguments(text):
    """At the commas that are in no parentheses and no literal."""
    out, depth, at = [""], 0, 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|.', text, re.S):
        t = token.group(0)
        depth += {"(": 1, ")": -1}.get(t, 0)
        if t == "," and depth == 0:
            out.append("")
        else:
            out[-1] += t
    return [a.strip() for a in out]


def calls(source):
    """(line, is an error, hint or None, message) of each report in a source."""
    for m in re.finditer(r"\breport_(error|warning)\(", source):
        depth, end = 1, m.end()
        while depth:
            token = re.match(r'"(?:[^"\\]|\\.)*"|.', source[end:], re.S).group(0)
            depth += {"(": 1, ")": -1}.get(token, 0)
            end += len(token)
        arguments = split_arguments(source[m.end():end - 1])
        if "&c->report" not in arguments[0] and "report" not in arguments[0] or len(arguments) < 3:
            continue
        hint = None if arguments[1] == "NULL" else literals(arguments[1]) or "..."
        yield source.count("\n", 0, m.start()) + 1, m.group(1) == "error", hint, literals(arguments[2]) or "..."


SPEC = re.compile(r"%[-0-9.*]*(?:ll|z)?[a-z]")


def begins(message):
    """A pattern for every text that a message of this format may begin with."""
    parts, at = [], 0
    for spec in SPEC.finditer(message):
        parts += [re.escape(c) for c in message[at:spec.start()]] + [".*?"]
        at = spec.end()
    parts += [re.escape(c) for c in message[at:]]
    pattern = ""
    for p in reversed(parts):
        pattern = f"{p}(?:{pattern})?"
    return re.compile(pattern, re.S)


def expectations():
    """The messages that tests wait for, or their begins."""
    texts = []
    for line in re.findall(r'"((?:error|warning) (?:[^"\\]|\\.)*(?:"\s*"(?:[^"\\]|\\.)*)*)"', (ROOT / "tests/unit/config/test_check.c").read_text()):
        texts.append(re.sub(r'"\s*"', "", line).replace('\\"', '"').partition(": ")[2])
    for f in (ROOT / "tests/unit/cli/broken").glob("*.expect"):
        texts += [m.partition(": ")[2] or m for m in re.findall(r"(?:error|warning): (.*)", f.read_text())]
    return [t for t in texts if len(t) >= TESTED]


SHOWN = {"%s %s": "... is a loopback, multicast, broadcast, reserved ... address"}  # an address, and check_host_address of it


def shown(message):
    return SHOWN.get(message) or SPEC.sub("...", message).replace("|", "\\|")


def table(rules):
    rows = ["| message | what `berth check` advises | |\n", "| --- | --- | --- |\n"]
    return "".join(rows + [f"| {shown(message)} | {shown(hint or '')} | {'' if error else 'warning'} |\n" for _, error, hint, message in rules])


def main():
    tested, bad, network, text = expectations(), [], 0, ""
    for name, title in {**SUBJECTS, **OTHERS}.items():
        rules = list(calls((ROOT / "config" / name).read_text()))
        text += f"\n## {title}\n\n{table(rules)}"
        for line, _, hint, message in rules if name in SUBJECTS else []:
            network += 1
            if not hint:
                bad.append(f"config/{name}:{line}: no hint: {message}")
            if len(SPEC.sub("", message)) >= TESTED // 2 and not any(begins(message).fullmatch(t) for t in tested):
                bad.append(f"config/{name}:{line}: no test waits for: {message}")
    if network < LEAST:
        bad.append(f"only {network} rules were found")
    doc = ROOT / "docs/checks.md"
    head, rest = doc.read_text().split(BEGIN)
    whole = head + BEGIN + text + "\n" + END + rest.split(END)[1]
    if whole != doc.read_text() and "--update" in sys.argv:
        doc.write_text(whole)
    elif whole != doc.read_text():
        bad.append("docs/checks.md: the list is not what the sources have: tests/lint/checks.py --update")
    print("".join(f"FAILED: {b}\n" for b in bad), end="")
    print(f"{network} rules on networks, {len(bad)} findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
