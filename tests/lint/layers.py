#!/usr/bin/env python3
"""Proves the layering: an include of a layer that meson.build does not name does not compile, one that it names does.

Usage: layers.py BUILD_FOLDER. For each layer it takes the compiler command of one of the layer's sources and compiles one line with it:
an include of another layer's public header.
"""
import ast
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(sys.argv[1])


def layers():
    """name -> (folder, the layers it may include); from meson.build."""
    text = (ROOT / "meson.build").read_text()
    rows = re.search(r"^layers = (\[.*?^\])", text, re.S | re.M).group(1)
    return {name: (folder, allowed) for name, folder, allowed, _ in ast.literal_eval(rows)}


def public_headers(folder):
    """As others include it: 'vswitch/config.h'. None if it has none yet."""
    include = ROOT / folder / "include"
    return sorted(str(h.relative_to(include)) for h in include.rglob("*.h")) if include.is_dir() else []


def include_arguments(folder):
    """The compiler and its include folders and defines for a source of the layer; None if it has no source yet."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    nested = [f for f, _ in layers().values() if f.startswith(folder + "/")]
    for c in commands:
        source = (pathlib.Path(c["directory"]) / c["file"]).resolve()
        relative = str(source.relative_to(ROOT)) if source.is_relative_to(ROOT) else ""
        if not relative.startswith(folder + "/") or not relative.endswith(".c") or relative.startswith(tuple(f + "/" for f in nested)):
            continue
        if f"libberth-" not in c.get("output", ""):
            continue  # the tool and the tests compile it again with more include folders
        words = shlex.split(c["command"])
        return c["directory"], [w for w in words[:2] if "/" not in w or w.endswith(("cc", "gcc", "clang"))] + \
            [w for w in words if w.startswith(("-I", "-D", "-isystem", "-std", "-m"))]
    return None


def compiles(directory, arguments, header):
    with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
        f.write(f"#include <{header}>\n")
        f.flush()
        r = subprocess.run([*arguments, "-fsyntax-only", f.name], cwd=directory, capture_output=True, text=True)
    return r.returncode == 0, r.stderr


def main():
    all_layers, tried, bad = layers(), 0, 0
    for name, (folder, allowed) in all_layers.items():
        found = include_arguments(folder)
        if not found:
            print(f"{name}: no source yet, not tried")
            continue
        for other, (other_folder, _) in all_layers.items():
            headers = public_headers(other_folder)
            if not headers:
                continue
            if other == name or other in allowed:
                good, errors = compiles(*found, headers[0])
                expected = True
            else:
                results = [compiles(*found, h) for h in headers]
                good, errors = any(r[0] for r in results), ""
                expected = False
            tried += 1
            if good != expected:
                bad += 1
                print(f"{name} includes {other}: {'compiles, but must not' if good else 'must compile: ' + errors}")
    print(f"{tried} pairs of layers, {bad} wrong")
    return 1 if bad or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
