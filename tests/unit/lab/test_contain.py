#!/usr/bin/env python3
"""contain.stand_for: whoever stands for a process ends as it does, and takes it along when it is ended itself."""
import os
import pathlib
import signal
import subprocess
import sys
import time

LAB = pathlib.Path(__file__).resolve().parents[3] / "lab"
STAND = "import subprocess, sys; from berthlab import contain; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); contain.stand_for(p)"


def stand(*argv):
    p = subprocess.Popen([sys.executable, "-c", STAND, *argv], stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONPATH=str(LAB)))
    return p, int(p.stdout.readline())


def catches(pid, number):
    """It has its handler, so it waits or is about to."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("SigCgt:")[1].split()[0], 16) >> number - 1 & 1


def gone(pid):
    return not pathlib.Path(f"/proc/{pid}").exists()


def main():
    for script, status in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)):
        p, pid = stand("sh", "-c", script)
        assert p.wait(20) == status, f"{script}: {p.returncode}"
    for number in (signal.SIGTERM, signal.SIGHUP):
        p, pid = stand("sleep", "600")
        while not catches(p.pid, number):
            time.sleep(0.01)
        p.send_signal(number)
        try:
            status = p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
            os.kill(pid, signal.SIGKILL)
            raise
        assert status == 128 + number, status
        assert gone(pid), "it has outlived who stood for it"


main()
