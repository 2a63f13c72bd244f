"""Processes that cannot outlive their starter: a lab starts QEMU, tgtd, nfs-ganesha and rpcbind, and none of them may be left behind when a
test fails, is killed or runs out of time."""
import signal
import subprocess
import sys


def contained(argv, *namespaces):
    """The command that runs `argv` as the first process of a PID namespace with mounts of its own (and `namespaces`, options of unshare): when
    `argv` or whoever started it ends, in any way, the kernel kills all that it started. Its /run is its own too. Needs root."""
    run = 'mount -t tmpfs tmpfs /run && exec "$@"'
    return ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", *namespaces,
            "--", "sh", "-c", run, "sh", *argv]


def possible():
    """None, or why this machine does not let us make namespaces."""
    try:
        r = subprocess.run(contained(["true"], "--net"), capture_output=True, text=True)
    except FileNotFoundError as e:
        return f"{e.filename} is not installed; run lab/setup"
    return None if r.returncode == 0 else r.stderr.strip() or "unshare failed"


class _Ended(BaseException):
    """A signal that ends this program: thrown out of wait(), because waiting once more inside of the handler would wait for wait()'s own lock."""


def stand_for(process):
    """Waits for a contained process in its place: gives its exit status as this program's own, and hands on what should end it."""
    def end(signum, _frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise _Ended(signum)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    try:
        status = process.wait()
    except _Ended as e:
        process.kill()
        process.wait()
        status = 128 + e.args[0]
    except KeyboardInterrupt:  # a terminal tells both of us: the other tidies up first
        try:
            process.wait(10)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
        status = 128 + signal.SIGINT
    sys.exit(status if status >= 0 else 128 - status)
