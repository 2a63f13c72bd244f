#!/usr/bin/env python3
"""subprojects/fetch with a mirror and an archive of its own: what is fetched is verified, laid out and patched; what is wrong is said and not used."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
PATCH = "Says why.\n\n--- a/text\n+++ b/text\n@@ -1 +1 @@\n-old\n+new\n"


class Place:
    """A copy of subprojects/ with one source, `toy`, a mirror folder, a cache, and an apt-get that names the mirror."""

    def __init__(self, t):
        self.subprojects, self.mirror, self.cache, bin_ = t / "subprojects", t / "mirror", t / "cache", t / "bin"
        for d in (self.subprojects / "packagefiles/toy/patches", self.mirror / "pool", bin_, t / "toy-1"):
            d.mkdir(parents=True)
        shutil.copy(ROOT / "subprojects/fetch", self.subprojects)
        (t / "toy-1/text").write_text("old\n")
        self.archive = self.mirror / "pool/toy_1.tar.gz"
        with tarfile.open(self.archive, "w:gz") as tar:
            tar.add(t / "toy-1", "toy-1")
        self.sha = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        (self.subprojects / "manifest.txt").write_text(f"# name version file path sha256\ntoy 1 toy_1.tar.gz pool/toy_1.tar.gz {self.sha}\n")
        (self.subprojects / "packagefiles/toy/meson.build").write_text("project('toy')\n")
        self.patch = self.subprojects / "packagefiles/toy/patches/new.patch"
        self.patch.write_text(PATCH)
        apt = bin_ / "apt-get"
        apt.write_text(f"#!/bin/sh\n[ \"$1\" = indextargets ] && echo file://{self.mirror}\n")
        apt.chmod(0o755)
        self.env = dict(os.environ, PATH=f"{bin_}:{os.environ['PATH']}", BERTH_CACHE=str(self.cache))
        self.toy = self.subprojects / "toy"

    def fetch(self, status, *texts):
        r = subprocess.run([self.subprojects / "fetch"], env=self.env, capture_output=True, text=True)
        said = r.stdout + r.stderr
        assert r.returncode == status, f"status {r.returncode}, expected {status}\n{said}"
        for text in texts:
            assert text in said, f"no {text!r} in\n{said}"
        return said


def test_good(p):
    p.fetch(0, "third-party: toy 1")
    assert (p.toy / "text").read_text() == "new\n" and (p.toy / "meson.build").exists()
    shutil.rmtree(p.mirror)  # from here on nothing can be fetched
    assert p.fetch(0) == ""
    p.patch.write_text(PATCH.replace("+new", "+newer"))  # an overlay that changed is laid again, from the cache
    p.fetch(0, "third-party: toy 1")
    assert (p.toy / "text").read_text() == "newer\n"


def test_mirror_has_something_else(p):
    p.archive.write_bytes(p.archive.read_bytes() + b"x")
    other = hashlib.sha256(p.archive.read_bytes()).hexdigest()
    p.fetch(1, "pool/toy_1.tar.gz: sha256 differs", f"expected {p.sha}", f"received {other}", "Nothing was used")
    assert not p.toy.exists() and not (p.cache / "toy_1.tar.gz").exists()


def test_damaged_cache(p):
    p.cache.mkdir()
    (p.cache / "toy_1.tar.gz").write_bytes(b"half of it")
    p.fetch(0, "does not have the expected sha256; fetching it again")
    assert (p.toy / "text").read_text() == "new\n"


def test_nowhere(p):
    p.archive.unlink()
    p.fetch(1, "pool/toy_1.tar.gz was not found on any mirror", "by hand")
    assert not p.toy.exists()


def test_patch_that_does_not_apply(p):
    p.patch.write_text(PATCH.replace("-old", "-other"))
    p.fetch(1, "new.patch does not apply to toy 1")
    assert not p.toy.exists()


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    for name, test in tests:
        with tempfile.TemporaryDirectory(prefix="berth-fetch-") as t:
            test(Place(pathlib.Path(t)))
        print(f"ok {name}")
    return 0 if tests else 1


if __name__ == "__main__":
    sys.exit(main())
