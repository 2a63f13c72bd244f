"""A Linux guest with two CPUs on two vCPU cores, on one, and on the core that also does all I/O: both CPUs run, fio verifies what both wrote, and
programs find their vector registers as they left them. On Bochs (one core, its CPUs take turns there) it boots to a shell, at which the same is typed.

usage: smp_guest.py CORES | intel
"""
import subprocess
import sys

from scenario import BUILD, HEAD, RAM, Scenario, check, main, vm

PROGRAM = __file__.replace("smp_guest.py", "vectors.c")
JOB = """
[ "$(nproc)" = 2 ] || { echo "@fail $(nproc) CPUs"; exit 1; }
cpu_ticks() { awk -v c="cpu$1" '$1 == c { print $2 + $3 + $4 }' /proc/stat; }
before0=$(cpu_ticks 0) before1=$(cpu_ticks 1)
pids=
for seed in 1 2 3 4; do /job/vectors $seed & pids="$pids $!"; done
for p in $pids; do wait $p || { echo "@fail vectors: status $?"; exit 1; }; done
fio --name=smp --filename=/dev/vda --ioengine=libaio --direct=1 --rw=randwrite --bs=4k --size=SIZE --numjobs=2 --offset_increment=16m --iodepth=8 \
	--verify=crc32c --verify_fatal=1 --minimal > /tmp/o 2>&1 || { echo "@fail fio $(tail -n 1 /tmp/o)"; exit 1; }
for c in 0 1; do taskset $((1 << c)) sh -c 'i=0; while [ $i -lt LOOPS ]; do i=$((i + 1)); done' & done
wait
echo "@ticks $(($(cpu_ticks 0) - before0)) $(($(cpu_ticks 1) - before1))"
dmesg | grep -iE 'BUG:|Oops|Bad FPU|soft lockup|rcu.*stall' && { echo "@fail the kernel complained"; exit 1; }
exit 0
"""


def vectors():
    out = BUILD / "guest-tests" / "vectors"
    out.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O1", "-static", "-Wall", "-Wextra", "-Werror", "-o", str(out), PROGRAM], check=True)
    return out.read_bytes()


def finish(s):
    _, _, _, ticks = s.until("smp", "ticks")
    check(all(int(t) > 0 for t in ticks.split()), f"a CPU did no work: {ticks}")
    s.until_end()
    check(s.host.ended == {"smp": "power-off"}, f"{s.host.ended}")


def scenario(name, job, size, loops, scenarios, words="", **kw):
    yaml = HEAD + "datastores:\n" + RAM + "vms:\n" + vm("smp", job, "datastore: ram1", cpus=2, words=words)
    jobs = {"run": JOB.replace("SIZE", size).replace("LOOPS", loops), "vectors": vectors()}
    s = Scenario(f"smp-{name}", yaml, jobs, **kw)
    scenarios.append(s)
    return s


def test_on(cores):
    def test(folder, scenarios):
        with scenario(cores, "run", "12m", "20000", scenarios, cores=cores) as s:
            finish(s)

    return test


def test_intel(folder, scenarios):
    with scenario("intel", "shell", "1m", "2000", scenarios, "cryptomgr.notests", cores=1, cpu="intel", deadline_s=1500) as s:
        s.until_line("built-in shell")  # what busybox says when it is one
        s.host.type("smp", "echo '@shell' $((6 * 7)); sh /job/run && poweroff -f")
        s.until_line("@shell 42")
        finish(s)


main(test_intel if sys.argv[1:] == ["intel"] else test_on(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
