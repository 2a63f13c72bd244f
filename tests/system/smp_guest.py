"""A Linux guest with two CPUs on two vCPU cores, on one, and on the core that also does all I/O: both CPUs run, fio verifies what both wrote.

usage: smp_guest.py CORES
"""
import sys

from scenario import HEAD, RAM, Scenario, check, main, vm

JOB = """
[ "$(nproc)" = 2 ] || { echo "@fail $(nproc) CPUs"; exit 1; }
cpu_ticks() { awk -v c="cpu$1" '$1 == c { print $2 + $3 + $4 }' /proc/stat; }
before0=$(cpu_ticks 0) before1=$(cpu_ticks 1)
fio --name=smp --filename=/dev/vda --ioengine=libaio --direct=1 --rw=randwrite --bs=4k --size=12m --numjobs=2 --offset_increment=32m --iodepth=8 \
	--verify=crc32c --verify_fatal=1 --minimal > /tmp/o 2>&1 || { echo "@fail fio $(tail -n 1 /tmp/o)"; exit 1; }
for c in 0 1; do taskset $((1 << c)) sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done' & done
wait
echo "@ticks $(($(cpu_ticks 0) - before0)) $(($(cpu_ticks 1) - before1))"
dmesg | grep -iE 'BUG:|Oops|soft lockup|rcu.*stall' && { echo "@fail the kernel complained"; exit 1; }
exit 0
"""
YAML = (HEAD + "datastores:\n" + RAM + "vms:\n" + vm("smp", "run", "datastore: ram1", cpus=2))


def test_on(cores):
    def test(folder, scenarios):
        s = Scenario(f"smp-{cores}", YAML, {"run": JOB}, cores=cores)
        scenarios.append(s)
        with s:
            _, _, _, ticks = s.until("smp", "ticks")
            check(all(int(t) > 0 for t in ticks.split()), f"a CPU did no work: {ticks}")
            s.until_end()
            check(s.host.ended == {"smp": "power-off"}, f"{s.host.ended}")

    return test


main(test_on(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
