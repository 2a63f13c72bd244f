"""The lab: emulated hosts, and real SAN and NAS servers for them. Used by `berth-lab`, `./run` and tests/system."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BERTH_BUILD", ROOT / "build"))
IMAGE = BUILD / "image" / "berth.elf"
BERTH = BUILD / "native" / "cli" / "berth"
CACHE = pathlib.Path(os.environ.get("BERTH_CACHE", pathlib.Path.home() / ".cache" / "berth"))


class LabError(Exception):
    """Something a person can act on; printed without a traceback."""
